//! What the server says: every frame, its fields in the order of the wire, and how it becomes text.
//!
//! Frames borrow what they can, since they live only until they are encoded. `ws` and `http` build them.

mod notification;
mod outcome;

pub use notification::{Cleared, Gap, Notification, Plain, Pushed, Reconnect, Welcome};
pub use outcome::*;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use super::error::{ErrorCode, Refusal};
use super::text::Timestamp;
use crate::ids::{ClientName, MessageId, RunId, Seq, SessionId};
use crate::log::AnswerState;

/// A frame to a client.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame<'a> {
    /// Something the client should know.
    Notification(Notification<'a>),
    /// How things stand, or the answer to a command.
    Status(Status<'a>),
    /// A user's message written elsewhere, or replayed.
    Query(Query<'a>),
    /// Text as it is written.
    Delta(Delta<'a>),
    /// A whole answer, durable.
    Response(Box<Response<'a>>),
    /// A refusal or a failure.
    Error(ErrorFrame<'a>),
}

impl<'a> ServerFrame<'a> {
    /// A notification's frame.
    pub fn notification(pushed: Pushed<'a>) -> Self {
        Self::Notification(Notification::Message(Box::new(pushed)))
    }

    /// The frame as one line of JSON.
    pub fn encode(&self) -> String {
        // Only a map with keys that are no strings, or a failing Serialize, could err; there is neither.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `type: status`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Status<'a> {
    /// The query is durable.
    Accepted(Accepted<'a>),
    /// A run starts.
    Thinking(Thinking<'a>),
    /// The catch-up is complete.
    Live(Live<'a>),
    /// A run changed.
    Run(RunChanged<'a>),
    /// The session was renamed or deleted.
    Session(SessionChanged<'a>),
    /// The server is there.
    Heartbeat(Live<'a>),
    /// The token expires soon.
    TokenExpiring(TokenExpiring<'a>),
    /// The server restarts.
    Draining(Draining<'a>),
    /// Feedback was stored.
    Feedback(FeedbackStored<'a>),
    /// The token was accepted.
    Auth(AuthDone<'a>),
    /// Another command was carried out: its `event` is the command's name.
    #[serde(untagged)]
    Done(Done<'a>),
}

/// `event: accepted`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Accepted<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When the query became durable.
    pub timestamp: Timestamp,
    /// The query's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<ClientName>,
    /// Which session.
    pub session_id: SessionId,
    /// Its place.
    pub seq: Seq,
    /// Its message.
    pub message_id: MessageId,
    /// The run that answers it.
    pub run_id: RunId,
    /// 0 = running.
    pub queue_position: u32,
    /// The same `id` was accepted before; this repeats that answer.
    pub duplicate: bool,
}

/// `event: thinking`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Thinking<'a> {
    /// `Thinking...`
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// Which session.
    pub session_id: SessionId,
    /// Which run.
    pub run_id: RunId,
    /// The query's message.
    pub in_reply_to: MessageId,
    /// The answer to come.
    pub message_id: MessageId,
    /// Sent to catch up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// `event: live` and `event: heartbeat`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Live<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// Which session.
    pub session_id: SessionId,
    /// All up to here has been sent on this connection.
    pub head: Seq,
}

/// `event: run`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunChanged<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// Which session.
    pub session_id: SessionId,
    /// Which run.
    pub run_id: RunId,
    /// What it is now.
    pub state: Cow<'a, str>,
    /// Which try at the answer.
    pub attempt: u32,
}

/// `event: session`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SessionChanged<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// Which session.
    pub session_id: SessionId,
    /// Its title now.
    pub title: Option<Cow<'a, str>>,
    /// Whether it is gone.
    pub deleted: bool,
}

/// `event: token_expiring`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TokenExpiring<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// When the token must have been renewed.
    pub expires_at: Timestamp,
}

/// `event: draining`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Draining<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// When to come back.
    pub retry_after_ms: u64,
}

/// `event: feedback`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FeedbackStored<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// The frame's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<ClientName>,
    /// About which answer.
    pub message_id: MessageId,
}

/// `event: auth`: the answer to the command.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuthDone<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// The frame's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<ClientName>,
    /// When the token must have been renewed.
    pub expires_at: Timestamp,
    /// Whose token it was.
    pub data: Authenticated,
}

/// A command was carried out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Done<'a> {
    /// The command's name, and the result.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// The frame's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<ClientName>,
}

/// `type: query`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Query<'a> {
    /// The question.
    pub content: Cow<'a, str>,
    /// When it became durable.
    pub timestamp: Timestamp,
    /// The client's own id for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// Which session.
    pub session_id: SessionId,
    /// Its place.
    pub seq: Seq,
    /// Its message.
    pub message_id: MessageId,
    /// The run that answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Sent to catch up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// `type: delta`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Delta<'a> {
    /// The text from `offset` on.
    pub content: Cow<'a, str>,
    /// When it was sent.
    pub timestamp: Timestamp,
    /// Which session.
    pub session_id: SessionId,
    /// The answer it belongs to.
    pub message_id: MessageId,
    /// Which run.
    pub run_id: RunId,
    /// Which try at the answer: a higher one starts from nothing.
    pub attempt: u32,
    /// Where the text stands in the answer, in UTF-16 code units.
    pub offset: u64,
    /// Sent to catch up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// `type: response`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Response<'a> {
    /// The whole answer.
    pub content: Cow<'a, str>,
    /// When it became durable.
    pub timestamp: Timestamp,
    /// Which session.
    pub session_id: SessionId,
    /// Its place.
    pub seq: Seq,
    /// Its message.
    pub message_id: MessageId,
    /// The query's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<MessageId>,
    /// Which run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// How it ended.
    #[schemars(with = "AnswerState")]
    pub state: Cow<'a, str>,
    /// Why it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// The provider's reason for the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<Cow<'a, str>>,
    /// The model that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Cow<'a, str>>,
    /// What it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The answer's length in UTF-16 code units.
    pub length: u64,
    /// SHA-256 of the answer's UTF-8, in hex.
    pub sha256: String,
    /// Sent to catch up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// Why an answer is not complete.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct RunError {
    /// What clients switch on.
    pub code: ErrorCode,
    /// Whether asking again may help.
    pub retryable: bool,
}

/// What an answer took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<i64>,
    /// Tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<i64>,
    /// Money, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// `type: error`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ErrorFrame<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// The frame that this answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<ClientName>,
    /// The run that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// What clients switch on.
    pub code: ErrorCode,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// When to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorFrame<'static> {
    /// The frame that tells a client of a refusal.
    pub fn of(refusal: Refusal, re: Option<ClientName>, timestamp: Timestamp) -> Self {
        Self {
            content: refusal.content,
            timestamp,
            re,
            run_id: None,
            code: refusal.code,
            retryable: refusal.code.is_retryable(),
            retry_after_ms: refusal
                .retry_after
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
