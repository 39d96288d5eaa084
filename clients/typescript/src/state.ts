// What a session looks like: one list of messages and a cursor, changed by frames. Pure: a frame and a state give the next
// state, or say that something was missed and the connection has to resume.

import { place } from "./assembler.js";
import type {
  AcceptedFrame, DeltaFrame, ErrorFrame, LiveFrame, Message as Stored, MessageFrame, QueryFrame, ThinkingFrame, WelcomeFrame,
} from "./generated/frames.js";
import { optional, stored, type Message, type MessageError } from "./message.js";
import type { CheckedFrame, CheckedResponse } from "./verifier.js";

export interface SessionState {
  readonly sessionId: string | null;
  readonly userId: string | null;
  readonly title: string | null;
  /** Stored ones by `seq` without a hole, then the answer being written, then queries not yet accepted. */
  readonly messages: readonly Message[];
  /** The answer that is being written, also the last but the unsent of `messages`. */
  readonly streaming: Message | null;
  /** The highest `seq` that was applied. */
  readonly cursor: number;
  /** Whether `cursor` says where to resume: false until a message was applied, or a catch-up ended without one. */
  readonly anchored: boolean;
  /** The earliest `seq` that `history` can read; 0 while there is none. */
  readonly firstAvailable: number;
  /** Whether there are messages before the first of `messages`: `loadEarlier` reads them. */
  readonly hasEarlier: boolean;
  /** What the last catch-up left out; the messages before it were dropped from `messages`. */
  readonly gap: { readonly from: number; readonly to: number } | null;
  /** The catch-up of this connection is complete. */
  readonly live: boolean;
  readonly deleted: boolean;
  /** Internal: the server has spoken of the answer being written since it last said `welcome`. */
  readonly confirmed: boolean;
  /** Internal: the text of a failed run's error, until its response. */
  readonly failure: { readonly runId: string; readonly message: string } | null;
}

export const EMPTY: SessionState = {
  sessionId: null, userId: null, title: null, messages: [], streaming: null, cursor: 0, anchored: false, firstAvailable: 0,
  hasEarlier: false, gap: null, live: false, deleted: false, confirmed: false, failure: null,
};

export interface Step {
  readonly state: SessionState;
  /** Something was missed: drop the connection and resume from `state.cursor`. */
  readonly resync?: string;
}

/** What the next connection asks for. `after` is absent while there is no cursor: the server then sends the newest messages. */
export function resumePoint(state: SessionState): { session_id?: string; after?: number } {
  if (state.sessionId === null) return {};
  return state.anchored ? { session_id: state.sessionId, after: state.cursor } : { session_id: state.sessionId };
}

export function reduce(state: SessionState, frame: CheckedFrame): Step {
  switch (frame.type) {
    case "notification":
      if (frame.event === "welcome") return { state: welcome(state, frame) };
      if (frame.event === "message" && frame.seq !== undefined) return noted(state, frame);
      return { state };
    case "query":
      return mine(state, frame) ? asked(state, frame) : { state };
    case "delta":
      return mine(state, frame) ? written(state, frame) : { state };
    case "response":
      return mine(state, frame) ? answered(state, frame) : { state };
    case "error":
      return { state: failed(state, frame) };
    case "status":
      break;
    default:
      return { state };
  }
  switch (frame.event) {
    case "accepted":
      return mine(state, frame) ? accepted(state, frame) : { state };
    case "thinking":
      return { state: mine(state, frame) ? thinking(state, frame) : state };
    case "live":
      return mine(state, frame) ? caughtUp(state, frame) : { state };
    case "heartbeat":
      return state.live && mine(state, frame) && frame.head > state.cursor
        ? { state, resync: "the heartbeat tells of messages that did not arrive" }
        : { state };
    case "run":
      return { state: mine(state, frame) && frame.state === "queued" ? requeued(state, frame.run_id) : state };
    case "session":
      return { state: mine(state, frame) ? { ...state, title: frame.title, deleted: frame.deleted } : state };
    case "rename":
      return { state: { ...state, title: frame.data.title } };
    default:
      return { state };
  }
}

/** A query of this client, not accepted yet. */
export function sending(state: SessionState, query: { id: string; content: string; createdAt: string }): SessionState {
  const message: Message = {
    key: query.id, id: null, seq: null, role: "user", content: query.content, state: "sending", createdAt: query.createdAt,
  };
  return { ...state, messages: [...state.messages, message] };
}

/** The server did not take it. It stays in the list, for the user to see, until `dismissed`. */
export function refused(state: SessionState, key: string, error: MessageError): SessionState {
  return replace(state, (message) => message.key === key && message.seq === null, (message) => ({ ...message, state: "refused", error }));
}

/** Takes an unaccepted query out of the list. */
export function dismissed(state: SessionState, key: string): SessionState {
  return { ...state, messages: state.messages.filter((message) => message.key !== key || message.id !== null) };
}

