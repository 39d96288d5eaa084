// The list of sessions: searched, opened, renamed, deleted.

import type { Match, SessionInfo } from "agent-websocket";
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Glyph, Mark } from "../Glyph.tsx";
import { nextTheme, setTheme, theme } from "../theme.ts";
import { group, short } from "../when.ts";
import { type ChatService, words } from "./service.ts";
import { useObservable } from "./useObservable.ts";

/** A person types on: asked for once they pause, in milliseconds. */
const SEARCH_AFTER_MS = 200;

export interface SidebarProps {
  service: ChatService;
  /** The session that is open, once it has an id. */
  chosen: string | null;
  onOpen(id: string, message?: number): void;
  onBegin(): void;
  onDelete(session: SessionInfo): void;
  onSignOut(): void;
  onTold(text: string): void;
}

export function Sidebar(props: SidebarProps): VNode {
  const { service, onBegin, onSignOut } = props;
  const [asked, setAsked] = useState("");
  const search = useRef<HTMLInputElement>(null);
  return (
    <nav class="side" aria-label="Sessions">
      <div class="side-head">
        <div class="brand">
          <Mark />
          <span class="grow">Agent WebSocket</span>
          <button type="button" class="quiet icon" aria-label="New conversation" title="New conversation (Alt+N)" onClick={onBegin}><Glyph name="plus" /></button>
        </div>
        <div class="search">
          <Glyph name="search" />
          <label class="hidden" for="search">Search conversations</label>
          <input
            id="search"
            ref={search}
            type="search"
            placeholder="Search"
            title="Search (Ctrl+K)"
            value={asked}
            onInput={(event) => setAsked(event.currentTarget.value)}
            onKeyDown={(event) => event.key === "Escape" && setAsked("")}
          />
        </div>
      </div>
      <div class="sessions">
        {asked.trim() === "" ? <All {...props} /> : <Found {...props} asked={asked.trim()} />}
      </div>
      <div class="side-foot">
        <span class="who" title={`Signed in as ${service.user}`}>{service.user}</span>
        <ThemeButton />
        <button type="button" class="quiet icon" aria-label="Sign out" title="Sign out" onClick={onSignOut}><Glyph name="leave" /></button>
      </div>
    </nav>
  );
}

function All(props: SidebarProps): VNode {
  const { service, chosen } = props;
  const all = useObservable(service.sessions);
  const more = useObservable(service.more);
  const fault = useObservable(service.listFault);
  // One in which nothing was said is a tab that was opened, and nobody looks for it.
  const sessions = (all ?? []).filter((session) => session.lastSeq > 0 || session.title !== null || session.id === chosen);
  const groups = new Map<string, SessionInfo[]>();
  for (const session of sessions) {
    const name = group(session.lastActivityAt);
    groups.set(name, [...(groups.get(name) ?? []), session]);
  }
  return (
    <>
      {fault ? <p class="nothing" role="alert">{fault} <button type="button" class="small" onClick={() => service.wake()}>Try again</button></p> : null}
      {all !== null && sessions.length === 0 ? <p class="nothing">Your conversations will be here.</p> : null}
      {[...groups].map(([name, sessions]) => (
        <section key={name}>
          <h2>{name}</h2>
          <ul>{sessions.map((session) => <Entry key={session.id} {...props} session={session} />)}</ul>
        </section>
      ))}
      {more ? <button type="button" class="quiet small" onClick={() => service.showMore()}>Show more</button> : null}
    </>
  );
}

