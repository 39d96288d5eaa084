//! The log's own words: a message, its role and state, a claimed run. Data only.
//!
//! `store` reads and writes them, `session` merges them, `ws` and `http` turn them into frames.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::ids::{Fence, MessageId, NotificationId, RunId, Seq, SessionId, SessionKey};
use crate::protocol::error::ErrorCode;
use crate::protocol::server::Usage;
use crate::protocol::text::Timestamp;
use crate::trace::Origin;

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person.
    User,
    /// The agent.
    Assistant,
    /// Another service, as data.
    Notification,
}

impl Role {
    /// The word that the database and HTTP use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Notification => "notification",
        }
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerState {
    /// As the model meant it.
    Complete,
    /// Stopped on request.
    Cancelled,
    /// Some text, then a fault.
    Incomplete,
    /// No text.
    Failed,
}

impl AnswerState {
    /// The word that the wire and the database use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        }
    }
}

/// One message of a session: immutable once it has a `seq`.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its session.
    pub session_id: SessionId,
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub message_id: MessageId,
    /// The id that the client gave it.
    pub client_id: Option<String>,
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub content: Arc<str>,
    /// How it ended; always complete but for answers.
    pub state: AnswerState,
    /// Of answers: the query.
    pub in_reply_to: Option<MessageId>,
    /// The run that answers it or wrote it.
    pub run_id: Option<RunId>,
    /// Of notifications: the row.
    pub notification_id: Option<NotificationId>,
    /// Of answers: who wrote it.
    pub model: Option<String>,
    /// Of answers: the provider's reason for the end.
    pub finish_reason: Option<String>,
    /// Of answers that are not complete: why.
    pub error: Option<ErrorCode>,
    /// Of answers: what it took.
    pub usage: Option<Usage>,
    /// Of queries: the client's own data. Of notifications: their kind, title, data and priority.
    pub metadata: Option<Value>,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl Message {
    /// Bytes that it takes in memory and, about, on the wire.
    pub fn size_bytes(&self) -> usize {
        self.content.len() + 512
    }
}

/// The title that a session has until somebody gives it one: the beginning of its first question, one line, at most 60
/// characters. Made without the model.
pub fn title_of(question: &str) -> String {
    // Control characters go first: a line of nothing else is no title, and they take none of its room.
    let visible = |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let line = question
        .lines()
        .map(visible)
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let line = line.trim();
    let mut title: String = line.chars().take(60).collect();
    if line.chars().count() > 60 {
        title.push('…');
    }
    title
}

/// A run that this process has claimed: its to execute, as long as the fence stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Whose session.
    pub key: SessionKey,
    /// Which run.
    pub run_id: RunId,
    /// What every later write carries.
    pub fence: Fence,
    /// Which try at the answer, from 1.
    pub attempt: u32,
    /// The question.
    pub query_id: MessageId,
    /// The question's place.
    pub query_seq: Seq,
    /// The answer to come.
    pub answer_id: MessageId,
    /// The model that the query asked for.
    pub model: Option<String>,
    /// The session's own settings when the run was claimed; `None` where the claim did not read them.
    pub session: Option<SessionSettings>,
    /// The trace that it belongs to.
    pub origin: Origin,
}

impl Claimed {
    /// Which claim it is.
    pub fn claim(&self) -> Claim {
        Claim {
            run_id: self.run_id,
            fence: self.fence,
        }
    }
}

/// One claim of a run. A run that was lost and claimed again by the same process is two of them, and the earlier one may not
/// have noticed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Which run.
    pub run_id: RunId,
    /// Under which fence.
    pub fence: Fence,
}

/// What of a session decides about its prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// The model sees only turns asked after this place (`clear`).
    pub context_after: Seq,
    /// The model chosen for this session.
    pub model: Option<String>,
}

#[cfg(test)]
mod tests;
