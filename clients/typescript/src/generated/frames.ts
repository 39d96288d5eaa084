// Written from the types of the server by `agent-websocket spec --write`; do not edit.
//
// Switch on `type`, then on `event`. Types, events and fields that are not here are to be ignored: the server may grow.

/** A frame that a client may send. */
export type ClientFrame = QueryRequest | FeedbackRequest | CommandFrame;

/** A command with its arguments. */
export type CommandFrame =
  | AuthCommand
  | PingCommand
  | HelpCommand
  | SessionsCommand
  | NewCommand
  | ResumeCommand
  | HistoryCommand
  | RenameCommand
  | ClearCommand
  | DeleteCommand
  | CancelCommand
  | ModelCommand
  | SearchCommand
  | RegenerateCommand
  | QueueCommand
  | UnqueueCommand
  | InboxCommand
  | AckCommand;

/** The answer to a command; `event` is the command's name. */
export type CommandResult =
  | AuthResult
  | PingResult
  | HelpResult
  | SessionsResult
  | NewResult
  | ResumeResult
  | HistoryResult
  | RenameResult
  | ClearResult
  | DeleteResult
  | CancelResult
  | ModelResult
  | SearchResult
  | RegenerateResult
  | QueueResult
  | UnqueueResult
  | InboxResult
  | AckResult;

/** Something that the client should know unasked. */
export type NotificationFrame = WelcomeFrame | MessageFrame | ClearedFrame | TimeoutFrame;

/** A frame that the server sends. */
export type ServerFrame =
  | QueryFrame
  | DeltaFrame
  | ResponseFrame
  | ErrorFrame
  | StatusFrame
  | CommandResult
  | NotificationFrame;

/** How things stand. */
export type StatusFrame =
  | AcceptedFrame
  | ThinkingFrame
  | LiveFrame
  | RunFrame
  | SessionFrame
  | HeartbeatFrame
  | TokenExpiringFrame
  | DrainingFrame
  | FeedbackFrame;

/** The query is durable. */
export interface AcceptedFrame {
  type: "status";
  event: "accepted";
  /** For a person. */
  content: string;
  /** When the query became durable. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** Its place. */
  seq: Seq;
  /** Its message. */
  message_id: MessageId;
  /** The run that answers it. */
  run_id: RunId;
  /** 0 = running. */
  queue_position: number;
  /** The same `id` was accepted before; this repeats that answer. */
  duplicate: boolean;
  /** The query's id. */
  re?: ClientName;
}

/** Arguments of `ack`: `notification_ids` or `all: true`. */
export interface AckArgs {
  /** Or all that are due. */
  all?: boolean;
  /** These; at most 1,000. */
  notification_ids?: NotificationId[];
}

