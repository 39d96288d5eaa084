// One session as an application uses it: its state, its connection, and what can be asked of it.

import type { ClosedReason } from "./close.js";
import { Connection, type ConnectionState } from "./connection.js";
import type { Env } from "./env.js";
import { AgentError } from "./errors.js";
import type { CancelState, CommandFrame, CommandResult, Message as Stored, OnBusy, Priority } from "./generated/frames.js";
import { query } from "./http.js";
import { stored, type Message } from "./message.js";
import { Subject, type Observable } from "./observable.js";
import { Outbox, type OutgoingFrame, type Reply } from "./outbox.js";
import { EMPTY, cut, dismissed, prepended, reduce, refused, resumePoint, sending, type SessionState } from "./state.js";
import type { GetToken } from "./token.js";
import { Turn } from "./turn.js";
import { Turns } from "./turns.js";
import type { CheckedFrame } from "./verifier.js";

/** The longest question, in bytes of UTF-8. */
const MAX_CONTENT_BYTES = 32 * 1024;

export interface SendOptions {
  /** What to do while another answer is being written: wait (`enqueue`, the default), refuse, or stop that answer. */
  onBusy?: OnBusy;
  priority?: Priority;
  /** One that the operator allows. */
  model?: string;
  /** Stored beside the message: at most 4 KiB of JSON, 8 levels deep. */
  metadata?: Record<string, unknown>;
  /** Aborting it cancels the turn. */
  signal?: AbortSignal;
}

export interface Feedback {
  messageId: string;
  rating?: -1 | 0 | 1;
  comment?: string;
  correction?: string;
  tags?: string[];
}

export interface QueuedQuery {
  readonly messageId: string;
  readonly runId: string;
  readonly seq: number;
  readonly content: string;
  readonly priority: Priority;
}

type CommandName = CommandFrame["content"];
type Args<Name extends CommandName> = NonNullable<Extract<CommandFrame, { content: Name }>["args"]>;
type Result<Name extends CommandName> = Extract<CommandResult, { event: Name }>["data"];

/** What the client that a session belongs to gives it. */
export interface SessionContext {
  readonly env: Env;
  readonly getToken: GetToken;
  readonly socketUrl: string;
  readonly deviceId: string;
  /** Every frame, also the notifications of other sessions. */
  heard(frame: CheckedFrame): void;
  /** The application is done with it. */
  left(session: Session): void;
}

export interface OpenTarget {
  /** An id, `latest`, or nothing for a new session. */
  readonly id?: string;
  /** The last `seq` that the application holds itself: 0 = everything from the start. */
  readonly after?: number;
}

export class Session {
  readonly #context: SessionContext;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #published: Subject<SessionState>;
  readonly #turns: Turns;
  readonly #ready: Promise<void>;
  #state: SessionState;
  #target: OpenTarget;
  #settleReady!: { resolve: () => void; reject: (error: AgentError) => void };

