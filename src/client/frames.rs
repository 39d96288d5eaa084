//! What the server says, as a client reads it: the fields that this one uses, and nothing refused for what is new.
//!
//! Types of its own, since the server's are made for writing: a client must ignore fields, events and types that it does not
//! know, and take as absent what an older server does not send. A test reads every example of PROTOCOL.md with them.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::ids::{MessageId, NotificationId, RunId, Seq, SessionId};
use crate::protocol::text::Timestamp;

/// One frame, with what it carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The connection is open.
    Welcome(Box<Welcome>),
    /// Another service says something.
    Notification(Box<Notification>),
    /// Acknowledged on another device.
    Cleared(Vec<NotificationId>),
    /// The session closes for want of activity.
    Timeout,
    /// A query is durable.
    Accepted(Accepted),
    /// A run starts.
    Thinking(Thinking),
    /// The catch-up is complete.
    Live,
    /// A run went back to the queue.
    Run {
        /// Which run.
        run_id: RunId,
        /// What it is now.
        state: String,
    },
    /// The session was renamed or deleted.
    Session {
        /// Its title now.
        title: Option<String>,
        /// Whether it is gone.
        deleted: bool,
    },
    /// The server is there.
    Heartbeat,
    /// The token must be renewed.
    TokenExpiring,
    /// The server restarts.
    Draining {
        /// When to come back, in milliseconds.
        retry_after_ms: u64,
    },
    /// A command was carried out.
    Done(Done),
    /// A user's message.
    Query(Query),
    /// Text as it is written.
    Delta(Delta),
    /// A whole answer.
    Response(Box<Response>),
    /// A refusal or a failure.
    Error(Failure),
    /// Something newer than this client.
    Unknown,
}

/// `event: welcome`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Welcome {
    /// The session of this connection.
    pub session_id: SessionId,
    /// Whether it existed before.
    #[serde(default)]
    pub resumed: bool,
    /// The newest message.
    #[serde(default)]
    pub head: Seq,
    /// Who the token says you are.
    #[serde(default)]
    pub user_id: String,
    /// How long the server may be silent.
    #[serde(default)]
    pub heartbeat_ms: Option<u64>,
    /// How to come back.
    #[serde(default)]
    pub reconnect: Option<Reconnect>,
    /// What the catch-up leaves out.
    #[serde(default)]
    pub gap: Option<Gap>,
}

/// How to come back after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Reconnect {
    /// The first wait.
    pub base_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
    /// How much to vary it.
    #[serde(default)]
    pub jitter_ms: u64,
}

/// Messages that a catch-up leaves out, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Gap {
    /// The first one left out.
    pub from: Seq,
    /// The last one left out.
    pub to: Seq,
}

/// A row of `agent.notifications`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Notification {
    /// The text.
    pub content: String,
    /// By which repeats are known.
    pub notification_id: NotificationId,
    /// The writer's word for what it is.
    #[serde(default)]
    pub kind: String,
    /// A heading.
    #[serde(default)]
    pub title: Option<String>,
    /// Its place in the conversation, once, if it became part of it.
    #[serde(default)]
    pub seq: Option<Seq>,
    /// When the row was inserted.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
}

/// `event: accepted`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Accepted {
    /// The query's id.
    #[serde(default)]
    pub re: Option<String>,
    /// Its place.
    pub seq: Seq,
    /// Its message.
    pub message_id: MessageId,
    /// The run that answers it.
    pub run_id: RunId,
    /// 0 = running.
    #[serde(default)]
    pub queue_position: u32,
    /// It was accepted before.
    #[serde(default)]
    pub duplicate: bool,
}

/// `event: thinking`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Thinking {
    /// Which run.
    pub run_id: RunId,
    /// The query's message.
    pub in_reply_to: MessageId,
    /// The answer to come.
    pub message_id: MessageId,
}

/// A command was carried out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Done {
    /// The command's name.
    pub event: String,
    /// For a person.
    #[serde(default)]
    pub content: String,
    /// The frame's id.
    #[serde(default)]
    pub re: Option<String>,
    /// The result.
    #[serde(default)]
    pub data: Value,
}

/// `type: query`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Query {
    /// The question.
    pub content: String,
    /// The sender's own id for it.
    #[serde(default)]
    pub id: Option<String>,
    /// Its place.
    pub seq: Seq,
    /// Its message.
    pub message_id: MessageId,
    /// Sent to catch up.
    #[serde(default)]
    pub replay: bool,
}

