//! What HTTP's requests and answers hold, beside the lists and items that they share with the socket.
//!
//! Data only: `http` reads and writes them, `spec` describes them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::client::{OnBusy, Priority};
use super::item::MessageView;
use super::text::{Text, Timestamp};
use crate::ids::{ClientName, MessageId, NotificationId, RunId, Seq, SessionId, UserId};

/// What is to be said of a session; what is absent stays as it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionChanges {
    /// One line of 1 to 200 characters.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<Text>,
    /// A model that the operator allows; null for the default.
    #[serde(default, deserialize_with = "model_change")]
    #[schemars(with = "Option<Text>")]
    pub model: ModelChange,
    /// The client's own object, which replaces the one before: at most 4,096 bytes and 8 levels deep.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
}

/// What a request says of the session's model.
#[derive(Debug, Default)]
pub enum ModelChange {
    /// Nothing.
    #[default]
    Keep,
    /// This one; null is the default.
    Choose(Option<Text>),
}

fn model_change<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ModelChange, D::Error> {
    Option::<Text>::deserialize(deserializer).map(ModelChange::Choose)
}

/// A question to the agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQuery {
    /// The question: not blank, at most 32,768 bytes of UTF-8.
    #[schemars(with = "Text", length(min = 1, max = 32768))]
    pub content: Option<Text>,
    /// The client's own id, as `Idempotency-Key`.
    #[serde(default)]
    pub id: Option<ClientName>,
    /// Its place among this session's waiting queries.
    #[serde(default)]
    pub priority: Priority,
    /// What to do while an answer is being written in this session.
    #[serde(default)]
    pub on_busy: OnBusy,
    /// A model that the operator allows.
    #[serde(default)]
    pub model: Option<Text>,
    /// The client's own object, stored beside the message: at most 4,096 bytes and 8 levels deep.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
}

/// Notifications that the user has seen: `notification_ids` or `all: true`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// These; at most 1,000.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub notification_ids: Option<Vec<NotificationId>>,
    /// Or all that are due.
    #[serde(default)]
    pub all: bool,
}

/// A notification in the words of the original notify function, which knows further fields and ignores them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotifySession {
    /// Whose owner to reach.
    pub session_id: SessionId,
    /// The text: not blank, at most 32,768 bytes of UTF-8.
    #[schemars(length(min = 1, max = 32768))]
    pub message: Text,
}

/// Which messages: `before` or `after`, not both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Only messages before this `seq`, the newest of them.
    #[serde(default)]
    pub before: Option<i64>,
    /// Only messages after this `seq`, the oldest of them.
    #[serde(default)]
    pub after: Option<i64>,
    /// How many, 1 to 200; 50 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
}

/// How many.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// How many, 1 to 200; 200 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
}

/// How far back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// Days, today included, 1 to 366; 30 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 366))]
    pub days: Option<u16>,
}

/// In which format.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// `jsonl` or `markdown`; if absent, what `Accept` says, else `jsonl`.
    #[serde(default)]
    #[schemars(extend("enum" = ["jsonl", "markdown"]))]
    pub format: Option<String>,
}

/// Messages in the order of `seq`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MessagePage {
    /// Those that were asked for.
    pub messages: Vec<MessageView>,
    /// The session's newest message.
    pub head: Seq,
}

/// The query is durable.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Queued {
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
    /// When it became durable.
    pub created_at: Timestamp,
}

/// What stands in for the token in a URL, once.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ticket<'a> {
    /// For `?ticket=`.
    pub ticket: &'a str,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// What a client may name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Models<'a> {
    /// The names that a query or a session may use.
    pub models: &'a [String],
    /// The model that answers unless one is named.
    pub default: &'a str,
}

/// What the user spent, by day and model, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UsageList {
    /// Days with answers only.
    pub usage: Vec<DailyUsage>,
}

/// What a user spent on one day with one model.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DailyUsage {
    /// The day, in UTC: `2026-11-21`.
    #[schemars(extend("format" = "date"))]
    pub day: String,
    /// The model that answered.
    pub model: Option<String>,
    /// Tries at answers.
    pub answers: i64,
    /// Tokens of the prompts.
    pub input_tokens: i64,
    /// Tokens of the answers.
    pub output_tokens: i64,
    /// What the provider charged, in US dollars.
    pub cost_usd: f64,
    /// Tries whose cost is not known.
    pub answers_without_cost: i64,
}

/// What was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Receipt {
    /// Whose it was.
    pub user_id: UserId,
    /// When it was gone.
    pub erased_at: Timestamp,
    /// How many rows, by table.
    pub rows_removed: BTreeMap<String, u64>,
    /// How many in all.
    pub total: u64,
}

/// What became of a notification.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Notified {
    /// The row; null for a duplicate.
    pub notification_id: Option<NotificationId>,
    /// Its key was used before, and nothing was stored.
    pub duplicate: bool,
}

/// What became of a notification, in the words of the original notify function.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionNotified {
    /// Always true: what went wrong is a problem.
    pub success: bool,
    /// What became of it.
    #[serde(flatten)]
    pub notified: Notified,
}

/// The process lives.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Alive {
    /// `ok`
    pub status: &'static str,
}

/// Whether the server should be sent work.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Readiness {
    /// `ready`; `degraded` when no NOTIFY is heard, and it polls; `unavailable`.
    #[schemars(extend("enum" = ["ready", "degraded", "unavailable"]))]
    pub status: &'static str,
    /// Whether the database answers.
    #[schemars(extend("enum" = ["ok", "unavailable"]))]
    pub database: &'static str,
    /// Whether NOTIFY is heard.
    #[schemars(extend("enum" = ["ok", "unavailable"]))]
    pub notify: &'static str,
    /// Whether there are keys to verify tokens with.
    #[schemars(extend("enum" = ["ok", "unavailable"]))]
    pub token_keys: &'static str,
    /// Whether it is about to stop.
    pub draining: bool,
}

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDocument<'a> {
    /// `about:blank`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: &'a str,
    /// The status.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// For a person.
    pub detail: &'a str,
    /// What clients switch on: one of the socket's codes, `method_not_allowed` or `misdirected_request`.
    pub code: &'static str,
    /// When to come back, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
