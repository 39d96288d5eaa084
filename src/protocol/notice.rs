//! What a service says over HTTP to notify a user: the columns of `agent.notifications`, checked as the table checks them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{ErrorCode, Refusal};
use super::text::{Text, Timestamp, depth, holds_nul};
use crate::ids::SessionId;

/// The longest text, in bytes.
pub const MAX_CONTENT_BYTES: usize = 32 * 1024;

/// The largest data, in bytes of JSON.
pub const MAX_DATA_BYTES: usize = 16 * 1024;

/// The deepest that data may nest, as the table has it too: what reads it must not run out of stack.
pub const MAX_DATA_DEPTH: usize = 32;

/// A notification as a service sends it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Whom to reach.
    #[schemars(length(min = 1, max = 255))]
    pub user_id: Text,
    /// The text.
    #[schemars(length(min = 1, max = 32768))]
    pub content: Text,
    /// The session that it is about.
    #[serde(default)]
    pub session_id: Option<SessionId>,
    /// The service's word for what it is.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_.:-]{1,64}$"))]
    pub kind: Option<Text>,
    /// A heading.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub title: Option<Text>,
    /// The service's own data.
    #[serde(default)]
    pub data: Option<Map<String, Value>>,
    /// `high`, `normal` or `low`.
    #[serde(default)]
    #[schemars(extend("enum" = ["high", "normal", "low", null]))]
    pub priority: Option<Text>,
    /// A second one with the same key is not stored.
    #[serde(default)]
    #[schemars(length(min = 1, max = 255))]
    pub dedupe_key: Option<Text>,
    /// Of several undelivered ones with the same key the newest counts.
    #[serde(default)]
    #[schemars(length(min = 1, max = 255))]
    pub collapse_key: Option<Text>,
    /// Not before this moment.
    #[serde(default)]
    pub deliver_after: Option<Timestamp>,
    /// Not after this moment.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Also becomes a message of the session.
    #[serde(default)]
    pub in_context: bool,
}

impl Notice {
    /// Checks what the table would refuse.
    ///
    /// # Errors
    /// `invalid_message` or `too_large` with the reason.
    pub fn check(&self) -> Result<(), Refusal> {
        let invalid = |why: &'static str| Err(Refusal::new(ErrorCode::InvalidMessage, why));
        let length = |text: &Option<Text>| text.as_ref().map_or(1, |text| text.as_str().len());
        if self.content.as_str().trim().is_empty() {
            return Err(Refusal::new(
                ErrorCode::ContentRequired,
                "Message content is required",
            ));
        }
        if self.content.as_str().len() > MAX_CONTENT_BYTES {
            return Err(Refusal::new(
                ErrorCode::TooLarge,
                "content is longer than 32768 bytes of UTF-8",
            ));
        }
        let kind = |c: u8| c.is_ascii_alphanumeric() || b"_.:-".contains(&c);
        if let Some(text) = &self.kind
            && (text.as_str().is_empty() || text.as_str().len() > 64 || !text.as_str().bytes().all(kind))
        {
            return invalid("kind must be 1 to 64 of A-Z a-z 0-9 _ . : -");
        }
        if length(&self.title) > 1024 {
            return invalid("title is longer than 1024 bytes");
        }
        if !(1..=255).contains(&length(&self.dedupe_key)) || !(1..=255).contains(&length(&self.collapse_key))
        {
            return invalid("dedupe_key and collapse_key must be 1 to 255 bytes");
        }
        if self
            .priority
            .as_ref()
            .is_some_and(|text| !["high", "normal", "low"].contains(&text.as_str()))
        {
            return invalid("priority must be high, normal or low");
        }
        if self.in_context && self.session_id.is_none() {
            return invalid("in_context needs session_id");
        }
        self.check_data()
    }

    fn check_data(&self) -> Result<(), Refusal> {
        let Some(data) = &self.data else {
            return Ok(());
        };
        let written = serde_json::to_string(data).unwrap_or_default();
        // Postgres writes JSON with blanks after colons and commas: about a quarter more at the most.
        if written.len() > MAX_DATA_BYTES * 3 / 4 {
            return Err(Refusal::new(
                ErrorCode::TooLarge,
                "data is larger than 12288 bytes",
            ));
        }
        if depth(data) > MAX_DATA_DEPTH {
            return Err(Refusal::new(
                ErrorCode::InvalidMessage,
                "data nests deeper than 32 levels",
            ));
        }
        if holds_nul(&written) {
            return Err(Refusal::new(
                ErrorCode::InvalidMessage,
                "the character U+0000 cannot be stored",
            ));
        }
        Ok(())
    }
}
