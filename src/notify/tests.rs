//! Mailboxes, rooms and the hub: what reaches whom, what is forgotten when a box is full, who is replaced.

mod hub;
mod mailbox;
mod room;
mod turnstile;

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::mailbox::{Broadcast, Mail, Mailbox, Signal};
use crate::ids::{MessageId, NotificationId, RunId, Seq, SessionId, SessionKey, UserId};
use crate::log::{AnswerState, Message, Role};
use crate::protocol::server::Pushed;
use crate::protocol::text::Timestamp;
use crate::session::replay::Answer;

const MOMENT: Timestamp = Timestamp(OffsetDateTime::UNIX_EPOCH);

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn key(session: u128) -> SessionKey {
    SessionKey {
        user_id: user("u_1"),
        session_id: SessionId(Uuid::from_u128(session)),
    }
}

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn message(seq: i64, role: Role, run_id: Option<RunId>, content: &str) -> Arc<Message> {
    Arc::new(Message {
        session_id: key(1).session_id,
        seq: Seq(seq),
        message_id: MessageId(Uuid::from_u128(seq.unsigned_abs().into())),
        client_id: None,
        role,
        content: content.into(),
        state: AnswerState::Complete,
        in_reply_to: (role == Role::Assistant).then_some(MessageId(Uuid::nil())),
        run_id,
        notification_id: None,
        model: None,
        finish_reason: None,
        error: None,
        usage: None,
        metadata: None,
        created_at: MOMENT,
    })
}

fn writing(run_id: RunId, text: &str) -> Answer {
    Answer {
        run_id,
        attempt: 1,
        in_reply_to: MessageId(Uuid::nil()),
        query_seq: Seq(1),
        message_id: MessageId(Uuid::nil()),
        started_at: MOMENT,
        text: text.to_owned(),
    }
}

fn notification(number: u128) -> Signal {
    Signal::Notification(Arc::new(Broadcast::new(Pushed {
        content: "x".into(),
        timestamp: MOMENT,
        notification_id: NotificationId(Uuid::from_u128(number)),
        kind: "message".into(),
        title: None,
        data: None,
        priority: "normal".into(),
        created_at: MOMENT,
        session_id: None,
        seq: None,
        message_id: None,
        replay: false,
    })))
}

/// What a mailbox holds, in words. Stops at a close, which a mailbox goes on to say.
fn contents(mailbox: &Mailbox) -> Vec<String> {
    let mut words = Vec::new();
    loop {
        words.push(match mailbox.take() {
            Mail::Empty => return words,
            Mail::Close(reason) => {
                words.push(reason.label().to_owned());
                return words;
            }
            Mail::Lost => "lost".to_owned(),
            Mail::Signal(Signal::Notification(broadcast)) => {
                broadcast.pushed.notification_id.0.as_u128().to_string()
            }
            Mail::Signal(Signal::Cleared(ids)) => format!("cleared {}", ids.len()),
            Mail::Signal(Signal::Renamed(title)) => format!("renamed {}", title.as_deref().unwrap_or("-")),
            Mail::Signal(Signal::Run { state, .. }) => format!("run {state}"),
        });
    }
}

/// Whether a bell was rung since it was last heard.
fn has_rung(mailbox: &Mailbox) -> bool {
    use futures_util::FutureExt;
    mailbox.rung().now_or_never().is_some()
}
