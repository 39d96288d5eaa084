// What each close code asks of a client: PROTOCOL.md, "Close codes".

/** Why a connection has ended for good. */
export type ClosedReason =
  | "client" // close() was called
  | "reset" // reset() was called
  | "timeout" // nothing happened for the server's SESSION_TIMEOUT; any use of the session resumes it
  | "replaced" // another socket has this device id
  | "protocol" // this client and the server do not understand each other
  | "unauthorized" // the token was refused, or getToken gave none
  | "forbidden" // revoked, or the token of someone else
  | "not_found" // no such session
  | "deleted" // the session was deleted
  | "refused"; // another code of 4500 to 4999

export type Verdict =
  | { action: "stop"; reason: ClosedReason }
  // `now`: at once after a connection that had held, else like `back_off`.
  | { action: "now" | "back_off" };

const STOP: Record<number, ClosedReason> = {
  1002: "protocol",
  1003: "protocol",
  1007: "protocol",
  1009: "protocol",
  4409: "replaced",
  4500: "protocol",
  4501: "unauthorized",
  4503: "forbidden",
  4504: "not_found",
  4509: "deleted",
};

export function verdict(code: number, reason: string): Verdict {
  // A 1000 that is not the server's word (a proxy's, say) is a cut like any other.
  if (code === 1000 && reason === "Session timeout") return { action: "stop", reason: "timeout" };
  const stop = STOP[code];
  if (stop) return { action: "stop", reason: stop };
  if (code === 4401 || code === 4408 || code === 4413) return { action: "now" };
  if (code >= 4500 && code <= 4999 && code !== 4505) return { action: "stop", reason: "refused" };
  return { action: "back_off" };
}
