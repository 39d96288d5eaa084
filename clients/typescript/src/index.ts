// What an application imports.

export { createClient } from "./client.js";
export type { Client, ClientOptions, Match, SessionFields, SessionInfo, Sessions } from "./client.js";
export type { ClosedReason } from "./close.js";
export type { ConnectionState } from "./connection.js";
export type { SocketConstructor, SocketLike } from "./env.js";
export { AgentError } from "./errors.js";
export type { Code } from "./errors.js";
export type { AnswerState, ErrorCode, Priority, Usage } from "./generated/frames.js";
export type { Message, MessageError, MessageState } from "./message.js";
export type { Notification, Notifications } from "./notifications.js";
export type { Observable } from "./observable.js";
export type { Feedback, QueuedQuery, SendOptions, Session } from "./session.js";
export type { SessionState } from "./state.js";
export type { GetToken, TokenRequest } from "./token.js";
export type { Accepted, Answer, Turn, TurnEvent } from "./turn.js";
