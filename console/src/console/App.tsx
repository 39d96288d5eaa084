// The page put together: who is signed in, which session is open, what floats above.

import type { ConnectionState, SessionInfo } from "agent-websocket";
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Glyph } from "../Glyph.tsx";
import { SignIn } from "../SignIn.tsx";
import { claims, type TokenKeeper } from "../token.ts";
import { Badge, ConnectionNote, Note } from "./Connection.tsx";
import { Conversation } from "./Conversation.tsx";
import { Confirm, SignInAgain } from "./Dialog.tsx";
import { Inbox, Toasts } from "./Inbox.tsx";
import { ModelPicker } from "./ModelPicker.tsx";
import { ChatService, words } from "./service.ts";
import { Sidebar } from "./Sidebar.tsx";
import { useObservable } from "./useObservable.ts";

/** How long a word about something that failed stays, in milliseconds. */
const TOLD_MS = 6_000;

/** So long before its end a person is asked for another token, in milliseconds. */
const ENDING_MS = 60_000;

/** Signed in or not. Whoever signs in as somebody else begins with nothing of the one before. */
export function App({ tokens }: { tokens: TokenKeeper }): VNode {
  const [token, setToken] = useState(tokens.value);
  const [fault, setFault] = useState<string>();
  useEffect(() => tokens.subscribe(setToken), [tokens]);
  if (token === null) {
    return (
      <SignIn title="Agent WebSocket" fault={fault} onToken={(given) => { setFault(undefined); tokens.set(given); }}>
        <p>Sign in with an access token. Your operator or your app gives you one.</p>
      </SignIn>
    );
  }
  const refused = (message: string): void => {
    setFault(message);
    tokens.clear();
  };
  return <SignedIn key={claims(token).sub} tokens={tokens} onRefused={refused} onSignOut={() => { setFault(undefined); tokens.clear(); }} />;
}

interface SignedInProps { tokens: TokenKeeper; onRefused(message: string): void; onSignOut(): void }

function SignedIn({ tokens, onRefused, onSignOut }: SignedInProps): VNode | null {
  const [service, setService] = useState<ChatService>();
  useEffect(() => {
    const begun = new ChatService(tokens, sessionInAddress());
    setService(begun);
    return () => begun.end();
  }, [tokens]);
  return service ? <Page service={service} tokens={tokens} onRefused={onRefused} onSignOut={onSignOut} /> : null;
}

function Page({ service, tokens, onRefused, onSignOut }: SignedInProps & { service: ChatService }): VNode {
  const session = useObservable(service.session);
  const state = useObservable(session.state, true);
  const connection = useObservable(session.connection);
  const [menu, setMenu] = useState(false);
  const [target, setTarget] = useState<number>();
  const [doomed, setDoomed] = useState<SessionInfo>();
  const [told, tell] = useTold();
  const items = useObservable(service.client.notifications.items);
  const listed = useObservable(service.sessions)?.find(({ id }) => id === state.sessionId);
  // The socket tells a title when it changes; what it is at first, the list says.
  const title = state.title ?? listed?.title ?? "New conversation";
  useEffect(() => {
    document.title = `${items.length > 0 ? `(${items.length}) ` : ""}${title} · Agent WebSocket`;
  }, [title, items.length]);
  useAddress(service, state.sessionId);
  const open = (id: string, message?: number): void => {
    setTarget(message);
    setMenu(false);
    service.open(id);
  };
  const begin = (): void => {
    setTarget(undefined);
    setMenu(false);
    service.begin();
    document.getElementById("ask")?.focus();
  };
  useKeys(begin, () => setMenu(true));
  const remove = async ({ id }: SessionInfo): Promise<void> => {
    setDoomed(undefined);
    try {
      await service.delete(id);
    } catch (error) {
      tell(words(error));
    }
  };
  return (
    <div class={menu ? "app open" : "app"} onKeyDown={(event) => event.key === "Escape" && setMenu(false)}>
      <Sidebar service={service} chosen={state.sessionId} onOpen={open} onBegin={begin} onDelete={setDoomed} onSignOut={onSignOut} onTold={tell} />
      {menu ? <button type="button" class="scrim only-phone" aria-label="Close the list" onClick={() => setMenu(false)} /> : null}
      <main class="main">
        <header class="bar">
          <button type="button" class="quiet icon only-phone" aria-label="Conversations" aria-expanded={menu} onClick={() => setMenu(true)}><Glyph name="menu" /></button>
          <h1 title={title}>{title}</h1>
          <Badge state={connection} />
          <Inbox notifications={service.client.notifications} onOpen={open} onTold={tell} />
        </header>
        <ConnectionNote state={connection} onWake={() => service.wake()} onLeave={() => open("latest")} />
        <TokenNotes tokens={tokens} connection={connection} known={state.userId !== null} onRefused={onRefused} />
        {told ? <div role="alert"><Note bad text={told} /></div> : null}
        <Conversation session={session} target={target} onTold={tell} picker={<ModelPicker service={service} session={session} live={state.live} onTold={tell} />} />
      </main>
      <Toasts notifications={service.client.notifications} isLive={() => service.session.value.connection.value.status === "live"} onTold={tell} />
      {doomed ? (
        <Confirm title="Delete this conversation?" action="Delete" onYes={() => void remove(doomed)} onNo={() => setDoomed(undefined)}>
          <p>“{doomed.title ?? "New conversation"}” is removed with everything in it, on all devices. This cannot be undone.</p>
        </Confirm>
      ) : null}
    </div>
  );
}

