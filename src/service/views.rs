//! Sessions, messages and notifications as items of lists: the same on the socket and over HTTP.

use serde::Serialize;
use serde_json::Value;

use crate::ids::{MessageId, NotificationId, RunId, Seq, SessionId};
use crate::log::{Message, Role};
use crate::protocol::server::{RunError, Usage};
use crate::protocol::text::Timestamp;
use crate::store::notifications::PendingNotification;
use crate::store::runs::Waiting;
use crate::store::sessions::Session;

/// A session.
#[derive(Clone, Debug, Serialize)]
pub struct SessionView {
    session_id: SessionId,
    title: Option<String>,
    model: Option<String>,
    metadata: Value,
    last_seq: Seq,
    active_run_id: Option<RunId>,
    created_at: Timestamp,
    last_activity_at: Timestamp,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            session_id: session.session_id,
            title: session.title,
            model: session.model,
            metadata: session.metadata,
            last_seq: session.last_seq,
            active_run_id: session.active_run,
            created_at: session.created_at,
            last_activity_at: session.last_activity_at,
        }
    }
}

/// A message.
#[derive(Clone, Debug, Serialize)]
pub struct MessageView {
    session_id: SessionId,
    seq: Seq,
    message_id: MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    role: &'static str,
    content: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_id: Option<NotificationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RunError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    created_at: Timestamp,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        Self {
            session_id: message.session_id,
            seq: message.seq,
            message_id: message.message_id,
            id: message.client_id,
            role: message.role.as_str(),
            content: message.content.to_string(),
            state: message.state.as_str(),
            in_reply_to: message.in_reply_to,
            run_id: message.run_id.filter(|_| message.role != Role::Notification),
            notification_id: message.notification_id,
            model: message.model,
            finish_reason: message.finish_reason,
            error: message.error.map(|code| RunError {
                code,
                retryable: code.is_retryable(),
            }),
            usage: message.usage,
            metadata: message.metadata,
            created_at: message.created_at,
        }
    }
}

/// A notification.
#[derive(Clone, Debug, Serialize)]
pub struct NotificationView {
    notification_id: NotificationId,
    session_id: Option<SessionId>,
    kind: String,
    title: Option<String>,
    content: String,
    data: Option<Value>,
    priority: String,
    created_at: Timestamp,
}

impl From<PendingNotification> for NotificationView {
    fn from(row: PendingNotification) -> Self {
        Self {
            notification_id: row.notification_id,
            session_id: row.session_id,
            kind: row.kind,
            title: row.title,
            content: row.content,
            data: row.data,
            priority: row.priority,
            created_at: row.created_at,
        }
    }
}

/// A query that waits.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingView {
    run_id: RunId,
    message_id: MessageId,
    seq: Seq,
    content: String,
    priority: &'static str,
    queued_at: Timestamp,
}

impl From<Waiting> for WaitingView {
    fn from(waiting: Waiting) -> Self {
        Self {
            run_id: waiting.run_id,
            message_id: waiting.message_id,
            seq: waiting.seq,
            content: waiting.content,
            priority: waiting.priority,
            queued_at: waiting.queued_at,
        }
    }
}

/// Items of a list as JSON.
pub fn items<T, V: From<T> + Serialize>(list: Vec<T>) -> Value {
    let views: Vec<V> = list.into_iter().map(V::from).collect();
    serde_json::to_value(views).unwrap_or_default()
}
