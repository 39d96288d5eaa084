// Where tokens come from: the application's `getToken`, asked anew each time, never longer than it may take.

import type { Env } from "./env.js";

export interface TokenRequest {
  /** `connect`: before a connection or an HTTP request. `expired`: the last token was, a new one is needed. `expiring`: it
   * soon is, and a live connection is renewed with the new one. */
  readonly reason: "connect" | "expired" | "expiring";
}

/** Gives the token to present, or null where nobody is signed in. What it throws counts as a passing failure. */
export type GetToken = (request: TokenRequest) => string | null | Promise<string | null>;

/** How long `getToken` may take, in milliseconds. */
const PATIENCE_MS = 30_000;

export function fetchToken(env: Env, getToken: GetToken, reason: TokenRequest["reason"]): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const timer = env.setTimeout(() => reject(new Error("getToken took too long")), PATIENCE_MS);
    // In a `then`, so that what it throws at once is a rejection, too.
    Promise.resolve()
      .then(() => getToken({ reason }))
      .then(resolve, reject)
      .finally(() => env.clearTimeout(timer));
  });
}