/** Messages from before the first that is held, as `history` gave them. */
export function prepended(state: SessionState, items: readonly Stored[]): SessionState {
  const first = firstSeq(state);
  const earlier = items.filter((item) => first === null || item.seq < first).map(stored);
  if (first !== null && earlier.length > 0 && earlier[earlier.length - 1]?.seq !== first - 1) return state;
  return settle(mark({ ...state, messages: [...earlier, ...state.messages] }));
}

/** The connection was lost: nothing of it is live any more. */
export function cut(state: SessionState): SessionState {
  return state.live ? { ...state, live: false } : state;
}

function mine(state: SessionState, frame: { session_id: string }): boolean {
  return frame.session_id === state.sessionId;
}

function welcome(state: SessionState, frame: WelcomeFrame): SessionState {
  const same = state.sessionId === null || state.sessionId === frame.session_id;
  // Another session, or a log that ends before what was applied: what is held is not what is stored.
  const dropped = !same || frame.head < state.cursor;
  const next: SessionState = {
    ...state,
    sessionId: frame.session_id,
    userId: frame.user_id,
    firstAvailable: frame.first_available,
    gap: frame.gap ?? null,
    live: false,
    confirmed: false,
  };
  if (dropped) return { ...next, ...unsentOnly(state), cursor: 0, anchored: false };
  // What is held ends before the gap. The list keeps no hole: `loadEarlier` reads backwards over it.
  if (frame.gap) return { ...next, ...unsentOnly(state), cursor: frame.gap.to, anchored: true };
  return next;
}

function unsentOnly(state: SessionState): Pick<SessionState, "messages" | "streaming"> {
  return { messages: state.messages.filter((message) => message.id === null), streaming: null };
}

function caughtUp(state: SessionState, frame: LiveFrame): Step {
  if (frame.head > state.cursor) return { state, resync: "the catch-up ended before its head" };
  // The answer that this client saw being written has no run any more, or one that starts anew: else the server had sent it.
  const next = state.confirmed ? state : withoutStreaming(state);
  return { state: settle({ ...next, live: true, anchored: true }) };
}

type Place = "next" | "known" | "missed";

function placeOf(state: SessionState, seq: number): Place {
  if (seq <= state.cursor) return "known";
  return seq === state.cursor + 1 || !state.anchored ? "next" : "missed";
}

function missed(state: SessionState, seq: number): Step {
  return { state, resync: `message ${state.cursor + 1} did not arrive before ${seq}` };
}

function accepted(state: SessionState, frame: AcceptedFrame): Step {
  const pending = state.messages.find((message) => message.id === null && message.key === frame.re);
  const message: Message = {
    key: frame.re ?? frame.message_id,
    id: frame.message_id,
    seq: frame.seq,
    role: "user",
    content: pending?.content ?? "",
    state: frame.queue_position > 0 ? "queued" : "complete",
    createdAt: frame.timestamp,
    runId: frame.run_id,
  };
  const rest = pending ? without(state, pending) : state;
  // A repeat stands outside the order. Where the message itself is not held it lies before what is loaded.
  if (frame.duplicate) return { state: rest };
  const place = placeOf(state, frame.seq);
  if (place === "missed") return missed(state, frame.seq);
  return { state: place === "known" || !pending ? { ...rest, cursor: Math.max(rest.cursor, frame.seq) } : append(rest, message) };
}

function asked(state: SessionState, frame: QueryFrame): Step {
  const place = placeOf(state, frame.seq);
  if (place === "missed") return missed(state, frame.seq);
  // One's own, whose `accepted` was lost with the connection.
  const pending = frame.id === undefined ? undefined : state.messages.find((message) => message.id === null && message.key === frame.id);
  const rest = pending ? without(state, pending) : state;
  if (place === "known") return { state: rest };
  return {
    state: append(rest, {
      key: frame.id ?? frame.message_id,
      id: frame.message_id,
      seq: frame.seq,
      role: "user",
      content: frame.content,
      state: "complete",
      createdAt: frame.timestamp,
      ...optional({ runId: frame.run_id }),
    }),
  };
}

function noted(state: SessionState, frame: MessageFrame): Step {
  if (frame.session_id !== state.sessionId || frame.seq === undefined) return { state };
  const place = placeOf(state, frame.seq);
  if (place === "missed") return missed(state, frame.seq);
  if (place === "known") return { state };
  const id = frame.message_id ?? frame.notification_id;
  return {
    state: append(state, {
      key: id, id, seq: frame.seq, role: "notification", content: frame.content, state: "complete", createdAt: frame.timestamp,
    }),
  };
}

function thinking(state: SessionState, frame: ThinkingFrame): SessionState {
  if (isStored(state, frame.message_id)) return state;
  const dequeued = replace(
    state,
    (message) => message.id === frame.in_reply_to && message.state === "queued",
    (message) => ({ ...message, state: "complete" }),
  );
  if (state.streaming?.id === frame.message_id) return { ...dequeued, confirmed: true };
  return withStreaming({ ...dequeued, confirmed: true }, {
    key: frame.message_id,
    id: frame.message_id,
    seq: null,
    role: "assistant",
    content: "",
    state: "streaming",
    createdAt: frame.timestamp,
    runId: frame.run_id,
    inReplyTo: frame.in_reply_to,
    attempt: 0,
  });
}