/// `type: delta`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Delta {
    /// The text from `offset` on.
    pub content: String,
    /// When the server sent it.
    pub timestamp: Timestamp,
    /// The answer it belongs to.
    pub message_id: MessageId,
    /// Which run.
    pub run_id: RunId,
    /// A higher one starts from nothing.
    #[serde(default)]
    pub attempt: u32,
    /// In UTF-16 code units.
    pub offset: u64,
    /// Sent to catch up.
    #[serde(default)]
    pub replay: bool,
}

/// `type: response`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Response {
    /// The whole answer.
    pub content: String,
    /// Its place.
    pub seq: Seq,
    /// Its message.
    pub message_id: MessageId,
    /// The query's message.
    #[serde(default)]
    pub in_reply_to: Option<MessageId>,
    /// Which run.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// `complete`, `cancelled`, `incomplete` or `failed`.
    #[serde(default)]
    pub state: String,
    /// Why it is not complete.
    #[serde(default)]
    pub error: Option<RunFault>,
    /// The model that wrote it.
    #[serde(default)]
    pub model: Option<String>,
    /// SHA-256 of the answer's UTF-8, in hex.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Sent to catch up.
    #[serde(default)]
    pub replay: bool,
}

/// Why an answer is not complete. The code stays text: a newer server may have more of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RunFault {
    /// What clients switch on.
    pub code: String,
}

/// `type: error`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Failure {
    /// For a person.
    pub content: String,
    /// The frame that this answers.
    #[serde(default)]
    pub re: Option<String>,
    /// The run that failed.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// What clients switch on.
    pub code: String,
    /// When to come back.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    event: Option<String>,
}

#[derive(Deserialize)]
struct Ids {
    notification_ids: Vec<NotificationId>,
}

#[derive(Deserialize)]
struct RunState {
    run_id: RunId,
    state: String,
}

#[derive(Deserialize)]
struct SessionState {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct Later {
    #[serde(default)]
    retry_after_ms: u64,
}

/// Events of `status` that answer no command.
const OWN: [&str; 8] = [
    "accepted",
    "thinking",
    "live",
    "run",
    "session",
    "heartbeat",
    "token_expiring",
    "draining",
];

/// Reads one text frame.
///
/// # Errors
/// When it is no JSON, or a frame of a known kind lacks what makes it one: then the other end is no server of this contract.
pub fn read(text: &str) -> Result<Frame, serde_json::Error> {
    fn as_<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
        serde_json::from_str(text)
    }
    let Kind { kind, event } = as_(text)?;
    let event = event.unwrap_or_default();
    Ok(match (kind.as_str(), event.as_str()) {
        ("notification", "welcome") => Frame::Welcome(as_(text)?),
        ("notification", "message") => Frame::Notification(as_(text)?),
        ("notification", "cleared") => Frame::Cleared(as_::<Ids>(text)?.notification_ids),
        ("notification", "timeout") => Frame::Timeout,
        ("status", "accepted") => Frame::Accepted(as_(text)?),
        ("status", "thinking") => Frame::Thinking(as_(text)?),
        ("status", "live") => Frame::Live,
        ("status", "run") => {
            let RunState { run_id, state } = as_(text)?;
            Frame::Run { run_id, state }
        }
        ("status", "session") => {
            let SessionState { title, deleted } = as_(text)?;
            Frame::Session { title, deleted }
        }
        ("status", "heartbeat") => Frame::Heartbeat,
        ("status", "token_expiring") => Frame::TokenExpiring,
        ("status", "draining") => Frame::Draining {
            retry_after_ms: as_::<Later>(text)?.retry_after_ms,
        },
        ("status", event) if !event.is_empty() && !OWN.contains(&event) => Frame::Done(as_(text)?),
        ("query", _) => Frame::Query(as_(text)?),
        ("delta", _) => Frame::Delta(as_(text)?),
        ("response", _) => Frame::Response(as_(text)?),
        ("error", _) => Frame::Error(as_(text)?),
        _ => Frame::Unknown,
    })
}

/// A message as `history` and `search` list it: whatever fields a person is shown.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Listed {
    /// Its place.
    #[serde(default)]
    pub seq: Seq,
    /// Who said it.
    #[serde(default)]
    pub role: String,
    /// What was said.
    #[serde(default)]
    pub content: String,
    /// How an answer ended.
    #[serde(default)]
    pub state: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: HashMap<String, Value>,
}
