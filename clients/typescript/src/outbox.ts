// What was said to the server and not answered yet: sent when live, sent again under the same id after a cut.
//
// Every frame that goes through here is one that the server may get twice without harm: queries and `regenerate` are
// idempotent by their id, the other commands by what they do.

import type { Env } from "./env.js";
import { AgentError } from "./errors.js";
import type { AcceptedFrame, ClientFrame, CommandResult, ErrorFrame, FeedbackFrame, QueryFrame } from "./generated/frames.js";
import type { CheckedFrame } from "./verifier.js";

/** So many may wait; more are refused with `outbox_full`. */
const CAPACITY = 256;
/** So many are under way at once: a long outbox after a cut must not look like a flood. */
const WINDOW = 16;
/** After so many refusals that only ask for patience the refusal is passed on. */
const TRIES = 5;

export type Reply = CommandResult | AcceptedFrame | FeedbackFrame | QueryFrame;

export type OutgoingFrame = ClientFrame & { readonly id: string };

interface Entry {
  readonly text: string;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: AgentError) => void;
  sent: boolean;
  tries: number;
}

export class Outbox {
  readonly #env: Env;
  /** Gives a text to the socket, and says whether it took it. */
  readonly #send: (text: string) => boolean;
  readonly #entries = new Map<string, Entry>();
  #open = false;
  #timer: unknown = null;
  #paused = false;

  constructor(env: Env, send: (text: string) => boolean) {
    this.#env = env;
    this.#send = send;
  }

  add(frame: OutgoingFrame): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#entries.size >= CAPACITY) {
        reject(new AgentError("outbox_full", "Too much waits to be sent", { retryable: true }));
        return;
      }
      this.#entries.set(frame.id, { text: JSON.stringify(frame), resolve, reject, sent: false, tries: 0 });
      this.#flush();
    });
  }

  /** Takes back what was never sent. */
  withdraw(id: string): boolean {
    const entry = this.#entries.get(id);
    if (!entry || entry.sent || entry.tries > 0) return false;
    this.#entries.delete(id);
    entry.reject(new AgentError("cancelled", "It was withdrawn before it was sent"));
    return true;
  }

  /** The connection is live: what waits goes out, in its order. */
  open(): void {
    this.#open = true;
    this.#flush();
  }

  /** The connection is gone: what was sent is in doubt, and goes out again with the next. */
  shut(): void {
    this.#open = false;
    this.#resume();
    for (const entry of this.#entries.values()) {
      if (entry.sent) entry.tries = Math.max(entry.tries, 1);
      entry.sent = false;
    }
  }

  /** Nothing of this will be answered. */
  fail(error: AgentError): void {
    this.shut();
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) entry.reject(error);
  }

  receive(frame: CheckedFrame): void {
    // One's own query in the log: its `accepted` was lost with the connection before, and there is no need to ask again.
    const id = frame.type === "query" ? frame.id : "re" in frame ? frame.re : undefined;
    const entry = id === undefined ? undefined : this.#entries.get(id);
    if (id === undefined || !entry) return;
    if (frame.type === "error" && this.#tryAgain(entry, frame)) return;
    this.#entries.delete(id);
    if (frame.type === "error") entry.reject(AgentError.of(frame));
    else entry.resolve(frame as Reply);
    this.#flush();
  }

  /**
   * A refusal that only asks for patience. Waiting matters most for what is sent again after a cut: its first copy may have
   * been accepted, so that passing the refusal on would be wrong.
   */
  #tryAgain(entry: Entry, frame: ErrorFrame): boolean {
    if (frame.code !== "rate_limited" && frame.code !== "internal") return false;
    if (++entry.tries > TRIES) return false;
    entry.sent = false;
    if (!this.#paused) {
      this.#paused = true;
      this.#timer = this.#env.setTimeout(() => {
        this.#resume();
        this.#flush();
      }, frame.retry_after_ms ?? 1_000);
    }
    return true;
  }

  #resume(): void {
    this.#env.clearTimeout(this.#timer);
    this.#paused = false;
  }

  #flush(): void {
    if (!this.#open || this.#paused) return;
    let underWay = 0;
    for (const entry of this.#entries.values()) {
      if (!entry.sent) {
        if (!this.#send(entry.text)) return;
        entry.sent = true;
      }
      if (++underWay >= WINDOW) return;
    }
  }
}
