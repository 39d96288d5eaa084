// A world for unit tests: a clock that only the test moves, sockets whose server is the test, and chance that is known.

import { createHash } from "node:crypto";
import type { Env, SocketConstructor, SocketLike, Wake } from "../src/env.js";
import type { ServerFrame } from "../src/generated/frames.js";

export type Said = Record<string, unknown> & { id?: string; type: string; content?: string };

export class FakeSocket implements SocketLike {
  readonly said: Said[] = [];
  /** The client has let go of it. */
  dropped = false;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  onerror: SocketLike["onerror"] = null;

  constructor(readonly url: string, readonly protocols: string[]) {}

  get parameters(): Record<string, string> {
    return Object.fromEntries(new URL(this.url).searchParams);
  }

  send(text: string): void {
    this.said.push(JSON.parse(text) as Said);
  }

  close(): void {
    this.dropped = true;
  }

  tell(...frames: unknown[]): void {
    for (const frame of frames) this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  cut(code = 1006, reason = ""): void {
    this.onclose?.({ code, reason });
  }
}

interface Timer {
  at: number;
  run: () => void;
}

export class World {
  time = 1_800_000_000_000;
  /** What `random` gives. */
  chance = 0.5;
  readonly sockets: FakeSocket[] = [];
  readonly timers = new Set<Timer>();
  readonly env: Env;
  /** What `fetch` gives. */
  http: (request: { method: string; path: string; headers: Record<string, string>; body: unknown }) => { status: number; body?: unknown } | Error = () => ({
    status: 404,
  });
  #names = 0;
  #wakes = new Set<(wake: Wake) => void>();

  constructor() {
    const world = this;
    this.env = {
      now: () => world.time,
      setTimeout(run, ms) {
        const timer = { at: world.time + ms, run };
        world.timers.add(timer);
        return timer;
      },
      clearTimeout: (timer) => void world.timers.delete(timer as Timer),
      random: () => world.chance,
      uniqueName: () => `name-${++world.#names}`,
      sha256: (text) => Promise.resolve(sha256(text)),
      WebSocket: class extends FakeSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols);
          world.sockets.push(this);
        }
      } as SocketConstructor,
      fetch: (async (input: string, init: RequestInit) => {
        const body: unknown = init.body === undefined || init.body === null ? undefined : JSON.parse(String(init.body));
        const result = world.http({ method: init.method ?? "GET", path: input, headers: init.headers as Record<string, string>, body });
        if (result instanceof Error) throw result;
        return new Response(result.status === 204 ? null : JSON.stringify(result.body ?? {}), { status: result.status });
      }) as typeof fetch,
      onWake(listener) {
        world.#wakes.add(listener);
        return () => void world.#wakes.delete(listener);
      },
    };
  }

  /** The newest socket. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("No socket was opened");
    return socket;
  }

  wake(wake: Wake): void {
    for (const listener of [...this.#wakes]) listener(wake);
  }

  get wakeListeners(): number {
    return this.#wakes.size;
  }

  /** Lets everything happen that waits for no clock. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves the clock; what is due on the way runs at its moment. */
  async pass(ms: number): Promise<void> {
    const until = this.time + ms;
    await this.settle();
    for (;;) {
      const next = [...this.timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.run();
      await this.settle();
    }
    this.time = until;
  }

  /** The machine sleeps: the clock goes on, nothing else does. What was due runs on waking. */
  async sleep(ms: number): Promise<void> {
    this.time += ms;
    await this.pass(0);
  }

  /** The milliseconds until the next timer. */
  get next(): number {
    return Math.min(...[...this.timers].map((timer) => timer.at)) - this.time;
  }
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export const SESSION = "01a21482-0ecb-71bc-a028-8be1867513ee";

const timestamp = "2026-11-25T21:00:00.000Z";

/** Frames as the server makes them, for what the recording does not hold. */
export const frames = {
  welcome: (fields: object = {}): ServerFrame => ({
    type: "notification", event: "welcome", content: "Connected", timestamp, session_id: SESSION, resumed: false, head: 0, first_available: 0,
    connection_id: "c", user_id: "demo", protocol: 1, heartbeat_ms: 25_000, max_message_bytes: 262_144, token_expires_at: timestamp,
    reconnect: { base_ms: 500, max_ms: 30_000, jitter_ms: 500 }, ...fields,
  }),
  live: (head = 0): ServerFrame => ({ type: "status", event: "live", content: "Live", timestamp, session_id: SESSION, head }),
  heartbeat: (head = 0): ServerFrame => ({ type: "status", event: "heartbeat", content: "Still here", timestamp, session_id: SESSION, head }),
  accepted: (re: string, seq: number, fields: object = {}): ServerFrame => ({
    type: "status", event: "accepted", content: "Accepted", timestamp, re, session_id: SESSION, seq, message_id: `m-${seq}`, run_id: `r-${seq}`,
    queue_position: 0, duplicate: false, ...fields,
  }),
  query: (seq: number, fields: object = {}): ServerFrame => ({
    type: "query", content: `Question ${seq}`, timestamp, session_id: SESSION, seq, message_id: `m-${seq}`, run_id: `r-${seq}`, ...fields,
  }),
  thinking: (query: number, fields: object = {}): ServerFrame => ({
    type: "status", event: "thinking", content: "Thinking...", timestamp, session_id: SESSION, run_id: `r-${query}`, in_reply_to: `m-${query}`,
    message_id: `a-${query}`, ...fields,
  }),
  delta: (query: number, offset: number, content: string, attempt = 1): ServerFrame => ({
    type: "delta", content, timestamp, session_id: SESSION, message_id: `a-${query}`, run_id: `r-${query}`, attempt, offset,
  }),
  response: (query: number, seq: number, content: string, fields: object = {}): ServerFrame => ({
    type: "response", content, timestamp, session_id: SESSION, seq, message_id: `a-${query}`, in_reply_to: `m-${query}`, run_id: `r-${query}`,
    state: "complete", length: content.length, sha256: sha256(content), ...fields,
  }),
  error: (code: string, fields: object = {}): ServerFrame =>
    ({ type: "error", content: `It is ${code}`, timestamp, code, retryable: false, ...fields }) as ServerFrame,
  done: (event: string, re: string, data: object = {}): ServerFrame =>
    ({ type: "status", event, content: "Done", timestamp, re, data }) as unknown as ServerFrame,
  notification: (id: string, fields: object = {}): ServerFrame => ({
    type: "notification", event: "message", content: `Notification ${id}`, timestamp, notification_id: id, kind: "message", priority: "normal",
    created_at: timestamp, session_id: null, ...fields,
  }),
};
