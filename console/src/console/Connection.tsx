// How the connection is: a badge that always tells, and a line where a person can or must do something about it.

import type { ConnectionState } from "agent-websocket";
import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";

const NAMES: Record<ConnectionState["status"], string> = {
  connecting: "Connecting",
  live: "Live",
  resuming: "Resuming",
  offline: "Offline",
  closed: "Not connected",
};

export function Badge({ state }: { state: ConnectionState }): VNode {
  return (
    <span class={`badge ${state.status}`} role="status" title="The connection to the server">
      {state.status === "closed" && state.reason === "timeout" ? "Paused" : NAMES[state.status]}
    </span>
  );
}

export interface ConnectionNoteProps { state: ConnectionState; onWake(): void; onLeave(): void }

export function ConnectionNote({ state, onWake, onLeave }: ConnectionNoteProps): VNode | null {
  if (state.status === "offline") return <Offline retryAt={state.retryAt} onWake={onWake} />;
  if (state.status !== "closed") return null;
  switch (state.reason) {
    case "timeout":
      return <Note text="Nothing happened here for a while. Write, or continue, and the session goes on." action="Continue" onAction={onWake} />;
    case "not_found":
      return <Note bad text="There is no such session, or it is somebody else's." action="Go to the latest" onAction={onLeave} />;
    case "deleted":
      return <Note bad text="This session was deleted." action="Go to the latest" onAction={onLeave} />;
    case "forbidden":
      return <Note bad text="This sign-in is not accepted any more." />;
    // `unauthorized` is asked about by a dialog; `client` and `reset` are this page's own doing.
    case "unauthorized":
    case "client":
    case "reset":
      return null;
    default:
      return <Note bad text={state.error.message} action="Try again" onAction={onWake} />;
  }
}

function Offline({ retryAt, onWake }: { retryAt: number; onWake(): void }): VNode {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.ceil((retryAt - now) / 1000);
  const when = seconds > 1 ? `Trying again in ${seconds} s.` : "Trying again.";
  return <Note text={`No connection to the server. What you send now goes out when it is back; answers go on without you. ${when}`} action="Try now" onAction={onWake} />;
}

interface NoteProps { text: string; bad?: boolean; action?: string; onAction?(): void }

export function Note({ text, bad, action, onAction }: NoteProps): VNode {
  return (
    <div class={bad ? "note bad" : "note"}>
      <span class="grow">{text}</span>
      {action ? <button type="button" class="small" onClick={onAction}>{action}</button> : null}
    </div>
  );
}
