// The open session: its messages, from where the reader is, and where the next one is written.

import type { Message, Session, SessionState } from "agent-websocket";
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Glyph, Mark } from "../Glyph.tsx";
import { arranged } from "./arrange.ts";
import { Composer } from "./Composer.tsx";
import { words } from "./service.ts";
import { Turn } from "./Turn.tsx";
import { useObservable } from "./useObservable.ts";

/** So near to the end, in pixels, the reader follows what is written. */
const AT_END_PX = 60;

const STARTERS = [
  "What can you do?",
  "Explain durable logs in two sentences.",
  "Write a haiku about reconnecting.",
  "Compare polling with LISTEN/NOTIFY as a table.",
];

export interface ConversationProps {
  session: Session;
  /** A message to be shown, by its place: what a search found. */
  target: number | undefined;
  /** What decides who answers. */
  picker: VNode;
  onTold(text: string): void;
}

export function Conversation({ session, target, picker, onTold }: ConversationProps): VNode {
  const state = useObservable(session.state, true);
  const { status } = useObservable(session.connection);
  const talk = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const toEnd = (): void => {
    const box = talk.current!;
    box.scrollTop = box.scrollHeight;
    setAtEnd(true);
  };
  useLayoutEffect(() => {
    if (atEnd && talk.current) talk.current.scrollTop = talk.current.scrollHeight;
  }, [state, atEnd]);
  useEffect(() => setAtEnd(target === undefined), [session, target]);
  useTarget(session, state.live, target, onTold);
  const send = (text: string): void => {
    session.send(text);
    toEnd();
  };
  const earlier = async (): Promise<void> => {
    const box = talk.current!;
    const below = box.scrollHeight - box.scrollTop;
    try {
      await session.loadEarlier();
      // After the drawing: what the reader looks at stays where it is.
      requestAnimationFrame(() => requestAnimationFrame(() => (box.scrollTop = box.scrollHeight - below)));
    } catch (error) {
      onTold(words(error));
    }
  };
  return (
    <>
      <div
        class="talk"
        ref={talk}
        tabIndex={-1}
        onScroll={({ currentTarget: box }) => setAtEnd(box.scrollHeight - box.scrollTop - box.clientHeight < AT_END_PX)}
      >
        {state.messages.length === 0
          ? <Empty live={state.live} waits={status !== "closed"} onSend={send} />
          : (
            <div class="column" role="log" aria-label="Conversation">
              {state.hasEarlier ? <div class="earlier"><button type="button" class="small" onClick={() => void earlier()}>Earlier messages</button></div> : null}
              <Turns state={state} session={session} />
              <Thinking state={state} />
            </div>
          )}
      </div>
      <div class="ask">
        <Composer session={session} running={state.streaming} picker={picker} onSend={send} onTold={onTold}>
          {atEnd ? null : <button type="button" class="to-end small" onClick={toEnd}><Glyph name="end" />To the end</button>}
        </Composer>
      </div>
    </>
  );
}

function Turns({ state, session }: { state: SessionState; session: Session }): VNode {
  const messages = arranged(state.messages);
  const last = messages.at(-1);
  const again = last?.role === "assistant" && last.seq !== null ? last : undefined;
  return (
    <>
      {messages.map((message: Message) => (
        <Turn key={message.key} message={message} session={session} newest={message === again} onAgain={() => void session.regenerate(message.id ?? undefined)} />
      ))}
    </>
  );
}

/** A question was accepted and nothing of its answer is there yet. */
function Thinking({ state }: { state: SessionState }): VNode | null {
  const last = state.messages.at(-1);
  if (state.streaming || last?.role !== "user" || last.state !== "complete") return null;
  return <div class="turn assistant"><div class="writing" role="status" aria-label="Waiting for the answer"><i /><i /><i /></div></div>;
}

function Empty({ live, waits, onSend }: { live: boolean; waits: boolean; onSend(text: string): void }): VNode {
  if (!live && !waits) return <div class="empty" />;
  if (!live) return <div class="empty"><div class="writing" role="status" aria-label="Loading"><i /><i /><i /></div></div>;
  return (
    <div class="empty">
      <Mark />
      <h2>What is on your mind?</h2>
      <p>Close the tab or lose the network while an answer is written: it goes on, and is here when you come back.</p>
      <div class="starters">
        {STARTERS.map((text) => <button key={text} type="button" onClick={() => onSend(text)}>{text}</button>)}
      </div>
    </div>
  );
}

/** Reads back until a message is there, and shows it. */
function useTarget(session: Session, live: boolean, target: number | undefined, onTold: (text: string) => void): void {
  useEffect(() => {
    if (target === undefined || !live) return;
    let left = false;
    const find = async (): Promise<void> => {
      for (let tries = 0; tries < 20 && !left; tries += 1) {
        const first = session.state.value.messages.find(({ seq }) => seq !== null)?.seq ?? 0;
        if (first <= target || !session.state.value.hasEarlier) break;
        await session.loadEarlier(200);
      }
      if (left) return;
      requestAnimationFrame(() => requestAnimationFrame(() => {
        const found = document.getElementById(`m${target}`);
        found?.scrollIntoView({ block: "center" });
        found?.classList.add("found");
      }));
    };
    find().catch((error: unknown) => onTold(words(error)));
    return () => {
      left = true;
    };
  }, [session, live, target]);
}
