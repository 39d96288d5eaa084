// The frames of the wire, as PROTOCOL.md describes them. What a server adds later is ignored: every kind that this client
// does not know reaches `UnknownFrame`.

export type ErrorCode =
  | "invalid_json" | "invalid_message" | "content_required" | "unknown_type" | "unknown_command" | "too_large"
  | "rate_limited" | "quota_exceeded" | "busy" | "queue_full" | "id_conflict" | "not_found" | "forbidden"
  | "unauthorized" | "provider_busy" | "provider_timeout" | "provider_unavailable" | "content_filtered"
  | "context_too_long" | "model_unavailable" | "internal";

interface Common {
  content: string;
  timestamp: string;
  re?: string;
  replay?: boolean;
}

export interface WelcomeFrame extends Common {
  type: "notification";
  event: "welcome";
  session_id: string;
  resumed: boolean;
  head: number;
  first_available: number;
  gap?: { from: number; to: number };
  connection_id: string;
  user_id: string;
  protocol: number;
  heartbeat_ms: number;
  max_message_bytes: number;
  token_expires_at: string;
  reconnect: { base_ms: number; max_ms: number; jitter_ms: number };
}

export interface NotificationFrame extends Common {
  type: "notification";
  event: "message";
  notification_id: string;
  kind: string;
  title?: string;
  data?: unknown;
  priority: Priority;
  created_at: string;
  session_id: string | null;
  seq?: number;
  message_id?: string;
}

export interface ClearedFrame extends Common {
  type: "notification";
  event: "cleared";
  notification_ids: string[];
}

export interface TimeoutFrame extends Common {
  type: "notification";
  event: "timeout";
}

export interface AcceptedFrame extends Common {
  type: "status";
  event: "accepted";
  session_id: string;
  seq: number;
  message_id: string;
  run_id: string;
  queue_position: number;
  duplicate: boolean;
}

export interface ThinkingFrame extends Common {
  type: "status";
  event: "thinking";
  session_id: string;
  run_id: string;
  in_reply_to: string;
  message_id: string;
}

export interface HeadFrame extends Common {
  type: "status";
  event: "live" | "heartbeat";
  session_id: string;
  head: number;
}

export interface RunFrame extends Common {
  type: "status";
  event: "run";
  session_id: string;
  run_id: string;
  state: string;
  attempt?: number;
}

export interface SessionFrame extends Common {
  type: "status";
  event: "session";
  session_id: string;
  title: string | null;
  deleted: boolean;
}

export interface TokenExpiringFrame extends Common {
  type: "status";
  event: "token_expiring";
  expires_at: string;
}

export interface DrainingFrame extends Common {
  type: "status";
  event: "draining";
  retry_after_ms: number;
}

/** The answer to a command: its `event` is the command's name. */
export interface DoneFrame extends Common {
  type: "status";
  event: Command;
  data: Record<string, unknown>;
}

export interface FeedbackFrame extends Common {
  type: "status";
  event: "feedback";
  message_id: string;
}

export interface QueryFrame extends Common {
  type: "query";
  id?: string;
  session_id: string;
  seq: number;
  message_id: string;
  run_id?: string;
}

export interface DeltaFrame extends Common {
  type: "delta";
  session_id: string;
  message_id: string;
  run_id: string;
  attempt: number;
  offset: number;
}

export type AnswerState = "complete" | "cancelled" | "incomplete" | "failed";

export interface Usage {
  input_tokens?: number | null;
  output_tokens?: number | null;
  cost_usd?: number | null;
}

export interface ResponseFrame extends Common {
  type: "response";
  session_id: string;
  seq: number;
  message_id: string;
  in_reply_to?: string;
  run_id?: string;
  state: AnswerState;
  error?: { code: ErrorCode; retryable: boolean };
  finish_reason?: string | null;
  model?: string | null;
  usage?: Usage;
  length: number;
  sha256: string;
}

export interface ErrorFrame extends Common {
  type: "error";
  code: ErrorCode;
  retryable: boolean;
  retry_after_ms?: number;
  run_id?: string;
}

export type ServerFrame =
  | WelcomeFrame | NotificationFrame | ClearedFrame | TimeoutFrame | AcceptedFrame | ThinkingFrame | HeadFrame
  | RunFrame | SessionFrame | TokenExpiringFrame | DrainingFrame | DoneFrame | FeedbackFrame | QueryFrame | DeltaFrame
  | ResponseFrame | ErrorFrame;

export type Priority = "high" | "normal" | "low";

export type Command =
  | "auth" | "ping" | "help" | "sessions" | "new" | "resume" | "history" | "rename" | "clear" | "delete" | "cancel"
  | "model" | "search" | "regenerate" | "queue" | "unqueue" | "inbox" | "ack";

/** An item of `history`, `search` and `GET /v1/sessions/{id}/messages`. */
export interface StoredMessage {
  session_id?: string;
  seq: number;
  message_id: string;
  id?: string | null;
  role: "user" | "assistant" | "notification";
  content: string;
  state: AnswerState;
  created_at: string;
  run_id?: string | null;
  in_reply_to?: string | null;
  model?: string | null;
  finish_reason?: string | null;
  error?: { code: ErrorCode; retryable: boolean } | null;
  usage?: Usage | null;
}
