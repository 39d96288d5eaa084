// The inspector's questions to the server, and the shapes of what it answers: the views' columns.

import type { TokenKeeper } from "../token.ts";

export interface Connection { user_id: string; session_id: string | null; session_title: string | null; device_id: string | null; connection_id: string; node_id: number; connected_at: string }
export interface Node { node_id: number; started_at: string; lease_until: string; version: string }
export interface Counts { connections: number; users: number; running: number; queued: number; undelivered: number; sessions: number }
export interface Now { counts: Counts; nodes: Node[]; connections: Connection[]; node_id: number; limit: number }
export interface Session { user_id: string; session_id: string; title: string | null; model: string | null; created_at: string; last_activity_at: string; messages: number; last_role: string | null; last_content: string | null; running_run_id: string | null; waiting_runs: number; input_tokens: number; output_tokens: number; cost_usd: number }
export interface Message { seq: number; created_at: string; role: string; content: string; length: number; state: string; message_id: string; run_id: string | null; model: string | null; error_code: string | null; input_tokens: number | null; output_tokens: number | null; cost_usd: number | null; cleared: boolean; rating: number | null; comment: string | null }
export interface Run { run_id: string; state: string; attempt: number; query_seq: number; priority: number; node_id: number | null; model: string | null; requested_model: string | null; finish_reason: string | null; error_code: string | null; prompt_tokens: number | null; queued_at: string; started_at: string | null; first_token_at: string | null; ended_at: string | null; cancel_requested_at: string | null; input_tokens: number | null; output_tokens: number | null; cost_usd: number | null }
export interface PromptMessage { position: number; seq: number; role: string | null; content: string | null; length: number | null }
export interface Pending { notification_id: string; user_id: string; session_id: string | null; kind: string; title: string | null; content: string; priority: string; deliver_after: string | null; expires_at: string | null; created_at: string; due: boolean; in_context: boolean }
export interface Day { day: string; runs: number; complete: number; cancelled: number; failed: number; first_token_p50_ms: number | null; first_token_p95_ms: number | null; input_tokens: number; output_tokens: number; cost_usd: number; answers_without_cost: number }

/** What the server said instead of an answer. `signIn`: another token may help. */
export class Refused extends Error {
  constructor(message: string, readonly signIn: boolean) {
    super(message);
  }
}

export async function ask<T>(tokens: TokenKeeper, path: string, signal?: AbortSignal): Promise<T> {
  let reply: Response;
  try {
    reply = await fetch(path, { headers: { authorization: `Bearer ${tokens.value ?? ""}` }, cache: "no-store", signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused("The server cannot be reached.", false);
  }
  if (reply.ok) return await reply.json() as T;
  const problem = await reply.json().catch(() => ({})) as { detail?: string };
  throw new Refused(problem.detail ?? `The server answered ${reply.status}.`, reply.status === 401 || reply.status === 403);
}

export function sessionPath(user: string, session: string): string {
  return `user=${encodeURIComponent(user)}&session=${encodeURIComponent(session)}`;
}
