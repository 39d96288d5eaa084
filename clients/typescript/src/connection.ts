// Keeps one session connected: token, socket, watchdog, renewal, and when to come back after what.
//
// It knows frames only as far as they concern the connection, and hands each of them on. What a session looks like is not
// its affair; where to resume it asks for before each attempt.

import { DEFAULT_BACKOFF, delayMs, type Backoff } from "./backoff.js";
import { verdict, type ClosedReason } from "./close.js";
import type { Env, Wake } from "./env.js";
import { AgentError } from "./errors.js";
import { Subject } from "./observable.js";
import { Socket, type Ended } from "./socket.js";
import { fetchToken, type GetToken, type TokenRequest } from "./token.js";
import { Verifier, type CheckedFrame } from "./verifier.js";

/** For a socket that is not live yet: so many milliseconds of silence end it. */
const OPENING_MS = 15_000;
/** For the answer to a probe. */
const PROBE_MS = 5_000;
/** After a `getToken` that failed while the old token still holds. */
const RENEW_AGAIN_MS = 5_000;
/** How much later than `heartbeat_ms` a heartbeat may come. */
const GRACE_MS = 10_000;
/** A connection that was live for this long counts as one that held. */
const HELD_MS = 5_000;
/** A timer that fires so much later than asked shows that the machine slept. */
const OVERSLEPT_MS = 2_000;

export type ConnectionState =
  /** The first connection is being made. */
  | { readonly status: "connecting" }
  | { readonly status: "live" }
  /** A connection is being made again, or catches up. */
  | { readonly status: "resuming" }
  /** Waits for the next attempt, at `retryAt` (milliseconds since 1970). */
  | { readonly status: "offline"; readonly retryAt: number; readonly error: AgentError }
  /** Comes back only when asked to. */
  | { readonly status: "closed"; readonly reason: ClosedReason; readonly error: AgentError };

export interface ConnectionHandlers {
  /** The address to connect to, with where to resume. */
  url(): string;
  frame(frame: CheckedFrame): void;
  idle(): void;
  /** The socket is gone. What was sent and not answered is in doubt. */
  lost(): void;
}

export class Connection {
  readonly state = new Subject<ConnectionState>({ status: "connecting" });
  readonly #env: Env;
  readonly #getToken: GetToken;
  readonly #on: ConnectionHandlers;
  readonly #unwake: () => void;
  readonly #verifier: Verifier;
  #socket: Socket | null = null;
  /** Counts attempts, so that what an earlier one waited for does nothing. */
  #generation = 0;
  #failures = 0;
  #backoff: Backoff = DEFAULT_BACKOFF;
  #heartbeatMs = 25_000;
  #wasLive = false;
  #liveSince: number | null = null;
  #lastSeen = 0;
  /** Not before this moment: the server said so. */
  #notBefore = 0;
  #tokenReason: TokenRequest["reason"] = "connect";
  #refusal: AgentError | null = null;
  #timer: unknown = null;
  #probe: unknown = null;
  #renewal: unknown = null;

  constructor(env: Env, getToken: GetToken, on: ConnectionHandlers) {
    this.#env = env;
    this.#getToken = getToken;
    this.#on = on;
    this.#verifier = new Verifier(env.sha256);
    this.#unwake = env.onWake((wake) => this.#wake(wake));
  }

  get live(): boolean {
    return this.state.value.status === "live";
  }

