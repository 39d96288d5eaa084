//! Frames as they stand on the wire, before anything but their shape was checked; and their schema, which says what
//! a sound frame is.
//!
//! Each field may be absent here, so that what is missing is told in the contract's words. `client` reads them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::command::Arguments;
use super::{ClientFrame, OnBusy, Priority};
use crate::ids::{ClientName, MessageId};
use crate::protocol::text::{Text, Timestamp};

/// What is looked at first.
#[derive(Deserialize)]
pub(super) struct Envelope {
    #[serde(rename = "type", default)]
    pub(super) kind: Option<Value>,
    #[serde(default)]
    pub(super) id: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryFields {
    #[serde(rename = "type")]
    #[schemars(skip)]
    _kind: String,
    /// The client's own id: makes the send idempotent for as long as the message exists.
    #[serde(default)]
    pub(super) id: Option<ClientName>,
    /// The question: not blank, at most 32,768 bytes of UTF-8.
    #[schemars(with = "Text", length(min = 1, max = 32768))]
    pub(super) content: Option<Text>,
    /// Its place among this session's waiting queries.
    #[serde(default)]
    pub(super) priority: Option<Priority>,
    /// What to do while an answer is being written in this session.
    #[serde(default)]
    pub(super) on_busy: Option<OnBusy>,
    /// A model that the operator allows.
    #[serde(default)]
    pub(super) model: Option<Text>,
    /// The client's own object, stored beside the message: at most 4,096 bytes and 8 levels deep.
    #[serde(default)]
    pub(super) metadata: Option<Map<String, Value>>,
    /// Accepted and ignored.
    #[serde(default, rename = "timestamp")]
    #[schemars(with = "Option<Timestamp>")]
    _timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandFields {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    pub(super) id: Option<ClientName>,
    #[serde(default)]
    pub(super) content: Option<Text>,
    #[serde(default)]
    pub(super) args: Option<Map<String, Value>>,
    #[serde(default, rename = "timestamp")]
    _timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackFields {
    #[serde(rename = "type")]
    #[schemars(skip)]
    _kind: String,
    /// The frame's id.
    #[serde(default)]
    pub(super) id: Option<ClientName>,
    /// The answer, one of this session.
    #[schemars(with = "MessageId")]
    pub(super) message_id: Option<MessageId>,
    /// -1, 0 or 1.
    #[serde(default)]
    #[schemars(range(min = -1, max = 1))]
    pub(super) rating: Option<i16>,
    /// A comment, at most 32,768 bytes of UTF-8.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub(super) content: Option<Text>,
    /// What the answer should have been, at most 32,768 bytes of UTF-8.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub(super) correction: Option<Text>,
    /// Short labels, each of 1 to 64 bytes of UTF-8.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub(super) tags: Option<Vec<Text>>,
    // Of the agent's own requests, which no server sends yet.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) request_id: Option<Uuid>,
    #[serde(default, rename = "approved")]
    #[schemars(skip)]
    _approved: Option<bool>,
    /// Accepted and ignored.
    #[serde(default, rename = "timestamp")]
    #[schemars(with = "Option<Timestamp>")]
    _timestamp: Option<serde::de::IgnoredAny>,
}

/// The fields of a command, with the arguments of each.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its schema is used: `CommandFields` is read in two steps, to tell apart what is wrong"
)]
struct NamedCommand {
    /// The frame's id.
    id: Option<ClientName>,
    #[serde(flatten)]
    command: Arguments,
    /// Accepted and ignored.
    timestamp: Option<Timestamp>,
}

#[derive(JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "only its schema is used: `parse` reads `type` first, to tell apart what is wrong"
)]
enum Wire {
    /// A question to the agent.
    Query(QueryFields),
    /// A command.
    Command(NamedCommand),
    /// A person's view of an answer of this session; sent again it replaces.
    HumanFeedback(FeedbackFields),
}

/// What [`parse`](super::parse) accepts.
impl JsonSchema for ClientFrame {
    fn schema_name() -> Cow<'static, str> {
        "ClientFrame".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Wire::json_schema(generator)
    }
}
