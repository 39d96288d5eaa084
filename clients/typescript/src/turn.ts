// One question and its answer, as the one who asked sees them: a promise of the whole and an iteration of what happens.
//
// An iteration computes what is new when it is asked, from what is held anyway. There is no queue between the socket and a
// slow reader: it gets the text in larger pieces.

import type { AgentError } from "./errors.js";
import type { AnswerState, Usage } from "./generated/frames.js";
import type { Message, MessageError } from "./message.js";

export interface Answer {
  readonly messageId: string;
  readonly seq: number;
  readonly content: string;
  /** `complete`; `cancelled`; `incomplete` (some text, then a fault); `failed` (no text). */
  readonly state: AnswerState;
  readonly error?: MessageError;
  readonly finishReason?: string;
  readonly model?: string;
  readonly usage?: Usage;
}

export interface Accepted {
  readonly messageId: string;
  readonly runId: string;
  /** 0: it runs. Else how many are before it in this session. */
  readonly queuePosition: number;
}

export type TurnEvent =
  /** The server has it, and will answer whatever happens to this client. */
  | ({ readonly type: "accepted" } & Accepted)
  /** The agent begins. */
  | { readonly type: "thinking" }
  /** More text. */
  | { readonly type: "text"; readonly text: string }
  /** What was shown so far does not count: the text starts anew. Happens after a crash of a server. */
  | { readonly type: "reset" }
  /** The end: all `text` since the last `reset`, put together, is `answer.content`. */
  | { readonly type: "done"; readonly answer: Answer };

export class Turn implements AsyncIterable<TurnEvent> {
  /** The id under which it is sent: unique, and the same in every repeat. */
  readonly id: string;
  /** Rejects with an `AgentError` when the server refuses it, or the session is closed before the server has it. */
  readonly accepted: Promise<Accepted>;
  /** The whole answer, also where it is cancelled, incomplete or failed: see its `state`. Rejects like `accepted`. */
  readonly answer: Promise<Answer>;
  readonly #cancel: (turn: Turn) => Promise<void>;
  #acceptance: Accepted | null = null;
  #thinking = false;
  #text = "";
  #attempt = 0;
  /** Raised when text that was shown does not count any more. */
  #version = 0;
  #answer: Answer | null = null;
  #error: AgentError | null = null;
  #wake: (() => void)[] = [];
  readonly #settle: { accept: (value: Accepted) => void; finish: (value: Answer) => void; fail: (error: AgentError) => void };

  constructor(id: string, cancel: (turn: Turn) => Promise<void>) {
    this.id = id;
    this.#cancel = cancel;
    let accept!: (value: Accepted) => void;
    let finish!: (value: Answer) => void;
    const fails: ((error: AgentError) => void)[] = [];
    this.accepted = new Promise((resolve, reject) => {
      accept = resolve;
      fails.push(reject);
    });
    this.answer = new Promise((resolve, reject) => {
      finish = resolve;
      fails.push(reject);
    });
    // Whoever only iterates sees the error there; nobody has to look at these promises.
    this.accepted.catch(() => {});
    this.answer.catch(() => {});
    this.#settle = { accept, finish, fail: (error) => fails.forEach((fail) => fail(error)) };
  }

  get runId(): string | null {
    return this.#acceptance?.runId ?? null;
  }

  /** Stops the answer, or takes the question back if it was not sent yet. The text so far stays, as `cancelled`. */
  cancel(): Promise<void> {
    return this.#cancel(this);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<TurnEvent> {
    let toldAccepted = false;
    let toldThinking = false;
    let version = this.#version;
    let length = 0;
    for (;;) {
      if (this.#error) throw this.#error;
      if (this.#acceptance && !toldAccepted) {
        toldAccepted = true;
        yield { type: "accepted", ...this.#acceptance };
      } else if (this.#thinking && !toldThinking) {
        toldThinking = true;
        yield { type: "thinking" };
      } else if (version !== this.#version) {
        version = this.#version;
        if (length > 0) yield { type: "reset" };
        length = 0;
      } else if (this.#text.length > length) {
        const text = this.#text.slice(length);
        length = this.#text.length;
        yield { type: "text", text };
      } else if (this.#answer) {
        yield { type: "done", answer: this.#answer };
        return;
      } else {
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    }
  }

  /** @internal */
  accept(accepted: Accepted): void {
    if (this.#acceptance) return;
    this.#acceptance = accepted;
    this.#settle.accept(accepted);
    this.#changed();
  }

  /** @internal The answer as it is being written. */
  write(message: Message): void {
    this.#thinking = true;
    this.#show(message.content, message.attempt ?? 0);
    this.#changed();
  }

  /** @internal */
  finish(answer: Answer): void {
    if (this.#answer || this.#error) return;
    this.#show(answer.content, this.#attempt);
    this.#answer = answer;
    this.#settle.finish(answer);
    this.#changed();
  }

  /** @internal */
  fail(error: AgentError): void {
    if (this.#answer || this.#error) return;
    this.#error = error;
    this.#settle.fail(error);
    this.#changed();
  }

  #show(text: string, attempt: number): void {
    if (attempt !== this.#attempt || !text.startsWith(this.#text)) this.#version++;
    this.#attempt = attempt;
    this.#text = text;
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }
}