function Entry({ service, session, chosen, onOpen, onDelete, onTold }: SidebarProps & { session: SessionInfo }): VNode {
  const [title, setTitle] = useState<string>();
  const name = session.title ?? "New conversation";
  const save = async (): Promise<void> => {
    const text = (title ?? "").trim();
    setTitle(undefined);
    if (text === "" || text === session.title) return;
    try {
      await service.rename(session.id, text);
    } catch (error) {
      onTold(words(error));
    }
  };
  if (title !== undefined) {
    return (
      <li class="session">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void save();
          }}
        >
          <label class="hidden" for="rename">New title</label>
          <input
            id="rename"
            type="text"
            value={title}
            maxLength={200}
            ref={(field) => field?.focus()}
            onInput={(event) => setTitle(event.currentTarget.value)}
            onBlur={() => void save()}
            onKeyDown={(event) => event.key === "Escape" && setTitle(undefined)}
          />
        </form>
      </li>
    );
  }
  return (
    <li class={session.id === chosen ? "session chosen" : "session"}>
      <button type="button" class="open" aria-current={session.id === chosen ? "true" : undefined} onClick={() => onOpen(session.id)}>
        <span class="title">{name}</span>
        <span class="under">{session.activeRunId ? "Answering…" : short(session.lastActivityAt)}</span>
      </button>
      <span class="tools">
        <button type="button" class="quiet small icon" aria-label={`Rename ${name}`} title="Rename" onClick={() => setTitle(session.title ?? "")}><Glyph name="edit" /></button>
        <button type="button" class="quiet small icon" aria-label={`Delete ${name}`} title="Delete" onClick={() => onDelete(session)}><Glyph name="trash" /></button>
      </span>
    </li>
  );
}

type Result = { asked: string; matches: Match[] } | { asked: string; fault: string };

function Found(props: SidebarProps & { asked: string }): VNode {
  const { service, asked } = props;
  const sessions = useObservable(service.sessions) ?? [];
  const [result, setResult] = useState<Result>();
  useEffect(() => {
    let left = false;
    const timer = setTimeout(() => {
      service.search(asked).then(
        (matches) => left || setResult({ asked, matches }),
        (error: unknown) => left || setResult({ asked, fault: words(error) }),
      );
    }, SEARCH_AFTER_MS);
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [service, asked]);
  const titled = sessions.filter(({ title }) => title?.toLowerCase().includes(asked.toLowerCase()));
  const current = result?.asked === asked ? result : undefined;
  const matches = current && "matches" in current ? current.matches : [];
  const nameOf = (id: string): string => sessions.find((session) => session.id === id)?.title ?? "Conversation";
  return (
    <div aria-busy={current === undefined}>
      {titled.length > 0 ? <section><h2>Titles</h2><ul>{titled.map((session) => <Entry key={session.id} {...props} session={session} />)}</ul></section> : null}
      {matches.length > 0 ? (
        <section>
          <h2>Messages</h2>
          <ul>
            {matches.map((match) => (
              <li key={match.key} class="session">
                <button type="button" class="open" onClick={() => props.onOpen(match.sessionId, match.seq ?? undefined)}>
                  <span class="title">{nameOf(match.sessionId)}</span>
                  <span class="under">{excerpt(match.content, asked)}</span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
      <p class="nothing" role="status">
        {current === undefined ? "Searching…" : "fault" in current ? current.fault : titled.length + matches.length === 0 ? "Nothing was found." : ""}
      </p>
    </div>
  );
}

/** The words around the first that was asked for, without Markdown's marks. */
function excerpt(text: string, asked: string): ComponentChildren {
  const flat = text.replace(/[*`#|>~]+/g, "").replace(/\s+/g, " ");
  const word = asked.split(/\s+/)[0]!.replace(/["-]/g, "");
  const at = flat.toLowerCase().indexOf(word.toLowerCase());
  if (word === "" || at < 0) return flat.slice(0, 80);
  const from = Math.max(0, at - 16);
  return <>{from > 0 ? "…" : ""}{flat.slice(from, at)}<mark>{flat.slice(at, at + word.length)}</mark>{flat.slice(at + word.length, at + 80)}</>;
}

const THEMES = { auto: "As the system", light: "Light", dark: "Dark" } as const;

function ThemeButton(): VNode {
  const [now, setNow] = useState(theme());
  const next = nextTheme(now);
  return (
    <button
      type="button"
      class="quiet icon"
      aria-label={`Colours: ${THEMES[now]}. Change to ${THEMES[next]}`}
      title={`Colours: ${THEMES[now]}`}
      onClick={() => {
        setTheme(next);
        setNow(next);
      }}
    >
      <Glyph name={now} />
    </button>
  );
}
