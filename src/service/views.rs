//! What the store holds, as the items of lists that the socket and HTTP show.

use crate::log::{Message, Role};
use crate::protocol::item::{MessageView, NotificationView, SessionView, WaitingView};
use crate::protocol::server::RunError;
use crate::store::notifications::PendingNotification;
use crate::store::runs::Waiting;
use crate::store::sessions::Session;

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

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        Self {
            session_id: message.session_id,
            seq: message.seq,
            message_id: message.message_id,
            id: message.client_id,
            role: message.role,
            content: message.content.to_string(),
            state: message.state,
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

/// The items of a list.
pub fn items<T, V: From<T>>(list: Vec<T>) -> Vec<V> {
    list.into_iter().map(V::from).collect()
}
