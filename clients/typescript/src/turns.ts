// The turns of a session that have no answer yet: which frame belongs to which, and how an answer that came while nobody was
// looking reaches the one who asked.

import type { AgentError } from "./errors.js";
import type { Message } from "./message.js";
import type { SessionState } from "./state.js";
import type { Accepted, Answer, Turn } from "./turn.js";
import type { CheckedFrame } from "./verifier.js";

/** So many messages are read at once where an answer is looked for. */
const PAGE = 200;

export class Turns {
  readonly #state: () => SessionState;
  readonly #history: (page: { before: number; limit: number }) => Promise<readonly Message[]>;
  /** By the id under which the question is sent; `since`: the session's cursor when it was asked. */
  readonly #open = new Map<string, { turn: Turn; since: number }>();
  /** Answers may have passed unseen: the last catch-up did not bring all. */
  #lookBack = false;

  constructor(state: () => SessionState, history: (page: { before: number; limit: number }) => Promise<readonly Message[]>) {
    this.#state = state;
    this.#history = history;
  }

  begin(turn: Turn): void {
    this.#open.set(turn.id, { turn, since: this.#state().cursor });
  }

  fail(turn: Turn, error: AgentError): void {
    this.#open.delete(turn.id);
    turn.fail(error);
  }

  failAll(error: AgentError): void {
    for (const { turn } of this.#open.values()) this.fail(turn, error);
  }

  /** Tells turns what a frame means for them; `before` is the state without it. */
  receive(frame: CheckedFrame, before: SessionState): void {
    if (frame.type === "notification" && frame.event === "welcome") {
      this.#lookBack = frame.gap !== undefined || frame.head < before.cursor;
    } else if (frame.type === "query" && frame.id !== undefined && frame.run_id !== undefined) {
      this.#accepted(frame.id, { message_id: frame.message_id, run_id: frame.run_id, queue_position: 0, duplicate: false });
    } else if (frame.type === "response") {
      const answer = this.#state().messages.find((message) => message.id === frame.message_id);
      if (answer) this.#finish(answer);
    } else if (frame.type === "status" && frame.event === "accepted" && frame.re !== undefined) {
      this.#accepted(frame.re, frame);
    } else if (frame.type === "status" && frame.event === "regenerate" && frame.re !== undefined) {
      this.#accepted(frame.re, frame.data);
    } else if (frame.type === "status" && frame.event === "live") {
      if (this.#lookBack) for (const id of this.#open.keys()) void this.#search(id);
      this.#lookBack = false;
    }
    const { streaming } = this.#state();
    if (streaming && streaming !== before.streaming) {
      for (const { turn } of this.#open.values()) if (turn.runId === streaming.runId) turn.write(streaming);
    }
  }

  #accepted(id: string, frame: { message_id: string; run_id: string; queue_position: number; duplicate: boolean }): void {
    const turn = this.#open.get(id)?.turn;
    if (!turn) return;
    const accepted: Accepted = { messageId: frame.message_id, runId: frame.run_id, queuePosition: frame.queue_position };
    turn.accept(accepted);
    const { streaming } = this.#state();
    if (streaming?.runId === accepted.runId) turn.write(streaming);
    if (frame.duplicate) void this.#search(id);
  }

  #finish(message: Message): void {
    for (const [id, { turn }] of this.#open) {
      if (turn.runId === null || turn.runId !== message.runId) continue;
      this.#open.delete(id);
      turn.finish(answerOf(message));
    }
  }

  /** The answer may lie in what the catch-up left out: reads back to the question. */
  async #search(id: string): Promise<void> {
    const entry = this.#open.get(id);
    if (!entry || entry.turn.runId === null) return;
    const isIt = (message: Message): boolean => message.role === "assistant" && message.runId === entry.turn.runId && message.seq !== null;
    try {
      let page: readonly Message[] = this.#state().messages;
      for (;;) {
        const found = page.find(isIt);
        if (found) return this.#finish(found);
        const first = page.find((message) => message.seq !== null)?.seq ?? this.#state().cursor + 1;
        if (first <= Math.max(entry.since, 1) || !this.#open.has(id)) return;
        page = await this.#history({ before: first, limit: PAGE });
        if (page.length === 0) return;
      }
    } catch {
      // The session is closed, and the turn has failed with it.
    }
  }
}

function answerOf(message: Message): Answer {
  const { id, seq, content, state, error, finishReason, model, usage } = message;
  return {
    messageId: id ?? "",
    seq: seq ?? 0,
    content,
    state: state as Answer["state"],
    ...(error && { error }),
    ...(finishReason !== undefined && { finishReason }),
    ...(model !== undefined && { model }),
    ...(usage && { usage }),
  };
}
