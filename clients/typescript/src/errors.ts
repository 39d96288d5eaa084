// What this client throws: one class, told apart by `code`.

import type { ErrorCode, ErrorFrame } from "./generated/frames.js";

/**
 * The server's codes (PROTOCOL.md, "Errors") and this client's own: `closed` (the session's connection has ended for good,
 * or the client was reset), `cancelled` (withdrawn before it was sent), `network` (an HTTP request did not arrive),
 * `outbox_full` (too much waits to be sent).
 */
export type Code = ErrorCode | "closed" | "cancelled" | "network" | "outbox_full";

export class AgentError extends Error {
  override readonly name = "AgentError";
  readonly code: Code;
  /** Whether the same may succeed later without a change. */
  readonly retryable: boolean;
  /** When to come back, where the server said so. */
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, message: string, options: { retryable?: boolean; retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }

  static of(frame: Pick<ErrorFrame, "code" | "content" | "retryable" | "retry_after_ms">): AgentError {
    return new AgentError(frame.code, frame.content, {
      retryable: frame.retryable,
      ...(frame.retry_after_ms === undefined ? {} : { retryAfterMs: frame.retry_after_ms }),
    });
  }
}
