// One message as an application sees it, wherever it comes from.

import type { Message as Stored, Usage } from "./generated/frames.js";

export type MessageState =
  | "sending" // a query that the server has not accepted yet
  | "refused" // a query that the server did not take; `error` says why
  | "queued" // an accepted query whose run waits
  | "streaming" // an answer that is being written
  | "complete" | "cancelled" | "incomplete" | "failed"; // stored; the last three of answers only

export interface MessageError {
  readonly code: string;
  /** For a person, where the server gave a text. */
  readonly message?: string;
  readonly retryable: boolean;
}

export interface Message {
  /** The same from the first sight of a message to its last: for lists of a user interface. */
  readonly key: string;
  /** The server's `message_id`; null until a query is accepted. */
  readonly id: string | null;
  /** The place in the log; null until it is stored there. */
  readonly seq: number | null;
  readonly role: "user" | "assistant" | "notification";
  readonly content: string;
  readonly state: MessageState;
  readonly createdAt: string;
  readonly runId?: string;
  /** Of an answer: the `id` of its query. */
  readonly inReplyTo?: string;
  /** Of an answer: a newer one to the same query is in the list. */
  readonly superseded?: boolean;
  /** Of an answer that is being written. */
  readonly attempt?: number;
  readonly model?: string;
  readonly finishReason?: string;
  readonly usage?: Usage;
  readonly error?: MessageError;
  /** Of an answer: its text does not have the hash that the server names, also when asked for again. */
  readonly unverified?: true;
}

/** A stored message in the form of the list. */
export function stored(item: Stored): Message {
  return {
    key: item.id ?? item.message_id,
    id: item.message_id,
    seq: item.seq,
    role: item.role,
    content: item.content,
    state: item.state,
    createdAt: item.created_at,
    ...optional({
      runId: item.run_id,
      inReplyTo: item.in_reply_to,
      model: item.model,
      finishReason: item.finish_reason,
      usage: item.usage,
      error: item.error,
    }),
  };
}

/** Leaves out what is undefined: an absent field and an undefined one are the same to a reader, not to `exactOptionalPropertyTypes`. */
export function optional<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
