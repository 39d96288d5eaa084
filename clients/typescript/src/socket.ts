// One WebSocket from its opening to its end: text in order, each answer's hash checked before anyone sees it.

import type { Env, SocketLike } from "./env.js";
import type { ServerFrame } from "./generated/frames.js";
import type { CheckedFrame, Verifier } from "./verifier.js";

/** What arrived and was not looked at yet. Only a consumer that is stuck lets it grow so far. */
const MAX_WAITING = 20_000;

export interface Ended {
  readonly code: number;
  readonly reason: string;
}

export interface SocketHandlers {
  /** Something arrived, whatever it is. */
  alive(): void;
  frame(frame: CheckedFrame): void;
  /** The frames that have arrived are handled; more may follow. */
  idle(): void;
  ended(ended: Ended): void;
}

export class Socket {
  readonly #verifier: Verifier;
  readonly #on: SocketHandlers;
  readonly #socket: SocketLike;
  #waiting: (string | Ended)[] = [];
  #busy = false;
  #dropped = false;

  constructor({ WebSocket }: Pick<Env, "WebSocket">, url: string, protocols: string[], verifier: Verifier, on: SocketHandlers) {
    this.#verifier = verifier;
    this.#on = on;
    this.#socket = new WebSocket(url, protocols);
    this.#socket.onmessage = ({ data }: { data: unknown }) => {
      on.alive();
      if (typeof data === "string") this.#arrived(data);
    };
    this.#socket.onclose = ({ code, reason }: { code: number; reason: unknown }) => this.#arrived({ code, reason: String(reason) });
    // `close` always follows; without a listener some implementations throw.
    this.#socket.onerror = () => {};
  }

  /** Whether the text went to the socket. */
  send(text: string): boolean {
    if (this.#dropped) return false;
    try {
      this.#socket.send(text);
      return true;
    } catch {
      return false;
    }
  }

  /** Ends it at once: nothing of it is heard any more. A dead network would otherwise keep `close` waiting for minutes. */
  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    this.#waiting = [];
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    try {
      this.#socket.close(1000);
    } catch {
      // It was never open.
    }
  }

  #arrived(item: string | Ended): void {
    if (this.#dropped) return;
    this.#waiting.push(item);
    if (this.#waiting.length > MAX_WAITING) this.#end({ code: 4413, reason: "This client reads too slowly" });
    else if (!this.#busy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let next = 0; !this.#dropped && next < this.#waiting.length; ) {
      const item = this.#waiting[next++];
      if (next === this.#waiting.length) {
        this.#waiting = [];
        next = 0;
      }
      if (typeof item === "object") this.#end(item);
      else if (item !== undefined) await this.#handle(item);
    }
    this.#busy = false;
    if (!this.#dropped) this.#on.idle();
  }

  async #handle(text: string): Promise<void> {
    const frame = parse(text);
    const checked = frame?.type === "response" ? await this.#verifier.check(frame) : frame;
    if (this.#dropped || !frame) return;
    if (checked) this.#on.frame(checked);
    else this.#end({ code: 4000, reason: "An answer's text does not have its hash" });
  }

  #end(ended: Ended): void {
    this.drop();
    this.#on.ended(ended);
  }
}

/** What is not a frame is ignored, like what is not known. */
function parse(text: string): ServerFrame | null {
  try {
    const frame = JSON.parse(text) as ServerFrame | null;
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}
