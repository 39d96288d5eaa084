// The client: sessions, search and notifications of one user.

import { environment, type Env, type SocketConstructor } from "./env.js";
import { AgentError } from "./errors.js";
import type { Acknowledged, MatchList, Session as SessionRow, SessionList } from "./generated/frames.js";
import { Http, addresses, query } from "./http.js";
import { Notifications } from "./notifications.js";
import { Session, type OpenTarget } from "./session.js";
import { stored, type Message } from "./message.js";
import type { GetToken } from "./token.js";

export interface ClientOptions {
  /** Of the service (`https://agent.example.com`) or its socket (`wss://agent.example.com/v1/ws`); in a page also relative. */
  url: string;
  /** Asked before every connection and request, and when a token is about to end. Keep no token longer than it holds. */
  getToken: GetToken;
  /** Where there is no global one (Node before 22): that of the package `ws`. */
  WebSocket?: SocketConstructor;
  fetch?: typeof fetch;
  /** A stable name of this device, 1 to 48 of `[A-Za-z0-9_-]`; random for each client unless given. */
  deviceId?: string;
}

export interface SessionInfo {
  readonly id: string;
  readonly title: string | null;
  readonly model: string | null;
  readonly metadata: Record<string, unknown>;
  readonly lastSeq: number;
  readonly activeRunId: string | null;
  readonly createdAt: string;
  readonly lastActivityAt: string;
}

export interface Match extends Message {
  readonly sessionId: string;
}

export interface SessionFields {
  title?: string;
  model?: string | null;
  metadata?: Record<string, unknown>;
}

export interface Sessions {
  /** Opens one: a new one, that with this id, or the user's `latest`. Connects at once; one that is open already is shared. */
  open(id?: string, options?: Pick<OpenTarget, "after">): Session;
  /** Makes one with these fields and opens it. */
  create(fields?: SessionFields): Promise<Session>;
  /** The most recently active first; `before` is the last id of the page before. At most 200. */
  list(page?: { limit?: number; before?: string }): Promise<SessionInfo[]>;
  get(id: string): Promise<SessionInfo>;
  update(id: string, fields: SessionFields): Promise<SessionInfo>;
  rename(id: string, title: string): Promise<SessionInfo>;
  delete(id: string): Promise<void>;
}

export interface Client {
  readonly sessions: Sessions;
  readonly notifications: Notifications;
  /** The user's messages that hold these words, in all sessions. */
  search(words: string, options?: { limit?: number }): Promise<Match[]>;
  /** At logout: closes every session and forgets everything about the user. The client can be used again, by the next one. */
  reset(): void;
}

export function createClient(options: ClientOptions): Client {
  return clientWith(environment(options), options);
}

/** @internal With a world of the test's own. */
export function clientWith(env: Env, options: ClientOptions): Client {
  const { socket, http: root } = addresses(options.url);
  const http = new Http(env, options.getToken, root);
  const deviceId = options.deviceId ?? env.uniqueName();
  const open = new Set<Session>();
  let opened = 0;
  let user = 0;

  /** An answer that comes after `reset()` was meant for the user before. */
  async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const asked = user;
    const result = await http.request<T>(method, path, body);
    if (asked !== user) throw new AgentError("closed", "The client was reset");
    return result;
  }

  const notifications = new Notifications(async (what) => {
    // Over a socket it is repeated after a cut.
    const [session] = open;
    const acknowledged = session ? await session.command("ack", what) : await request<Acknowledged>("POST", "/v1/notifications/ack", what);
    return acknowledged.notification_ids;
  });

  function openSession(target: OpenTarget): Session {
    for (const session of open) if (target.id !== undefined && session.id === target.id) return session;
    const session: Session = new Session(
      {
        env,
        getToken: options.getToken,
        socketUrl: socket,
        // Two sockets of one device in one session replace each other: each session of this client has a name of its own.
        deviceId: `${deviceId}-${++opened}`,
        heard: (frame) => {
          if (open.has(session)) notifications.receive(frame);
        },
        left: (gone) => void open.delete(gone),
      },
      target,
    );
    open.add(session);
    return session;
  }

  const sessions: Sessions = {
    open: (id, { after } = {}) => openSession({ ...(id !== undefined && { id }), ...(after !== undefined && { after }) }),
    async create(fields = {}) {
      return openSession({ id: info(await request("POST", "/v1/sessions", fields)).id, after: 0 });
    },
    async list(page = {}) {
      const { sessions: rows } = await request<SessionList>("GET", `/v1/sessions${query(page)}`);
      return rows.map(info);
    },
    get: async (id) => info(await request("GET", path(id))),
    update: async (id, fields) => info(await request("PATCH", path(id), fields)),
    rename: (id, title) => sessions.update(id, { title }),
    delete: (id) => request("DELETE", path(id)),
  };

  return {
    sessions,
    notifications,
    async search(words, { limit } = {}) {
      const { matches } = await request<MatchList>("GET", `/v1/search${query({ q: words, limit })}`);
      return matches.map((match) => ({ ...stored(match), sessionId: match.session_id }));
    },
    reset() {
      user++;
      for (const session of [...open]) session.dispose("reset", "The client was reset");
      notifications.clear();
    },
  };
}

function path(id: string): string {
  return `/v1/sessions/${encodeURIComponent(id)}`;
}

function info(row: SessionRow): SessionInfo {
  return {
    id: row.session_id,
    title: row.title,
    model: row.model,
    metadata: row.metadata,
    lastSeq: row.last_seq,
    activeRunId: row.active_run_id,
    createdAt: row.created_at,
    lastActivityAt: row.last_activity_at,
  };
}
