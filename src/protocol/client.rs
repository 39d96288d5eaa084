//! What a client may say: frames parsed from text, each field checked once, here.
//!
//! Refuses unknown fields, NUL, and anything over its limit, with the code and the sentence for the client. `ws` and
//! `http` call it; nothing behind them checks these things again.

mod arguments;
mod command;
mod fields;

pub use arguments::{Auth, History, Page, Resume, Search, SessionRef};
pub use command::{Ack, COMMANDS, Command};

use fields::{CommandFields, Envelope, FeedbackFields, QueryFields};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{ErrorCode, Refusal};
use super::text::{Text, check_json, complaint};
use crate::ids::{ClientName, MessageId};

/// The longest query, in bytes of UTF-8.
pub const MAX_CONTENT_BYTES: usize = 32 * 1024;

/// The most messages that one `history` answer holds.
pub const MAX_PAGE: u32 = 200;

/// A frame from a client, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    /// A question to the agent.
    Query(Query),
    /// A command, with the frame's id.
    Command(Option<ClientName>, Command),
    /// A person's view of an answer.
    Feedback(Feedback),
}

impl ClientFrame {
    /// The frame's own id.
    pub fn id(&self) -> Option<&ClientName> {
        match self {
            Self::Query(query) => query.id.as_ref(),
            Self::Command(id, _) => id.as_ref(),
            Self::Feedback(feedback) => feedback.id.as_ref(),
        }
    }
}

/// A frame that was refused: what to answer, and to which frame.
#[derive(Clone, Debug, PartialEq)]
pub struct BadFrame {
    /// The frame's id, where it could be read.
    pub re: Option<ClientName>,
    /// What was wrong.
    pub refusal: Refusal,
}

/// What happens to a query when a run is in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// Wait behind it.
    #[default]
    Enqueue,
    /// Answer `busy`, store nothing.
    Reject,
    /// Cancel it and run next.
    Interrupt,
}

/// The order among waiting queries of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before the others.
    High,
    /// In between.
    #[default]
    Normal,
    /// After the others.
    Low,
}

/// A question to the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The client's own id: makes the send idempotent.
    pub id: Option<ClientName>,
    /// The question.
    pub content: Text,
    /// Its place among waiting ones.
    pub priority: Priority,
    /// What to do when a run is in progress.
    pub on_busy: OnBusy,
    /// A model that the operator allows.
    pub model: Option<Text>,
    /// The client's own data, stored beside the message.
    pub metadata: Option<Map<String, Value>>,
}

/// A rating, comment or correction of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The frame's id.
    pub id: Option<ClientName>,
    /// The answer.
    pub message_id: MessageId,
    /// −1, 0 or 1.
    pub rating: Option<i16>,
    /// A comment.
    pub comment: Option<Text>,
    /// What the answer should have been.
    pub correction: Option<Text>,
    /// Short labels, at most 16.
    pub tags: Vec<Text>,
}

/// Reads one text frame.
///
/// # Errors
/// What to answer; the connection lives on.
pub fn parse(text: &str) -> Result<ClientFrame, BadFrame> {
    if !text.trim_start().starts_with('{') {
        return Err(bad(None, ErrorCode::InvalidJson, "A frame is one JSON object"));
    }
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            // It is JSON, but `type` or `id` stands in it twice.
            return bad(None, ErrorCode::InvalidMessage, complaint(&error));
        }
        bad(
            None,
            ErrorCode::InvalidJson,
            format!("Not JSON: {}", position(&error)),
        )
    })?;
    let re = match envelope.id {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(
            ClientName::new(&id)
                .map_err(|error| bad(None, ErrorCode::InvalidMessage, format!("id {error}")))?,
        ),
        Some(_) => return Err(bad(None, ErrorCode::InvalidMessage, "id must be a string")),
    };
    let refused = |refusal| BadFrame {
        re: re.clone(),
        refusal,
    };
    match envelope.kind {
        Some(Value::String(kind)) => match kind.as_str() {
            "query" => query(fields(text).map_err(refused)?)
                .map(ClientFrame::Query)
                .map_err(refused),
            "command" => {
                let fields: CommandFields = fields(text).map_err(refused)?;
                command::command(fields)
                    .map(|(id, command)| ClientFrame::Command(id, command))
                    .map_err(refused)
            }
            "human_feedback" => feedback(fields(text).map_err(refused)?)
                .map(ClientFrame::Feedback)
                .map_err(refused),
            _ => Err(refused(Refusal::new(
                ErrorCode::UnknownType,
                "A client's type is query, command or human_feedback",
            ))),
        },
        Some(_) => Err(refused(Refusal::new(
            ErrorCode::InvalidMessage,
            "type must be a string",
        ))),
        None => Err(refused(Refusal::new(
            ErrorCode::InvalidMessage,
            "type is required",
        ))),
    }
}