interface TokenNotesProps { tokens: TokenKeeper; connection: ConnectionState; known: boolean; onRefused(message: string): void }

/** A token ends: a person is told in time, and asked for another without losing what is on the screen. */
function TokenNotes({ tokens, connection, known, onRefused }: TokenNotesProps): VNode | null {
  const [token, setToken] = useState(tokens.value);
  const [, look] = useState(0);
  const [asking, setAsking] = useState(false);
  const ended = connection.status === "closed" && connection.reason === "unauthorized";
  useEffect(() => tokens.subscribe(setToken), [tokens]);
  useEffect(() => setAsking(ended), [ended, token]);
  const { exp } = claims(token);
  const left = exp === undefined ? Infinity : exp * 1000 - Date.now();
  useEffect(() => {
    // A timer cannot wait longer than 24 days.
    const timer = setTimeout(() => look(Date.now()), Math.min(Math.max(0, left - ENDING_MS) + 50, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  }, [token]);
  useEffect(() => {
    // Never accepted: then there is nothing on the screen to be kept.
    if (ended && !known) onRefused("The token was not accepted, or has ended.");
  }, [ended, known]);
  const ask = (): void => setAsking(true);
  return (
    <>
      {ended ? <Note bad text="Your token has ended. Answers go on without you." action="Sign in again" onAction={ask} /> : null}
      {/* The page around a frame brings the next one by itself. */}
      {left <= ENDING_MS && !ended && parent === window ? <Note text="Your token ends within a minute." action="Give another" onAction={ask} /> : null}
      {asking ? <SignInAgain ended={ended} onToken={(given) => { setAsking(false); tokens.set(given); }} onLater={() => setAsking(false)} /> : null}
    </>
  );
}

/** The session in the address, so that a reload and the browser's "back" find it. */
function sessionInAddress(): string | undefined {
  return new URLSearchParams(location.hash.slice(1)).get("s") ?? undefined;
}

function useAddress(service: ChatService, id: string | null): void {
  useEffect(() => {
    const changed = (): void => {
      const wanted = sessionInAddress();
      if (wanted !== undefined) service.open(wanted);
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, [service]);
  const before = useRef<string | null>(null);
  useEffect(() => {
    if (id === null) return;
    const address = `#s=${id}`;
    if (before.current === null) history.replaceState(null, "", address);
    else if (location.hash !== address) history.pushState(null, "", address);
    before.current = id;
  }, [id]);
}

/** A word about something that failed, for a while. */
function useTold(): [string, (text: string) => void] {
  const [told, setTold] = useState("");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  return [told, (text) => {
    clearTimeout(timer.current);
    setTold(text);
    timer.current = setTimeout(() => setTold(""), TOLD_MS);
  }];
}

function useKeys(onBegin: () => void, onMenu: () => void): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const writing = event.target instanceof Element && event.target.closest("input, textarea, select") !== null;
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        onMenu();
        requestAnimationFrame(() => document.getElementById("search")?.focus());
      } else if (event.altKey && event.code === "KeyN") {
        event.preventDefault();
        onBegin();
      } else if (event.key === "/" && !writing) {
        event.preventDefault();
        document.getElementById("ask")?.focus();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  });
}
