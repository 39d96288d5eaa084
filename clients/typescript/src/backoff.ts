// How long to wait before the next attempt. Pure.

export interface Backoff {
  base_ms: number;
  max_ms: number;
  jitter_ms: number;
}

/** Until a `welcome` says otherwise. */
export const DEFAULT_BACKOFF: Backoff = { base_ms: 500, max_ms: 30_000, jitter_ms: 500 };

/**
 * Full jitter: anywhere between nothing and the whole of what the server allows for this attempt (0 is the first after a
 * cut), so that the clients of a node that died come back spread out.
 */
export function delayMs(attempt: number, { base_ms, max_ms, jitter_ms }: Backoff, random: () => number): number {
  const ceiling = Math.min(max_ms, base_ms * 2 ** Math.min(attempt, 30));
  return Math.round(random() * (ceiling + jitter_ms));
}