  /** @internal Use `client.sessions.open`. */
  constructor(context: SessionContext, target: OpenTarget) {
    this.#context = context;
    this.#target = target;
    const anchored = target.after === undefined ? {} : { cursor: target.after, anchored: true };
    const known = target.id === undefined || target.id === "latest" ? {} : { sessionId: target.id, ...anchored };
    this.#state = { ...EMPTY, ...known };
    this.#published = new Subject(this.#state);
    this.#ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.#ready.catch(() => {});
    this.#connection = new Connection(context.env, context.getToken, {
      url: () => this.#url(),
      frame: (frame) => this.#frame(frame),
      idle: () => this.#publish(),
      lost: () => this.#lost(),
    });
    this.#turns = new Turns(() => this.#state, (page) => this.history(page));
    this.#outbox = new Outbox(context.env, (text) => this.#connection.send(text));
    this.#connection.state.subscribe((state) => this.#moved(state));
    this.#connection.connect();
  }

  /** Null until the server has named a new session. */
  get id(): string | null {
    return this.#state.sessionId;
  }

  /** Messages, the answer being written, and what else is known. */
  get state(): Observable<SessionState> {
    return this.#published;
  }

  get connection(): Observable<ConnectionState> {
    return this.#connection.state;
  }

  /** Resolves when the first catch-up is complete; rejects when the session is closed before. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Asks. It may be called at any time: what cannot be sent now is sent when the connection is back, once. */
  send(content: string, options: SendOptions = {}): Turn {
    const { signal, onBusy, ...fields } = options;
    const turn = this.#turn(signal);
    const wrong = complaint(content) ?? this.#unusable();
    if (wrong) {
      turn.fail(wrong);
      return turn;
    }
    this.#change(sending(this.#state, { id: turn.id, content, createdAt: new Date(this.#context.env.now()).toISOString() }));
    this.#begin(turn, { type: "query", id: turn.id, content, ...(onBusy && { on_busy: onBusy }), ...fields });
    return turn;
  }

  /** A new answer to a query (named by its own `id` or its answer's), or to the latest. The old answer stays in the log. */
  regenerate(messageId?: string, options: { signal?: AbortSignal } = {}): Turn {
    const turn = this.#turn(options.signal);
    const wrong = this.#unusable();
    if (wrong) turn.fail(wrong);
    else this.#begin(turn, { type: "command", id: turn.id, content: "regenerate", args: messageId === undefined ? {} : { message_id: messageId } });
    return turn;
  }

  /** Stops the answer that is being written, or the run named. Resolves with what became of it; `none` if nothing ran. */
  async cancel(runId = this.#state.streaming?.runId): Promise<CancelState> {
    const { state } = await this.#command("cancel", runId === undefined ? {} : { run_id: runId });
    return state;
  }

  /** Stored messages before a `seq`, or the newest; at most 200. */
  async history(page: { before?: number; limit?: number } = {}): Promise<Message[]> {
    return (await this.#stored(page)).map(stored);
  }

  /** Reads what lies before the first message of `state` into it. Resolves with whether there is more. */
  async loadEarlier(limit = 50): Promise<boolean> {
    const first = this.#state.messages.find((message) => message.seq !== null)?.seq ?? this.#state.cursor + 1;
    const items = await this.#stored({ before: first, limit });
    this.#change(prepended(this.#state, items));
    return this.#state.hasEarlier;
  }

  /** What a person thinks of an answer; said again it replaces. */
  async feedback({ messageId, comment, ...rest }: Feedback): Promise<void> {
    await this.#say({
      type: "human_feedback", id: this.#context.env.uniqueName(), message_id: messageId, ...(comment !== undefined && { content: comment }), ...rest,
    });
  }

  async rename(title: string): Promise<void> {
    await this.#command("rename", { title });
  }

  /** A fresh context: older messages stay in the history and leave the model's window. */
  async clear(): Promise<void> {
    await this.#command("clear", {});
  }

  /** Sets the session's model; null for the operator's default. Resolves with what may be chosen. */
  async setModel(model: string | null): Promise<{ model: string | null; allowedModels: string[] }> {
    const chosen = await this.#command("model", { model });
    return { model: chosen.model, allowedModels: chosen.allowed_models };
  }

  /** Queries that wait, in the order in which they will run. */
  async queue(): Promise<QueuedQuery[]> {
    const { queue } = await this.#command("queue", {});
    return queue.map(({ message_id, run_id, seq, content, priority }) => ({ messageId: message_id, runId: run_id, seq, content, priority }));
  }

  /** Takes a waiting query out of the queue: its run ends as `cancelled`, the message stays. */
  async unqueue(messageId: string): Promise<void> {
    await this.#command("unqueue", { message_id: messageId });
  }

  /** Whether the server is there. Does not put off the session's timeout. */
  async ping(): Promise<void> {
    await this.#command("ping", {});
  }

  /** Takes a query that the server refused out of `state.messages`. */
  dismiss(key: string): void {
    this.#change(dismissed(this.#state, key));
  }

  /** Deletes the session with everything in it. */
  async delete(): Promise<void> {
    try {
      await this.#command("delete", { session_id: await this.#known() });
    } catch (error) {
      const state = this.#connection.state.value;
      // Done, and the word of it lost with the connection.
      if (state.status !== "closed" || (state.reason !== "deleted" && state.reason !== "not_found")) throw error;
    }
    this.dispose("deleted", "The session was deleted");
  }

  /** Connects again after it was closed, or at once instead of at `retryAt`. */
  connect(): void {
    this.#connection.connect();
  }

  /** Closes the connection. Answers go on at the server, and are there when the session is opened again. */
  close(): void {
    this.dispose("client", "The session was closed");
  }

  /** @internal */
  dispose(reason: ClosedReason, message: string): void {
    this.#connection.dispose(reason, message);
    this.#context.left(this);
  }

  /** @internal */
  command<Name extends CommandName>(name: Name, args: Args<Name>): Promise<Result<Name>> {
    return this.#command(name, args);
  }

  #url(): string {
    const { socketUrl, deviceId } = this.#context;
    const target = this.#state.sessionId === null && this.#target.id !== undefined ? { session_id: this.#target.id } : resumePoint(this.#state);
    return socketUrl + query({ ...target, device_id: deviceId });
  }

  #turn(signal?: AbortSignal): Turn {
    const turn = new Turn(this.#context.env.uniqueName(), (one) => this.#cancelTurn(one));
    const cancel = (): void => void turn.cancel().catch(() => {});
    if (signal?.aborted) queueMicrotask(cancel);
    else signal?.addEventListener("abort", cancel, { once: true });
    const forget = (): void => signal?.removeEventListener("abort", cancel);
    turn.answer.then(forget, forget);
    return turn;
  }

  #begin(turn: Turn, frame: OutgoingFrame): void {
    this.#turns.begin(turn);
    this.#say(frame).catch((error: AgentError) => {
      this.#change(
        error.code === "cancelled"
          ? dismissed(this.#state, turn.id)
          : refused(this.#state, turn.id, { code: error.code, message: error.message, retryable: error.retryable }),
      );
      this.#turns.fail(turn, error);
    });
  }

  async #cancelTurn(turn: Turn): Promise<void> {
    if (this.#outbox.withdraw(turn.id)) return;
    try {
      const { runId } = await turn.accepted;
      await this.cancel(runId);
    } catch (error) {
      // Refused: nothing runs.
      if (turn.runId !== null) throw error;
    }
  }

  #say(frame: OutgoingFrame): Promise<Reply> {
    const wrong = this.#unusable();
    if (wrong) return Promise.reject(wrong);
    // After a session timeout this is the user coming back.
    if (this.#connection.state.value.status === "closed") this.#connection.connect();
    return this.#outbox.add(frame);
  }

  async #command<Name extends CommandName>(content: Name, args: Args<Name>): Promise<Result<Name>> {
    const reply = await this.#say({ type: "command", id: this.#context.env.uniqueName(), content, args } as OutgoingFrame);
    return (reply as CommandResult).data as Result<Name>;
  }

  async #stored(page: Args<"history">): Promise<Stored[]> {
    return (await this.#command("history", page)).messages;
  }

  async #known(): Promise<string> {
    if (this.#state.sessionId === null) await this.#ready;
    return this.#state.sessionId ?? "";
  }

  #unusable(): AgentError | null {
    const state = this.#connection.state.value;
    return state.status === "closed" && state.reason !== "timeout" ? state.error : null;
  }

  #frame(frame: CheckedFrame): void {
    const before = this.#state;
    const step = reduce(before, frame);
    this.#state = step.state;
    if (step.resync !== undefined) {
      this.#connection.resync(step.resync);
      return;
    }
    // Whoever waits for an answer finds it in `state`, too.
    if (frame.type === "response") this.#publish();
    this.#context.heard(frame);
    this.#turns.receive(frame, before);
    if (frame.type === "status" && frame.event === "live") this.#settleReady.resolve();
    this.#outbox.receive(frame);
  }

  #moved(state: ConnectionState): void {
    if (state.status === "live") this.#outbox.open();
    else if (state.status === "closed" && state.reason !== "timeout") {
      this.#settleReady.reject(state.error);
      this.#outbox.fail(state.error);
      this.#turns.failAll(state.error);
    }
  }

  #lost(): void {
    this.#outbox.shut();
    this.#change(cut(this.#state));
  }

  #change(state: SessionState): void {
    this.#state = state;
    this.#publish();
  }

  #publish(): void {
    this.#published.set(this.#state);
  }
}

function complaint(content: string): AgentError | null {
  if (content.trim() === "") return new AgentError("content_required", "Message content is required");
  if (new TextEncoder().encode(content).length > MAX_CONTENT_BYTES) return new AgentError("too_large", "Content is longer than 32768 bytes of UTF-8");
  return null;
}