  /** Connects, or does so now instead of later. Does nothing where a socket is open or being opened. */
  connect(): void {
    const { status } = this.state.value;
    if (this.#socket || ((status === "connecting" || status === "resuming") && this.#generation > 0)) return;
    const wait = this.#notBefore - this.#env.now();
    if (wait > 0 && status === "offline") return;
    void this.#attempt();
  }

  send(text: string): boolean {
    return this.#socket?.send(text) ?? false;
  }

  /** Something was missed: drops the socket and resumes from what was applied. */
  resync(why: string): void {
    this.#drop();
    this.#ended({ code: 4000, reason: why });
  }

  /** Ends it for good; `connect` opens it again. */
  close(reason: ClosedReason, message: string): void {
    this.#drop();
    this.#stop(reason, new AgentError("closed", message));
  }

  /** Like `close`, and listens to nothing any more. */
  dispose(reason: ClosedReason, message: string): void {
    this.#unwake();
    this.close(reason, message);
  }

  async #attempt(): Promise<void> {
    const generation = ++this.#generation;
    this.#clearTimers();
    this.#refusal = null;
    this.state.set({ status: this.#wasLive ? "resuming" : "connecting" });
    let token: string | null;
    try {
      token = await fetchToken(this.#env, this.#getToken, this.#tokenReason);
    } catch (cause) {
      if (generation !== this.#generation) return;
      this.#retry(new AgentError("unauthorized", "getToken failed", { retryable: true, cause }));
      return;
    }
    if (generation !== this.#generation) return;
    if (!token) {
      this.#stop("unauthorized", new AgentError("unauthorized", "getToken gave no token"));
      return;
    }
    this.#open(token);
  }

  #open(token: string): void {
    this.#lastSeen = this.#env.now();
    try {
      this.#socket = new Socket(this.#env, this.#on.url(), ["agentws.v1", `agentws.bearer.${token}`], this.#verifier, {
        alive: () => this.#seen(),
        frame: (frame) => this.#frame(frame),
        idle: () => this.#on.idle(),
        ended: (ended) => {
          this.#drop();
          this.#ended(ended);
        },
      });
    } catch (cause) {
      // An address or a token that cannot be one: no attempt will go better.
      this.#stop("protocol", new AgentError("invalid_message", "The socket could not be made", { cause }));
      return;
    }
    this.#watch();
  }

  #frame(frame: CheckedFrame): void {
    if (frame.type === "notification" && frame.event === "welcome") {
      this.#backoff = { ...DEFAULT_BACKOFF, ...frame.reconnect };
      this.#heartbeatMs = frame.heartbeat_ms || this.#heartbeatMs;
      this.#tokenReason = "connect";
    } else if (frame.type === "status" && frame.event === "draining") {
      this.#notBefore = this.#env.now() + frame.retry_after_ms;
    } else if (frame.type === "status" && frame.event === "token_expiring") {
      void this.#renew();
    } else if (frame.type === "error" && frame.re === undefined && frame.run_id === undefined) {
      // Why the close that follows.
      this.#refusal = AgentError.of(frame);
      if (frame.retry_after_ms !== undefined) this.#notBefore = this.#env.now() + frame.retry_after_ms;
    }
    const socket = this.#socket;
    this.#on.frame(frame);
    // The handler may have found that something is missing, and dropped the socket.
    if (socket !== this.#socket || !socket) return;
    if (frame.type === "status" && frame.event === "live") {
      this.#wasLive = true;
      this.#liveSince = this.#env.now();
      this.#notBefore = 0;
      this.state.set({ status: "live" });
    }
  }

  /** A new token for the live connection. Where none can be had the old one ends it, with 4401, and `connect` asks again. */
  async #renew(): Promise<void> {
    const generation = this.#generation;
    try {
      const token = await fetchToken(this.#env, this.#getToken, "expiring");
      if (generation !== this.#generation || !token) return;
      this.send(JSON.stringify({ type: "command", id: "renew", content: "auth", args: { token } }));
    } catch {
      if (generation === this.#generation) this.#renewal = this.#env.setTimeout(() => void this.#renew(), RENEW_AGAIN_MS);
    }
  }

  #seen(): void {
    this.#lastSeen = this.#env.now();
    if (this.#probe !== null) {
      this.#env.clearTimeout(this.#probe);
      this.#probe = null;
    }
  }

  get #patience(): number {
    return this.live ? this.#heartbeatMs + GRACE_MS : OPENING_MS;
  }

  /** Drops the socket when nothing arrives for too long. */
  #watch(): void {
    const asked = this.#env.now();
    // With a probe under way its own timer judges; without this the next look would be at once.
    const since = this.#probe === null ? this.#lastSeen : asked;
    // At most the whole patience, also when the clock was set back.
    const wait = Math.min(Math.max(since + this.#patience - asked, 0), this.#patience);
    this.#timer = this.#env.setTimeout(() => {
      const now = this.#env.now();
      const overslept = now - asked - wait > OVERSLEPT_MS;
      // After a sleep what has arrived may not have been read yet: ask before judging.
      if (now - this.#lastSeen < this.#patience) this.#watch();
      else if (overslept && this.live) {
        this.#askForLife();
        this.#watch();
      } else this.resync("Nothing arrived in time");
    }, wait);
  }

  #askForLife(): void {
    if (this.#probe !== null) return;
    this.send('{"type":"command","id":"probe","content":"ping"}');
    this.#probe = this.#env.setTimeout(() => this.resync("No answer to a probe"), PROBE_MS);
  }

  #wake(wake: Wake): void {
    const state = this.state.value;
    if (state.status === "live") {
      if (this.#env.now() - this.#lastSeen > this.#patience) this.resync("The machine slept");
      else this.#askForLife();
    } else if (wake !== "offline" && state.status === "offline") this.connect();
    else if (wake === "visible" && state.status === "closed" && state.reason === "timeout") this.connect();
  }

  #ended({ code, reason }: Ended): void {
    const held = this.#liveSince !== null && this.#env.now() - this.#liveSince >= HELD_MS;
    this.#liveSince = null;
    if (held) this.#failures = 0;
    if (code === 4401) this.#tokenReason = "expired";
    const told = verdict(code, reason);
    const error = this.#refusal ?? new AgentError("closed", reason || `The connection was lost (${code})`, { retryable: told.action !== "stop" });
    if (told.action === "stop") this.#stop(told.reason, error);
    else if (told.action === "now" && held) void this.#attempt();
    else this.#retry(error);
  }

  #retry(error: AgentError): void {
    this.#clearTimers();
    const now = this.#env.now();
    const delay = Math.max(delayMs(this.#failures++, this.#backoff, this.#env.random), this.#notBefore - now);
    this.#timer = this.#env.setTimeout(() => void this.#attempt(), delay);
    this.state.set({ status: "offline", retryAt: now + delay, error });
  }

  #stop(reason: ClosedReason, error: AgentError): void {
    this.#generation++;
    this.#failures = 0;
    this.#liveSince = null;
    this.#clearTimers();
    this.state.set({ status: "closed", reason, error });
  }

  #drop(): void {
    this.#generation++;
    this.#clearTimers();
    if (!this.#socket) return;
    this.#socket.drop();
    this.#socket = null;
    this.#on.lost();
  }

  #clearTimers(): void {
    this.#env.clearTimeout(this.#timer);
    this.#env.clearTimeout(this.#probe);
    this.#env.clearTimeout(this.#renewal);
    this.#timer = null;
    this.#probe = null;
  }
}
