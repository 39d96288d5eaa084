// The user's notifications, whichever session's socket brought them: each once, until somebody acknowledges it.

import type { MessageFrame, Priority } from "./generated/frames.js";
import { Subject, tell, type Observable } from "./observable.js";
import type { CheckedFrame } from "./verifier.js";

/** How many ids are remembered, so that a repeat is not shown twice. */
const REMEMBERED = 4_096;
/** How many unacknowledged ones are held; of more the newest. */
const HELD = 1_000;

export interface Notification {
  readonly id: string;
  readonly kind: string;
  readonly title: string | null;
  readonly content: string;
  readonly data: unknown;
  readonly priority: Priority;
  readonly createdAt: string;
  readonly sessionId: string | null;
}

/** Carries out an `ack`; gives the ids that it acknowledged. */
export type Acknowledge = (what: { notification_ids: string[] } | { all: true }) => Promise<string[]>;

export class Notifications {
  readonly #items = new Subject<readonly Notification[]>([]);
  readonly #seen = new Set<string>();
  readonly #listeners = new Set<(notification: Notification) => void>();
  readonly #acknowledge: Acknowledge;
  #user: string | null = null;

  constructor(acknowledge: Acknowledge) {
    this.#acknowledge = acknowledge;
  }

  /** What nobody has acknowledged yet, the oldest first. Its length is the unread count. */
  get items(): Observable<readonly Notification[]> {
    return this.#items;
  }

  /** Calls `listener` for each that arrives from now on, once. Returns what ends it. */
  onNew(listener: (notification: Notification) => void): () => void {
    const own = (notification: Notification): void => listener(notification);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** They were seen: they go here at once, and on the user's other devices when the server has it. */
  async ack(ids: string | readonly string[]): Promise<void> {
    const named = typeof ids === "string" ? [ids] : [...ids];
    const gone = this.#remove(named);
    try {
      // The server takes so many at a time.
      for (let at = 0; at < named.length; at += 1_000) await this.#acknowledge({ notification_ids: named.slice(at, at + 1_000) });
    } catch (error) {
      this.#putBack(gone);
      throw error;
    }
  }

  /** All that is due was seen, also what is not held here. */
  async ackAll(): Promise<void> {
    const gone = this.#remove(this.#items.value.map((item) => item.id));
    try {
      this.#remove(await this.#acknowledge({ all: true }));
    } catch (error) {
      this.#putBack(gone);
      throw error;
    }
  }

  /** @internal */
  receive(frame: CheckedFrame): void {
    if (frame.type !== "notification") return;
    if (frame.event === "cleared") this.#remove(frame.notification_ids);
    else if (frame.event === "message") this.#add(frame);
    else if (frame.event === "welcome") {
      // A token of someone else without `reset()`: what the one before was told is not for the one now.
      if (this.#user !== null && this.#user !== frame.user_id) this.clear();
      this.#user = frame.user_id;
    }
  }

  /** @internal */
  clear(): void {
    this.#user = null;
    this.#seen.clear();
    this.#items.set([]);
  }

  #add(frame: MessageFrame): void {
    if (this.#seen.has(frame.notification_id)) return;
    this.#seen.add(frame.notification_id);
    const [oldest] = this.#seen;
    if (this.#seen.size > REMEMBERED && oldest !== undefined) this.#seen.delete(oldest);
    const notification: Notification = {
      id: frame.notification_id,
      kind: frame.kind,
      title: frame.title ?? null,
      content: frame.content,
      data: frame.data ?? null,
      priority: frame.priority,
      createdAt: frame.created_at,
      sessionId: frame.session_id,
    };
    this.#items.set([...this.#items.value, notification].slice(-HELD));
    for (const listener of [...this.#listeners]) tell(listener, notification);
  }

  #remove(ids: readonly string[]): Notification[] {
    const named = new Set(ids);
    const gone = this.#items.value.filter((item) => named.has(item.id));
    if (gone.length > 0) this.#items.set(this.#items.value.filter((item) => !named.has(item.id)));
    return gone;
  }

  #putBack(gone: Notification[]): void {
    if (gone.length > 0) this.#items.set([...gone, ...this.#items.value].slice(-HELD));
  }
}