/// Checks a question's text: not blank, not too long.
///
/// # Errors
/// `content_required` or `too_large`.
pub fn check_content(content: Option<Text>) -> Result<Text, Refusal> {
    let content = content
        .filter(|text| !text.as_str().trim().is_empty())
        .ok_or_else(|| Refusal::new(ErrorCode::ContentRequired, "Message content is required"))?;
    if content.as_str().len() > MAX_CONTENT_BYTES {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            "Content is longer than 32768 bytes of UTF-8",
        ));
    }
    Ok(content)
}

/// Checks a client's own object.
///
/// # Errors
/// `invalid_message` with the reason.
pub fn check_metadata(metadata: Option<Map<String, Value>>) -> Result<Option<Map<String, Value>>, Refusal> {
    if let Some(object) = &metadata {
        check_json(object)
            .map_err(|why| Refusal::new(ErrorCode::InvalidMessage, format!("metadata {why}")))?;
    }
    Ok(metadata)
}

/// Checks a title: one line, 1 to 200 characters.
///
/// # Errors
/// `invalid_message` with the reason.
pub fn check_title(title: &Text) -> Result<Text, Refusal> {
    let text = title.as_str().trim();
    if text.is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(Refusal::new(
            ErrorCode::InvalidMessage,
            "title must be one line of 1 to 200 characters",
        ));
    }
    Text::new(text.to_owned()).map_err(|why| Refusal::new(ErrorCode::InvalidMessage, why))
}

fn query(fields: QueryFields) -> Result<Query, Refusal> {
    Ok(Query {
        id: fields.id,
        content: check_content(fields.content)?,
        priority: fields.priority.unwrap_or_default(),
        on_busy: fields.on_busy.unwrap_or_default(),
        model: fields.model,
        metadata: check_metadata(fields.metadata)?,
    })
}

fn feedback(fields: FeedbackFields) -> Result<Feedback, Refusal> {
    let invalid = |why: &'static str| Err(Refusal::new(ErrorCode::InvalidMessage, why));
    if fields.request_id.is_some() {
        return Err(Refusal::not_found("request"));
    }
    let Some(message_id) = fields.message_id else {
        return invalid("message_id is required");
    };
    if !matches!(fields.rating, None | Some(-1..=1)) {
        return invalid("rating must be -1, 0 or 1");
    }
    let tags = fields.tags.unwrap_or_default();
    if tags.len() > 16
        || tags
            .iter()
            .any(|tag| tag.as_str().is_empty() || tag.as_str().len() > 64)
    {
        return invalid("tags must be at most 16, each of 1 to 64 bytes");
    }
    let comment = fields.content.filter(|text| !text.as_str().is_empty());
    if fields.rating.is_none() && comment.is_none() && fields.correction.is_none() && tags.is_empty() {
        return invalid("one of rating, content, correction or tags is required");
    }
    for text in [&comment, &fields.correction].into_iter().flatten() {
        if text.as_str().len() > MAX_CONTENT_BYTES {
            return Err(Refusal::new(
                ErrorCode::TooLarge,
                "Longer than 32768 bytes of UTF-8",
            ));
        }
    }
    Ok(Feedback {
        id: fields.id,
        message_id,
        rating: fields.rating,
        comment,
        correction: fields.correction,
        tags,
    })
}

fn fields<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| Refusal::new(ErrorCode::InvalidMessage, complaint(&error)))
}

fn bad(
    re: Option<ClientName>,
    code: ErrorCode,
    content: impl Into<std::borrow::Cow<'static, str>>,
) -> BadFrame {
    BadFrame {
        re,
        refusal: Refusal::new(code, content),
    }
}

/// Where a parser stopped, without repeating what the client sent.
fn position(error: &serde_json::Error) -> String {
    format!("stopped at line {} column {}", error.line(), error.column())
}
