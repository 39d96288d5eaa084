//! What can go wrong, in the client's words: the closed set of codes, and the frame's body.
//!
//! Texts are ours. What a provider or the database said goes to the log, never into one of these.

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something was refused or failed. Stable: clients switch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The frame is no JSON object.
    InvalidJson,
    /// The frame's fields are not as the contract says.
    InvalidMessage,
    /// A query or a comment without content.
    ContentRequired,
    /// No such `type`.
    UnknownType,
    /// No such command.
    UnknownCommand,
    /// More than the limit allows.
    TooLarge,
    /// Too many of these in a short time.
    RateLimited,
    /// A limit that does not refill by itself within minutes.
    QuotaExceeded,
    /// A run is in progress and `on_busy` was `reject`.
    Busy,
    /// Too many queries wait in this session.
    QueueFull,
    /// The `id` was used before with other content.
    IdConflict,
    /// No such thing, or not yours: the two cannot be told apart.
    NotFound,
    /// Known, but not allowed.
    Forbidden,
    /// No valid token.
    Unauthorized,
    /// The model's provider has no capacity now.
    ProviderBusy,
    /// The model's provider did not answer in time.
    ProviderTimeout,
    /// The model's provider failed.
    ProviderUnavailable,
    /// The provider's moderation refused.
    ContentFiltered,
    /// The conversation is longer than the model takes.
    ContextTooLong,
    /// The model cannot be used.
    ModelUnavailable,
    /// Our fault.
    Internal,
}

impl ErrorCode {
    /// Every code, for tables and tests.
    pub const ALL: [Self; 21] = [
        Self::InvalidJson,
        Self::InvalidMessage,
        Self::ContentRequired,
        Self::UnknownType,
        Self::UnknownCommand,
        Self::TooLarge,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::Busy,
        Self::QueueFull,
        Self::IdConflict,
        Self::NotFound,
        Self::Forbidden,
        Self::Unauthorized,
        Self::ProviderBusy,
        Self::ProviderTimeout,
        Self::ProviderUnavailable,
        Self::ContentFiltered,
        Self::ContextTooLong,
        Self::ModelUnavailable,
        Self::Internal,
    ];

    /// The code as it stands on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidMessage => "invalid_message",
            Self::ContentRequired => "content_required",
            Self::UnknownType => "unknown_type",
            Self::UnknownCommand => "unknown_command",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Busy => "busy",
            Self::QueueFull => "queue_full",
            Self::IdConflict => "id_conflict",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Unauthorized => "unauthorized",
            Self::ProviderBusy => "provider_busy",
            Self::ProviderTimeout => "provider_timeout",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ContentFiltered => "content_filtered",
            Self::ContextTooLong => "context_too_long",
            Self::ModelUnavailable => "model_unavailable",
            Self::Internal => "internal",
        }
    }

    /// Reads a code from the database; one that this version does not know is `internal`.
    pub fn from_stored(text: &str) -> Self {
        serde_json::from_value(serde_json::Value::from(text)).unwrap_or(Self::Internal)
    }

    /// Whether the same request may succeed later without a change.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Busy
                | Self::QueueFull
                | Self::ProviderBusy
                | Self::ProviderTimeout
                | Self::ProviderUnavailable
                | Self::Internal
        )
    }
}

/// A refusal as the connection's code passes it around: it becomes an `error` frame or an HTTP problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {content}", code.as_str())]
pub struct Refusal {
    /// What clients switch on.
    pub code: ErrorCode,
    /// What a person reads.
    pub content: Cow<'static, str>,
    /// When to come back, where that is known.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with a sentence of ours.
    pub fn new(code: ErrorCode, content: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            content: content.into(),
            retry_after: None,
        }
    }

    /// The same, with the time after which it may succeed.
    #[must_use]
    pub fn after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Nothing of that name here, or not yours.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(ErrorCode::NotFound, format!("No such {what}"))
    }

    /// Our fault or the database's; the cause is in the log.
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "Something went wrong here; try again").after(Duration::from_secs(1))
    }
}
