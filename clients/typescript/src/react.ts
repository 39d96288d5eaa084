// React on top of the client: the session's state and connection as external stores.

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Client } from "./client.js";
import type { ConnectionState } from "./connection.js";
import type { Notification } from "./notifications.js";
import { Subject, type Observable } from "./observable.js";
import type { SendOptions, Session } from "./session.js";
import { EMPTY, type SessionState } from "./state.js";
import type { Turn } from "./turn.js";

/** The current value of anything that this client lets one watch. */
export function useObservable<T>(observable: Observable<T>): T {
  const subscribe = useCallback((changed: () => void) => observable.subscribe(changed), [observable]);
  const read = (): T => observable.value;
  return useSyncExternalStore(subscribe, read, read);
}

export interface UseSession {
  /** Null until the component is mounted. */
  readonly session: Session | null;
  readonly state: SessionState;
  readonly connection: ConnectionState;
  /** `session.send`; null until the component is mounted. */
  readonly send: (content: string, options?: SendOptions) => Turn | null;
  /** Stops the answer that is being written. */
  readonly cancel: () => void;
}

const NO_STATE = new Subject<SessionState>(EMPTY);
const NO_CONNECTION = new Subject<ConnectionState>({ status: "connecting" });
/** How many mounted components use a session: `open` shares them, and the last one closes. */
const users = new WeakMap<Session, number>();

/** Opens a session (an id, `latest`, or a new one) while the component is mounted, and follows it. */
export function useSession(client: Client, id?: string): UseSession {
  const [session, setSession] = useState<Session | null>(null);
  useEffect(() => {
    const opened = client.sessions.open(id);
    users.set(opened, (users.get(opened) ?? 0) + 1);
    setSession(opened);
    return () => {
      const left = (users.get(opened) ?? 1) - 1;
      users.set(opened, left);
      if (left === 0) opened.close();
      setSession(null);
    };
  }, [client, id]);
  const state = useObservable(session?.state ?? NO_STATE);
  const connection = useObservable(session?.connection ?? NO_CONNECTION);
  const send = useCallback((content: string, options?: SendOptions) => session?.send(content, options) ?? null, [session]);
  const cancel = useCallback(() => void session?.cancel().catch(() => {}), [session]);
  return { session, state, connection, send, cancel };
}

/** The user's unacknowledged notifications, the oldest first. */
export function useNotifications(client: Client): readonly Notification[] {
  return useObservable(client.notifications.items);
}
