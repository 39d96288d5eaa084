//! Sessions, messages and notifications as items of lists: the same on the socket and over HTTP.
//!
//! `service` makes them of what the store holds.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::client::Priority;
use super::server::{RunError, Usage};
use super::text::Timestamp;
use crate::ids::{MessageId, NotificationId, RunId, Seq, SessionId};
use crate::log::{AnswerState, Role};

/// A session.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Session")]
pub struct SessionView {
    /// Which one.
    pub session_id: SessionId,
    /// Its title; null before the first question.
    pub title: Option<String>,
    /// The model that answers; null for the operator's default.
    pub model: Option<String>,
    /// The client's own object.
    #[schemars(with = "Map<String, Value>")]
    pub metadata: Value,
    /// Its newest message; 0 while there is none.
    pub last_seq: Seq,
    /// The run in progress, if any.
    pub active_run_id: Option<RunId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something was last said in it.
    pub last_activity_at: Timestamp,
}

/// A message of a session.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Message")]
pub struct MessageView {
    /// Its session.
    pub session_id: SessionId,
    /// Its place.
    pub seq: Seq,
    /// Which one.
    pub message_id: MessageId,
    /// The id that the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub content: String,
    /// How it ended; always `complete` but for answers.
    pub state: AnswerState,
    /// Of answers: the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<MessageId>,
    /// The run that answers it or wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Of notifications: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_id: Option<NotificationId>,
    /// Of answers: the model that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of answers: the provider's reason for the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Of answers: why it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// Of answers: what it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Of queries: the client's own object. Of notifications: their kind, title, data and priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub metadata: Option<Value>,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A notification that was not acknowledged.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "PendingNotification")]
pub struct NotificationView {
    /// Which one.
    pub notification_id: NotificationId,
    /// The session that it is about, or null.
    pub session_id: Option<SessionId>,
    /// The writer's word for what it is.
    pub kind: String,
    /// A heading, or null.
    pub title: Option<String>,
    /// The text.
    pub content: String,
    /// The writer's own data, or null.
    pub data: Option<Value>,
    /// The order of delivery.
    #[schemars(with = "Priority")]
    pub priority: String,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

/// A query that waits for its turn.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "WaitingQuery")]
pub struct WaitingView {
    /// The run that will answer it.
    pub run_id: RunId,
    /// Its message.
    pub message_id: MessageId,
    /// Its place in the session.
    pub seq: Seq,
    /// The question.
    pub content: String,
    /// Its place among the waiting ones.
    #[schemars(with = "Priority")]
    pub priority: &'static str,
    /// Since when it waits.
    pub queued_at: Timestamp,
}