/** These notifications were seen. */
export interface AckCommand {
  type: "command";
  content: "ack";
  /** The frame's id. */
  id?: ClientName;
  args?: AckArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** What was acknowledged. */
export interface AckResult {
  type: "status";
  event: "ack";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: Acknowledged;
  /** The frame's id. */
  re?: ClientName;
}

/** What was acknowledged. */
export interface Acknowledged {
  /** Those that were not before. */
  notification_ids: NotificationId[];
}

/** How an answer ended. */
export type AnswerState =
  /** As the model meant it. */
  | "complete"
  /** Stopped on request. */
  | "cancelled"
  /** Some text, then a fault. */
  | "incomplete"
  /** No text. */
  | "failed";

/** Arguments of `auth`. */
export interface AuthArgs {
  /** The JWT. */
  token: string;
  /** The cursor; wins over the URL's. */
  after?: number;
  /** The session to resume; wins over the URL's. */
  session_id?: SessionRef;
}

/** Opens a connection without a token, or renews the token of one. */
export interface AuthCommand {
  type: "command";
  content: "auth";
  /** The frame's id. */
  id?: ClientName;
  args: AuthArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The token was accepted. */
export interface AuthResult {
  type: "status";
  event: "auth";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** When the token must have been renewed. */
  expires_at: Timestamp;
  /** Whose token it was. */
  data: Authenticated;
  /** The frame's id. */
  re?: ClientName;
}

/** Whose token it was. */
export interface Authenticated {
  /** Who the token says you are. */
  user_id: UserId;
  /** When the token must have been renewed. */
  expires_at: Timestamp;
}

/** Arguments of `cancel`. */
export interface CancelArgs {
  /** Which run; else the one in progress. */
  run_id?: RunId;
}

/** Stops the run in progress, or the one named. */
export interface CancelCommand {
  type: "command";
  content: "cancel";
  /** The frame's id. */
  id?: ClientName;
  args?: CancelArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** What became of the run. */
export interface CancelResult {
  type: "status";
  event: "cancel";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: Cancelled;
  /** The frame's id. */
  re?: ClientName;
}

/** What a run is after a cancel. */
export type CancelState =
  /** It stops now, and its `response` follows. */
  | "cancelling"
  /** It was waiting and never ran, or had been cancelled before. */
  | "cancelled"
  /** It had ended before. */
  | "complete"
  /** It had ended before. */
  | "incomplete"
  /** It had ended before. */
  | "failed"
  /** Nothing was running. */
  | "none";

/** What a cancel did. */
export interface Cancelled {
  /** Which run; null where nothing was running. */
  run_id: RunId | null;
  /** What it is now. */
  state: CancelState;
}

/** A fresh context: older turns stay in the history and leave the model's window. */
export interface ClearCommand {
  type: "command";
  content: "clear";
  /** The frame's id. */
  id?: ClientName;
  args?: NoArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** A fresh context begins. */
export interface ClearResult {
  type: "status";
  event: "clear";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: Cut;
  /** The frame's id. */
  re?: ClientName;
}

/** Acknowledged on another device. */
export interface ClearedFrame {
  type: "notification";
  event: "cleared";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** What was acknowledged. */
  notification_ids: NotificationId[];
}

/** A name that a client chose: the id of its frame, or of its device. 1 to 64 of `[A-Za-z0-9_-]`. */
export type ClientName = string;

/** A command, for people. */
export interface CommandHelp {
  /** What stands in `content`. */
  name: string;
  /** Its arguments, and what it does. */
  description: string;
}

/** Which commands there are. */
export interface CommandList {
  /** All of them. */
  commands: CommandHelp[];
}

/** One socket, for logs and for leaving by id. */
export type ConnectionId = string;

/** Where the model's window begins. */
export interface Cut {
  /** The last message that is out of the model's window. */
  context_after_seq: Seq;
}

/** Arguments of `delete`. */
export interface DeleteArgs {
  /** Which session. */
  session_id: SessionId;
}

/** Removes a session with everything in it. */
export interface DeleteCommand {
  type: "command";
  content: "delete";
  /** The frame's id. */
  id?: ClientName;
  args: DeleteArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The session is gone. */
export interface DeleteResult {
  type: "status";
  event: "delete";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: SessionNamed;
  /** The frame's id. */
  re?: ClientName;
}

/** Text as it is written. */
export interface DeltaFrame {
  type: "delta";
  /** The text from `offset` on. */
  content: string;
  /** When it was sent. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** The answer it belongs to. */
  message_id: MessageId;
  /** Which run. */
  run_id: RunId;
  /** Which try at the answer: a higher one starts from nothing. */
  attempt: number;
  /** Where the text stands in the answer, in UTF-16 code units. */
  offset: number;
  /** Sent to catch up. */
  replay?: boolean;
}

/** The server restarts. */
export interface DrainingFrame {
  type: "status";
  event: "draining";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** When to come back. */
  retry_after_ms: number;
}

/** Why something was refused or failed. Stable: clients switch on it. */
export type ErrorCode =
  /** The frame is no JSON object. */
  | "invalid_json"
  /** The frame's fields are not as the contract says. */
  | "invalid_message"
  /** A query or a comment without content. */
  | "content_required"
  /** No such `type`. */
  | "unknown_type"
  /** No such command. */
  | "unknown_command"
  /** More than the limit allows. */
  | "too_large"
  /** Too many of these in a short time. */
  | "rate_limited"
  /** A limit that does not refill by itself within minutes. */
  | "quota_exceeded"
  /** A run is in progress and `on_busy` was `reject`. */
  | "busy"
  /** Too many queries wait in this session. */
  | "queue_full"
  /** The `id` was used before with other content. */
  | "id_conflict"
  /** No such thing, or not yours: the two cannot be told apart. */
  | "not_found"
  /** Known, but not allowed. */
  | "forbidden"
  /** No valid token. */
  | "unauthorized"
  /** The model's provider has no capacity now. */
  | "provider_busy"
  /** The model's provider did not answer in time. */
  | "provider_timeout"
  /** The model's provider failed. */
  | "provider_unavailable"
  /** The provider's moderation refused. */
  | "content_filtered"
  /** The conversation is longer than the model takes. */
  | "context_too_long"
  /** The model cannot be used. */
  | "model_unavailable"
  /** Our fault. */
  | "internal";

/** A refusal or a failure. */
export interface ErrorFrame {
  type: "error";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** What clients switch on. */
  code: ErrorCode;
  /** Whether the same may succeed later. */
  retryable: boolean;
  /** The frame that this answers. */
  re?: ClientName;
  /** When to come back. */
  retry_after_ms?: number;
  /** The run that failed. */
  run_id?: RunId;
}

/** Feedback was stored. */
export interface FeedbackFrame {
  type: "status";
  event: "feedback";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** About which answer. */
  message_id: MessageId;
  /** The frame's id. */
  re?: ClientName;
}

/** A person's view of an answer of this session; sent again it replaces. */
export interface FeedbackRequest {
  type: "human_feedback";
  /** A comment, at most 32,768 bytes of UTF-8. */
  content?: string;
  /** The frame's id. */
  id?: ClientName;
  /** The answer, one of this session. */
  message_id: MessageId;
  /** What the answer should have been, at most 32,768 bytes of UTF-8. */
  correction?: string;
  /** -1, 0 or 1. */
  rating?: number;
  /** Short labels, each of 1 to 64 bytes of UTF-8. */
  tags?: string[];
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** Messages that a catch-up leaves out, both ends inclusive. */
export interface Gap {
  /** The first one left out. */
  from: Seq;
  /** The last one left out. */
  to: Seq;
}

/** The server is there. */
export interface HeartbeatFrame {
  type: "status";
  event: "heartbeat";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** All up to here has been sent on this connection. */
  head: Seq;
}

/** Which commands are there? */
export interface HelpCommand {
  type: "command";
  content: "help";
  /** The frame's id. */
  id?: ClientName;
  args?: NoArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The commands. */
export interface HelpResult {
  type: "status";
  event: "help";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: CommandList;
  /** The frame's id. */
  re?: ClientName;
}

/** Arguments of `history`. */
export interface HistoryArgs {
  /** Only messages before this `seq`. */
  before?: Seq;
  /** How many, 1 to 200; 50 if absent. */
  limit?: number;
}

/** Messages of this session before a `seq`, or the newest; in the order of `seq`. */
export interface HistoryCommand {
  type: "command";
  content: "history";
  /** The frame's id. */
  id?: ClientName;
  args?: HistoryArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** Messages in the order of `seq`. */
export interface HistoryResult {
  type: "status";
  event: "history";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: MessageList;
  /** The frame's id. */
  re?: ClientName;
}

/** Arguments of `inbox`. */
export interface InboxArgs {
  /** How many, 1 to 200; 200 if absent. */
  limit?: number;
}

/** The user's unacknowledged notifications. */
export interface InboxCommand {
  type: "command";
  content: "inbox";
  /** The frame's id. */
  id?: ClientName;
  args?: InboxArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The user's unacknowledged notifications. */
export interface InboxResult {
  type: "status";
  event: "inbox";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: NotificationList;
  /** The frame's id. */
  re?: ClientName;
}

/** The catch-up is complete. */
export interface LiveFrame {
  type: "status";
  event: "live";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** All up to here has been sent on this connection. */
  head: Seq;
}

/** Messages that hold the words. */
export interface MatchList {
  /** Newest first. */
  matches: Message[];
}

/** A message of a session. */
export interface Message {
  /** The text. */
  content: string;
  /** The id that the client gave it. */
  id?: string;
  /** Its session. */
  session_id: SessionId;
  /** Its place. */
  seq: Seq;
  /** Which one. */
  message_id: MessageId;
  /** Who speaks. */
  role: Role;
  /** How it ended; always `complete` but for answers. */
  state: AnswerState;
  /** When it was stored. */
  created_at: Timestamp;
  /** Of answers: why it is not complete. */
  error?: RunError;
  /** Of answers: the provider's reason for the end. */
  finish_reason?: string;
  /** Of answers: the query. */
  in_reply_to?: MessageId;
  /** Of queries: the client's own object. Of notifications: their kind, title, data and priority. */
  metadata?: Record<string, unknown>;
  /** Of answers: the model that wrote it. */
  model?: string;
  /** Of notifications: which one. */
  notification_id?: NotificationId;
  /** The run that answers it or wrote it. */
  run_id?: RunId;
  /** Of answers: what it took. */
  usage?: Usage;
}

/** Pushed by another service. */
export interface MessageFrame {
  type: "notification";
  event: "message";
  /** The text. */
  content: string;
  /** When it was written. */
  timestamp: Timestamp;
  /** By which repeats are known and by which it is acknowledged. */
  notification_id: NotificationId;
  /** The writer's word for what it is. */
  kind: string;
  /** The order of delivery at a connect. */
  priority: Priority;
  /** When the row was inserted. */
  created_at: Timestamp;
  /** The session that it is about, or null. */
  session_id: SessionId | null;
  /** The writer's own data. */
  data?: unknown;
  /** Its message, once, if it became part of the conversation. */
  message_id?: MessageId;
  /** Sent to catch up. */
  replay?: boolean;
  /** Its place in the conversation, once, if it became part of it. */
  seq?: Seq;
  /** A heading. */
  title?: string;
}

/** One immutable message of a session. */
export type MessageId = string;

/** Messages in the order of `seq`. */
export interface MessageList {
  /** A page of them. */
  messages: Message[];
}

/** Arguments of `model`. */
export interface ModelArgs {
  /** Null for the default, but never left out: that would undo the choice unasked. */
  model: string | null;
}

/** A session's model. */
export interface ModelChosen {
  /** The model that answers; null for the operator's default. */
  model: string | null;
  /** Those that may be chosen. */
  allowed_models: string[];
}

/** Chooses this session's model. */
export interface ModelCommand {
  type: "command";
  content: "model";
  /** The frame's id. */
  id?: ClientName;
  args: ModelArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The session's model. */
export interface ModelResult {
  type: "status";
  event: "model";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: ModelChosen;
  /** The frame's id. */
  re?: ClientName;
}

/** A new session on this connection. */
export interface NewCommand {
  type: "command";
  content: "new";
  /** The frame's id. */
  id?: ClientName;
  args?: NoArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** A new session on this connection; `welcome` follows. */
export interface NewResult {
  type: "status";
  event: "new";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: SessionNamed;
  /** The frame's id. */
  re?: ClientName;
}

/** No arguments. */
export type NoArgs = Record<string, never>;

/** Nothing to tell. */
export type Nothing = Record<string, never>;

/** One row of `agent.notifications`. */
export type NotificationId = string;

/** What was not acknowledged. */
export interface NotificationList {
  /** By priority, then age. */
  notifications: PendingNotification[];
}

/** What happens to a query when a run is in progress. */
export type OnBusy =
  /** Wait behind it. */
  | "enqueue"
  /** Answer `busy`, store nothing. */
  | "reject"
  /** Cancel it and run next. */
  | "interrupt";

/** A notification that was not acknowledged. */
export interface PendingNotification {
  /** The text. */
  content: string;
  /** Which one. */
  notification_id: NotificationId;
  /** The session that it is about, or null. */
  session_id: SessionId | null;
  /** The writer's word for what it is. */
  kind: string;
  /** A heading, or null. */
  title: string | null;
  /** The writer's own data, or null. */
  data: unknown;
  /** The order of delivery. */
  priority: Priority;
  /** When the row was inserted. */
  created_at: Timestamp;
}

/** Is the server there? */
export interface PingCommand {
  type: "command";
  content: "ping";
  /** The frame's id. */
  id?: ClientName;
  args?: NoArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The server is there. */
export interface PingResult {
  type: "status";
  event: "ping";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: Nothing;
  /** The frame's id. */
  re?: ClientName;
}

/** The order among waiting queries of a session. */
export type Priority =
  /** Before the others. */
  | "high"
  /** In between. */
  | "normal"
  /** After the others. */
  | "low";

/** A user's message written elsewhere, or replayed. */
export interface QueryFrame {
  type: "query";
  /** The question. */
  content: string;
  /** The client's own id for it. */
  id?: string;
  /** When it became durable. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** Its place. */
  seq: Seq;
  /** Its message. */
  message_id: MessageId;
  /** Sent to catch up. */
  replay?: boolean;
  /** The run that answers it. */
  run_id?: RunId;
}

/** A question to the agent. */
export interface QueryRequest {
  type: "query";
  /** The question: not blank, at most 32,768 bytes of UTF-8. */
  content: string;
  /** The client's own id: makes the send idempotent for as long as the message exists. */
  id?: ClientName;
  /** The client's own object, stored beside the message: at most 4,096 bytes and 8 levels deep. */
  metadata?: Record<string, unknown>;
  /** A model that the operator allows. */
  model?: string;
  /** What to do while an answer is being written in this session. */
  on_busy?: OnBusy;
  /** Its place among this session's waiting queries. */
  priority?: Priority;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** What waits in this session, in the order in which it will run. */
export interface QueueCommand {
  type: "command";
  content: "queue";
  /** The frame's id. */
  id?: ClientName;
  args?: NoArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** What waits in this session, in the order in which it will run. */
export interface QueueResult {
  type: "status";
  event: "queue";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: WaitingList;
  /** The frame's id. */
  re?: ClientName;
}

/** How a client should come back after a cut. */
export interface Reconnect {
  /** The first wait. */
  base_ms: number;
  /** The longest wait. */
  max_ms: number;
  /** How much to vary it. */
  jitter_ms: number;
}

/** Arguments of `regenerate`. */
export interface RegenerateArgs {
  /** The query, or its answer. */
  message_id?: MessageId;
}

/** A new answer to a query, the session's latest unless one is named. */
export interface RegenerateCommand {
  type: "command";
  content: "regenerate";
  /** The frame's id. */
  id?: ClientName;
  args?: RegenerateArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** A new answer was asked for. */
export interface RegenerateResult {
  type: "status";
  event: "regenerate";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: Regenerated;
  /** The frame's id. */
  re?: ClientName;
}

/** The run that will write the new answer. */
export interface Regenerated {
  /** Which run. */
  run_id: RunId;
  /** The query's message. */
  in_reply_to: MessageId;
  /** The answer to come. */
  message_id: MessageId;
  /** 0 = running. */
  queue_position: number;
  /** The same `id` was accepted before; this repeats that answer. */
  duplicate: boolean;
}

/** Arguments of `rename`. */
export interface RenameArgs {
  /** One line of 1 to 200 characters. */
  title: string;
}

/** Names this session. */
export interface RenameCommand {
  type: "command";
  content: "rename";
  /** The frame's id. */
  id?: ClientName;
  args: RenameArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The session was renamed. */
export interface RenameResult {
  type: "status";
  event: "rename";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: Renamed;
  /** The frame's id. */
  re?: ClientName;
}

/** A session's title. */
export interface Renamed {
  /** Which session. */
  session_id: SessionId;
  /** Its title now. */
  title: string;
}

/** A whole answer, durable. */
export interface ResponseFrame {
  type: "response";
  /** The whole answer. */
  content: string;
  /** When it became durable. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** Its place. */
  seq: Seq;
  /** Its message. */
  message_id: MessageId;
  /** How it ended. */
  state: AnswerState;
  /** The answer's length in UTF-16 code units. */
  length: number;
  /** SHA-256 of the answer's UTF-8, in hex. */
  sha256: string;
  /** Why it is not complete. */
  error?: RunError;
  /** The provider's reason for the end. */
  finish_reason?: string;
  /** The query's message. */
  in_reply_to?: MessageId;
  /** The model that wrote it. */
  model?: string;
  /** Sent to catch up. */
  replay?: boolean;
  /** Which run. */
  run_id?: RunId;
  /** What it took. */
  usage?: Usage;
}

/** Arguments of `resume`. */
export interface ResumeArgs {
  /** Which session. */
  session_id: SessionRef;
  /** The last `seq` that the client has applied. */
  after?: number;
}

/** Another session on this connection. */
export interface ResumeCommand {
  type: "command";
  content: "resume";
  /** The frame's id. */
  id?: ClientName;
  args: ResumeArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** Another session on this connection; `welcome` follows. */
export interface ResumeResult {
  type: "status";
  event: "resume";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: SessionNamed;
  /** The frame's id. */
  re?: ClientName;
}

/** Who speaks in a message. */
export type Role =
  /** The person. */
  | "user"
  /** The agent. */
  | "assistant"
  /** Another service, as data. */
  | "notification";

/** Why an answer is not complete. */
export interface RunError {
  /** What clients switch on. */
  code: ErrorCode;
  /** Whether asking again may help. */
  retryable: boolean;
}

/** A run changed. */
export interface RunFrame {
  type: "status";
  event: "run";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** Which run. */
  run_id: RunId;
  /** What it is now. */
  state: string;
  /** Which try at the answer. */
  attempt: number;
}

/** One attempt-counted work on an answer. */
export type RunId = string;

/** Arguments of `search`. */
export interface SearchArgs {
  /** The words, 1 to 500 bytes. */
  q: string;
  /** How many, 1 to 200; 20 if absent. */
  limit?: number;
}

/** The user's messages that hold these words, in all sessions. */
export interface SearchCommand {
  type: "command";
  content: "search";
  /** The frame's id. */
  id?: ClientName;
  args: SearchArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** Messages that hold the words, newest first. */
export interface SearchResult {
  type: "status";
  event: "search";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: MatchList;
  /** The frame's id. */
  re?: ClientName;
}

/** The place of a message in its session: 1, 2, 3 … without gaps; 0 is before the first. */
export type Seq = number;

/** A session. */
export interface Session {
  /** Which one. */
  session_id: SessionId;
  /** Its title; null before the first question. */
  title: string | null;
  /** The model that answers; null for the operator's default. */
  model: string | null;
  /** The client's own object. */
  metadata: Record<string, unknown>;
  /** Its newest message; 0 while there is none. */
  last_seq: Seq;
  /** The run in progress, if any. */
  active_run_id: RunId | null;
  /** When it was made. */
  created_at: Timestamp;
  /** When something was last said in it. */
  last_activity_at: Timestamp;
}

/** The session was renamed or deleted. */
export interface SessionFrame {
  type: "status";
  event: "session";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** Its title now. */
  title: string | null;
  /** Whether it is gone. */
  deleted: boolean;
}

/** One conversation of one user. */
export type SessionId = string;

/** Sessions, most recently active first. */
export interface SessionList {
  /** A page of them. */
  sessions: Session[];
}

/** A session, by its id. */
export interface SessionNamed {
  /** Which session. */
  session_id: SessionId;
}

/** Which session a client wants: this one, or `latest`, the most recently active one, or a new one. */
export type SessionRef = "latest" | SessionId;

/** Arguments of `sessions`. */
export interface SessionsArgs {
  /** Only sessions that come after this one in the list. */
  before?: SessionId;
  /** How many, 1 to 200; 50 if absent. */
  limit?: number;
}

/** The user's sessions, most recently active first. */
export interface SessionsCommand {
  type: "command";
  content: "sessions";
  /** The frame's id. */
  id?: ClientName;
  args?: SessionsArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The user's sessions, most recently active first. */
export interface SessionsResult {
  type: "status";
  event: "sessions";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: SessionList;
  /** The frame's id. */
  re?: ClientName;
}

/** A run starts. */
export interface ThinkingFrame {
  type: "status";
  event: "thinking";
  /** `Thinking...` */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** Which session. */
  session_id: SessionId;
  /** Which run. */
  run_id: RunId;
  /** The query's message. */
  in_reply_to: MessageId;
  /** The answer to come. */
  message_id: MessageId;
  /** Sent to catch up. */
  replay?: boolean;
}

/** The session closes for want of activity. */
export interface TimeoutFrame {
  type: "notification";
  event: "timeout";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
}

/** A moment: RFC 3339. The server writes UTC with milliseconds. */
export type Timestamp = string;

/** The token expires soon. */
export interface TokenExpiringFrame {
  type: "status";
  event: "token_expiring";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** When the token must have been renewed. */
  expires_at: Timestamp;
}

/** Arguments of `unqueue`. */
export interface UnqueueArgs {
  /** The waiting query. */
  message_id: MessageId;
}

/** Takes a waiting query out of the queue. */
export interface UnqueueCommand {
  type: "command";
  content: "unqueue";
  /** The frame's id. */
  id?: ClientName;
  args: UnqueueArgs;
  /** Accepted and ignored. */
  timestamp?: Timestamp;
}

/** The query waits no more. */
export interface UnqueueResult {
  type: "status";
  event: "unqueue";
  /** For a person. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  data: Unqueued;
  /** The frame's id. */
  re?: ClientName;
}

/** A query that waits no more. */
export interface Unqueued {
  /** The query's message, which stays. */
  message_id: MessageId;
  /** Its run, which is cancelled. */
  run_id: RunId;
}

/** What an answer took. */
export interface Usage {
  /** Money, in US dollars. */
  cost_usd?: number;
  /** Tokens of the prompt. */
  input_tokens?: number;
  /** Tokens of the answer. */
  output_tokens?: number;
}

/** Whose data it is: the verified token's subject, verbatim. */
export type UserId = string;

/** What waits. */
export interface WaitingList {
  /** In the order in which it will run. */
  queue: WaitingQuery[];
}

/** A query that waits for its turn. */
export interface WaitingQuery {
  /** The question. */
  content: string;
  /** The run that will answer it. */
  run_id: RunId;
  /** Its message. */
  message_id: MessageId;
  /** Its place in the session. */
  seq: Seq;
  /** Its place among the waiting ones. */
  priority: Priority;
  /** Since when it waits. */
  queued_at: Timestamp;
}

/** First frame once authenticated. */
export interface WelcomeFrame {
  type: "notification";
  event: "welcome";
  /** `Connected to Agent WebSocket. Session ID: <uuid>`. */
  content: string;
  /** When. */
  timestamp: Timestamp;
  /** The session of this connection. */
  session_id: SessionId;
  /** Whether it existed before. */
  resumed: boolean;
  /** All up to here has been sent on this connection, or will be before `live`. */
  head: Seq;
  /** The earliest message that can still be read. */
  first_available: Seq;
  /** This connection, for logs. */
  connection_id: ConnectionId;
  /** Who the token says you are. */
  user_id: string;
  /** The version of this contract. */
  protocol: number;
  /** How long the server may be silent. */
  heartbeat_ms: number;
  /** The largest frame that the server takes. */
  max_message_bytes: number;
  /** When the token must have been renewed. */
  token_expires_at: Timestamp;
  /** How to come back. */
  reconnect: Reconnect;
  /** What the catch-up leaves out. */
  gap?: Gap;
}