function written(state: SessionState, frame: DeltaFrame): Step {
  if (isStored(state, frame.message_id)) return { state };
  const held = state.streaming?.id === frame.message_id ? state.streaming : null;
  const draft = place({ attempt: held?.attempt ?? 0, text: held?.content ?? "" }, frame);
  if (draft === null) return { state, resync: "text before a delta did not arrive" };
  if (held && draft.attempt === held.attempt && draft.text === held.content) {
    return { state: state.confirmed ? state : { ...state, confirmed: true } };
  }
  const message: Message = held ?? {
    key: frame.message_id,
    id: frame.message_id,
    seq: null,
    role: "assistant",
    content: "",
    state: "streaming",
    createdAt: frame.timestamp,
    runId: frame.run_id,
  };
  return { state: withStreaming({ ...state, confirmed: true }, { ...message, content: draft.text, attempt: draft.attempt }) };
}

function answered(state: SessionState, frame: CheckedResponse): Step {
  const place = placeOf(state, frame.seq);
  if (place === "missed") return missed(state, frame.seq);
  const ended = state.streaming?.id === frame.message_id ? withoutStreaming(state) : state;
  if (place === "known") return { state: ended };
  const settled = replace(
    ended,
    (message) => message.state === "queued" && message.id === frame.in_reply_to,
    (message) => ({ ...message, state: "complete" }),
  );
  const told = state.failure && state.failure.runId === frame.run_id ? state.failure.message : undefined;
  const answer: Message = {
    key: frame.message_id,
    id: frame.message_id,
    seq: frame.seq,
    role: "assistant",
    content: frame.content,
    state: frame.state,
    createdAt: frame.timestamp,
    ...optional({
      runId: frame.run_id,
      inReplyTo: frame.in_reply_to,
      model: frame.model,
      finishReason: frame.finish_reason,
      usage: frame.usage,
      unverified: frame.unverified,
      error: frame.error && { ...frame.error, ...optional({ message: told }) },
    }),
  };
  return { state: mark({ ...append(settled, answer), failure: told === undefined ? state.failure : null }) };
}

function failed(state: SessionState, frame: ErrorFrame): SessionState {
  return frame.run_id === undefined ? state : { ...state, failure: { runId: frame.run_id, message: frame.content } };
}

function requeued(state: SessionState, runId: string): SessionState {
  const query = state.streaming?.runId === runId ? state.streaming.inReplyTo : undefined;
  const next = state.streaming?.runId === runId ? withoutStreaming(state) : state;
  return query === undefined ? next : replace(next, (message) => message.id === query, (message) => ({ ...message, state: "queued" }));
}

/** Puts a stored message behind the other stored ones. */
function append(state: SessionState, message: Message): SessionState {
  const at = state.messages.findIndex((other) => other.seq === null);
  const end = at < 0 ? state.messages.length : at;
  const messages = [...state.messages.slice(0, end), message, ...state.messages.slice(end)];
  return settle({ ...state, messages, cursor: message.seq ?? state.cursor, anchored: true });
}

function withStreaming(state: SessionState, message: Message): SessionState {
  const rest = withoutStreaming(state);
  const at = rest.messages.findIndex((other) => other.seq === null);
  const end = at < 0 ? rest.messages.length : at;
  return { ...rest, streaming: message, messages: [...rest.messages.slice(0, end), message, ...rest.messages.slice(end)] };
}

function withoutStreaming(state: SessionState): SessionState {
  return state.streaming ? { ...without(state, state.streaming), streaming: null } : state;
}

function without(state: SessionState, message: Message): SessionState {
  return { ...state, messages: state.messages.filter((other) => other !== message) };
}

function replace(state: SessionState, which: (message: Message) => boolean, by: (message: Message) => Message): SessionState {
  if (!state.messages.some(which)) return state;
  return { ...state, messages: state.messages.map((message) => (which(message) ? by(message) : message)) };
}

function isStored(state: SessionState, id: string): boolean {
  return state.messages.some((message) => message.id === id && message.seq !== null);
}

function firstSeq(state: SessionState): number | null {
  return state.messages[0]?.seq ?? null;
}

/** `hasEarlier` follows from what is held. */
function settle(state: SessionState): SessionState {
  const first = firstSeq(state);
  const hasEarlier = first === null ? state.firstAvailable > 0 && state.cursor >= state.firstAvailable : first > Math.max(state.firstAvailable, 1);
  return hasEarlier === state.hasEarlier ? state : { ...state, hasEarlier };
}

/** Marks answers that have a newer one to the same query. */
function mark(state: SessionState): SessionState {
  const newest = new Map<string, Message>();
  for (const message of state.messages) {
    if (message.inReplyTo !== undefined && message.seq !== null) newest.set(message.inReplyTo, message);
  }
  const outdated = (message: Message): boolean =>
    message.inReplyTo !== undefined && message.seq !== null && !message.superseded && newest.get(message.inReplyTo) !== message;
  return replace(state, outdated, (message) => ({ ...message, superseded: true }));
}
