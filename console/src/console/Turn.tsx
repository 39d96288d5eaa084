// One message: what was said, what became of it, and what can be done with it.

import type { Message, Session } from "agent-websocket";
import { Component, type VNode } from "preact";
import { useState } from "preact/hooks";
import { Glyph, type GlyphName } from "../Glyph.tsx";
import { Markdown } from "../markdown/Markdown.tsx";
import { timeOf, whole } from "../when.ts";
import { words } from "./service.ts";

interface TurnProps {
  message: Message;
  session: Session;
  /** It is the newest answer: only that can be asked for anew, so that a conversation stays in its order. */
  newest: boolean;
  onAgain(): void;
}

/** The client gives the same object for the same message: what did not change is not drawn again. */
export class Turn extends Component<TurnProps> {
  override shouldComponentUpdate(next: TurnProps): boolean {
    return next.message !== this.props.message || next.newest !== this.props.newest || next.session !== this.props.session;
  }

  override render(): VNode {
    const { message } = this.props;
    if (message.role === "user") return <Question {...this.props} />;
    if (message.role === "notification") return <Announcement message={message} />;
    if (message.superseded) {
      return (
        <details class="turn assistant old">
          <summary>An earlier answer</summary>
          <div class="says"><Markdown text={message.content} /></div>
        </details>
      );
    }
    return <Answer {...this.props} />;
  }
}

function Question({ message, session }: TurnProps): VNode {
  const refused = message.state === "refused";
  return (
    <article class={`turn user ${message.state}`} aria-label="You" id={`m${message.seq ?? message.key}`}>
      <div class="says">{message.content}</div>
      <div class="under-turn">
        {message.state === "sending" ? <span class="fact">Not sent yet</span> : null}
        {message.state === "queued" ? <span class="fact">Waits for its turn</span> : null}
        {refused ? (
          <>
            <span class="state bad" role="alert">{message.error?.message ?? "It was not accepted."}</span>
            <Tool glyph="again" name="Send again" onClick={() => { session.dismiss(message.key); session.send(message.content); }} />
            <Tool glyph="close" name="Remove" onClick={() => session.dismiss(message.key)} />
          </>
        ) : null}
        {message.seq === null ? null : <time class="fact" dateTime={message.createdAt} title={whole(message.createdAt)}>{timeOf(message.createdAt)}</time>}
      </div>
    </article>
  );
}

function Announcement({ message }: { message: Message }): VNode {
  return (
    <article class="turn notification" aria-label="Notification" id={`m${message.seq}`}>
      <div class="says">{message.content}</div>
    </article>
  );
}

const ENDS: Record<string, string> = {
  cancelled: "Stopped. What was written until then is kept.",
  incomplete: "This answer is incomplete: it was cut off while it was being written.",
  failed: "There is no answer.",
};

function Answer({ message, session, newest, onAgain }: TurnProps): VNode {
  const [copied, setCopied] = useState(false);
  const streaming = message.state === "streaming";
  const end = ENDS[message.state];
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(message.content);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <article class={`turn assistant ${message.state}`} aria-label="Answer" aria-busy={streaming} id={`m${message.seq ?? message.key}`}>
      {message.content !== "" ? <div class="says"><Markdown text={message.content} /></div> : null}
      {streaming && message.content === "" ? <div class="writing" role="status" aria-label="Thinking"><i /><i /><i /></div> : null}
      {end ? <p class={message.state === "cancelled" ? "state" : "state bad"}>{message.error?.message ?? end}</p> : null}
      {streaming ? null : (
        <div class="under-turn">
          {message.content === "" ? null : (
            <>
              <Tool glyph={copied ? "check" : "copy"} name={copied ? "Copied" : "Copy"} onClick={() => void copy().catch(() => setCopied(false))} />
              <Rating message={message} session={session} />
            </>
          )}
          {newest ? <Tool glyph="again" name="Answer again" onClick={onAgain} /> : null}
          <Facts message={message} />
        </div>
      )}
    </article>
  );
}

function Facts({ message }: { message: Message }): VNode {
  const { usage, model } = message;
  const tokens = usage?.output_tokens;
  const cost = usage?.cost_usd;
  const more = [whole(message.createdAt), usage ? `${usage.input_tokens ?? "?"} tokens read, ${tokens ?? "?"} written` : "", cost ? `$${cost}` : ""];
  return (
    <span class="fact" title={more.filter(Boolean).join("\n")}>
      {[model, tokens ? `${tokens} tokens` : ""].filter(Boolean).join(" · ")}
    </span>
  );
}

/** Thumbs, and a comment with either. The service keeps the last word; it does not tell earlier ones, so a page shows its own. */
function Rating({ message, session }: { message: Message; session: Session }): VNode {
  const [rating, setRating] = useState<-1 | 0 | 1>(0);
  const [open, setOpen] = useState(false);
  const [comment, setComment] = useState("");
  const [told, setTold] = useState("");
  const messageId = message.id ?? "";
  const say = async (next: -1 | 0 | 1, text?: string): Promise<void> => {
    const before = rating;
    setRating(next);
    setTold("");
    try {
      await session.feedback({ messageId, rating: next, ...(text ? { comment: text } : {}) });
      setTold(next === 0 && !text ? "Taken back" : "Thank you");
    } catch (error) {
      setRating(before);
      setTold(words(error));
    }
  };
  const rate = (wanted: -1 | 1): void => {
    const next = rating === wanted ? 0 : wanted;
    setOpen(next !== 0);
    void say(next, comment.trim());
  };
  const id = `comment-${messageId}`;
  return (
    <>
      <Tool glyph="up" name="Good answer" pressed={rating === 1} onClick={() => rate(1)} />
      <Tool glyph="down" name="Bad answer" pressed={rating === -1} onClick={() => rate(-1)} />
      <Tool glyph="comment" name="Comment" pressed={open} onClick={() => setOpen(!open)} />
      <span class="fact" role="status">{told}</span>
      {open ? (
        <form
          class="comment"
          ref={show}
          onSubmit={(event) => {
            event.preventDefault();
            setOpen(false);
            void say(rating, comment.trim());
          }}
        >
          <label for={id}>{rating < 0 ? "What was wrong with it?" : "What should we know about it?"}</label>
          <textarea id={id} rows={3} maxLength={4000} value={comment} onInput={(event) => setComment(event.currentTarget.value)} />
          <div class="row">
            <button type="button" class="quiet" onClick={() => setOpen(false)}>Close</button>
            <button type="submit" class="primary" disabled={comment.trim() === ""}>Send</button>
          </div>
        </form>
      ) : null}
    </>
  );
}

/** What opens at the end of the page would lie below it. */
function show(form: HTMLFormElement | null): void {
  form?.scrollIntoView({ block: "nearest" });
}

interface ToolProps { glyph: GlyphName; name: string; pressed?: boolean; onClick(): void }

export function Tool({ glyph, name, pressed, onClick }: ToolProps): VNode {
  return (
    <button type="button" class="quiet small icon" aria-label={name} title={name} aria-pressed={pressed} onClick={onClick}>
      <Glyph name={glyph} />
    </button>
  );
}
