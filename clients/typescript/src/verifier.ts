// Whether an answer's text is the one that was stored: its hash is computed anew.

import type { Env } from "./env.js";
import type { ResponseFrame, ServerFrame } from "./generated/frames.js";

/** `unverified`: its text is not what `sha256` says, however often it was asked for. */
export type CheckedResponse = ResponseFrame & { unverified?: true };

/** A frame of the server, after this client has looked at its hash. */
export type CheckedFrame = Exclude<ServerFrame, ResponseFrame> | CheckedResponse;

/** A text that arrives wrong so often is wrong where it is stored. It is shown, marked, rather than never. */
const PATIENCE = 3;

export class Verifier {
  readonly #sha256: Env["sha256"];
  #message = "";
  #mismatches = 0;

  constructor(sha256: Env["sha256"]) {
    this.#sha256 = sha256;
  }

  /** The frame, marked where its text is not what its hash says; null where it is to be asked for again. */
  async check(frame: ResponseFrame): Promise<CheckedResponse | null> {
    const hash = await this.#sha256(frame.content);
    if (hash === null || hash === frame.sha256) return frame;
    if (this.#message !== frame.message_id) this.#mismatches = 0;
    this.#message = frame.message_id;
    return ++this.#mismatches < PATIENCE ? null : { ...frame, unverified: true };
  }
}
