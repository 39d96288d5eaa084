//! The arguments of each command, as they stand on the wire. `command` reads them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use uuid::Uuid;

use crate::ids::{MessageId, NotificationId, RunId, Seq, SessionId};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::text::Text;

/// Arguments of `auth`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuthArgs")]
pub struct Auth {
    /// The JWT.
    pub token: Text,
    /// The session to resume; wins over the URL's.
    #[serde(default)]
    pub session_id: Option<SessionRef>,
    /// The cursor; wins over the URL's.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub after: Option<i64>,
}

/// Which session a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SessionRef {
    /// The most recently active one, or a new one.
    Latest,
    /// This one.
    Id(SessionId),
    /// The one with this id, or the one that this user has under this name. Only the AI SDK's dialect names sessions.
    Named(Uuid),
    /// The same, or else a new one under this name.
    NamedOrNew(Uuid),
}

impl JsonSchema for SessionRef {
    fn schema_name() -> Cow<'static, str> {
        "SessionRef".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Which session a client wants: this one, or `latest`, the most recently active one, or a new one.",
            "anyOf": [{ "const": "latest" }, generator.subschema_for::<SessionId>()],
        })
    }
}

impl TryFrom<String> for SessionRef {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        Uuid::parse_str(&text)
            .map(|id| Self::Id(SessionId(id)))
            .map_err(|_| "must be a UUID or `latest`")
    }
}

/// Arguments of `sessions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionsArgs")]
pub struct Page {
    /// How many, 1 to 200; 50 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Only sessions that come after this one in the list.
    #[serde(default)]
    pub before: Option<SessionId>,
}

/// Arguments of `resume`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ResumeArgs")]
pub struct Resume {
    /// Which session.
    pub session_id: SessionRef,
    /// The last `seq` that the client has applied.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub after: Option<i64>,
}

/// Arguments of `history`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HistoryArgs")]
pub struct History {
    /// Only messages before this `seq`.
    #[serde(default)]
    pub before: Option<Seq>,
    /// How many, 1 to 200; 50 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
}

/// Arguments of `search`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SearchArgs")]
pub struct Search {
    /// The words, 1 to 500 bytes.
    #[schemars(length(min = 1, max = 500))]
    pub q: Text,
    /// How many, 1 to 200; 20 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
}

impl Search {
    /// Checks the words' length.
    ///
    /// # Errors
    /// `invalid_message` when there are none, or too many.
    pub fn checked(self) -> Result<Self, Refusal> {
        if (1..=500).contains(&self.q.as_str().trim().len()) {
            return Ok(self);
        }
        Err(Refusal::new(
            ErrorCode::InvalidMessage,
            "q must be 1 to 500 bytes",
        ))
    }
}

/// No arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoArgs {}

/// Arguments of `rename`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RenameArgs {
    /// One line of 1 to 200 characters.
    #[schemars(length(min = 1, max = 200))]
    pub(super) title: Text,
}

/// Arguments of `delete`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteArgs {
    /// Which session.
    pub(super) session_id: SessionId,
}

/// Arguments of `cancel`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelArgs {
    /// Which run; else the one in progress.
    #[serde(default)]
    pub(super) run_id: Option<RunId>,
}

/// Arguments of `model`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["model"]))]
pub(super) struct ModelArgs {
    /// Null for the default, but never left out: that would undo the choice unasked.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) model: Option<Text>,
}

/// Arguments of `regenerate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegenerateArgs {
    /// The query, or its answer.
    #[serde(default)]
    pub(super) message_id: Option<MessageId>,
}

/// Arguments of `unqueue`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UnqueueArgs {
    /// The waiting query.
    pub(super) message_id: MessageId,
}

/// Arguments of `inbox`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InboxArgs {
    /// How many, 1 to 200; 200 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub(super) limit: Option<u32>,
}

/// Arguments of `ack`: `notification_ids` or `all: true`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AckArgs {
    /// These; at most 1,000.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub(super) notification_ids: Option<Vec<NotificationId>>,
    /// Or all that are due.
    #[serde(default)]
    pub(super) all: Option<bool>,
}
