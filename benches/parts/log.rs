//! Sessions to measure with: questions and answers of a common length. Called by `pure` and `tokens`.

use std::sync::Arc;

use agent_websocket::ids::{MessageId, Seq, SessionId};
use agent_websocket::log::{AnswerState, Message, Role};
use agent_websocket::protocol::text::Timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

const QUESTION: &str = "What would a careful engineer measure first, and what then? Say why.";

/// A session of so many messages, in which every question is answered.
pub(crate) fn of(messages: usize) -> Vec<Arc<Message>> {
    (1..=messages).map(|seq| Arc::new(message(seq))).collect()
}

fn message(seq: usize) -> Message {
    let asked = seq % 2 == 1;
    let content = if asked {
        QUESTION.to_owned()
    } else {
        "An answer of some words. ".repeat(16)
    };
    Message {
        session_id: SessionId(Uuid::nil()),
        seq: Seq(i64::try_from(seq).unwrap_or(i64::MAX)),
        message_id: MessageId(Uuid::from_u128(seq as u128)),
        client_id: None,
        role: if asked { Role::User } else { Role::Assistant },
        content: content.into(),
        state: AnswerState::Complete,
        in_reply_to: (!asked).then(|| MessageId(Uuid::from_u128(seq as u128 - 1))),
        run_id: None,
        notification_id: None,
        model: None,
        finish_reason: None,
        error: None,
        usage: None,
        metadata: None,
        created_at: Timestamp(OffsetDateTime::UNIX_EPOCH),
    }
}
