//! What can go wrong between a request and its answer.
//!
//! Owns the taxonomy and what each fault means to the three who ask: the client (a code and a constant text), the
//! retry (again or not, and when) and the operator (`Display`, with the status and the provider's name for the fault).
//! The provider's own words are nowhere.

use std::fmt;
use std::time::Duration;

use super::detail::Detail;

/// Why a generation ended without its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LlmError {
    /// No connection could be made, or it broke before the response began.
    #[error("the provider can't be reached: {0}")]
    Unreachable(Detail),
    /// Something took too long.
    #[error("the provider took too long: {0}")]
    TimedOut(Wait),
    /// The provider has too much to do, or we ask too often.
    #[error("the provider is busy: {detail}")]
    Busy {
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// Its particulars.
        detail: Detail,
    },
    /// The provider failed, or what stands before it.
    #[error("the provider failed: {detail}")]
    Unavailable {
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// Its particulars.
        detail: Detail,
    },
    /// It failed so often in a row that nobody asks for now.
    #[error("the provider kept failing and isn't asked for another {} ms", retry_after.as_millis())]
    CircuitOpen {
        /// When it will be asked again.
        retry_after: Duration,
    },
    /// Our key, our credits or our permissions don't suffice: the operator's to mend.
    #[error("the provider refuses this account: {0}")]
    Refused(Detail),
    /// Someone's policy forbids the question or the answer.
    #[error("the content was filtered: {0}")]
    Filtered(Detail),
    /// The prompt is too long for the model.
    #[error("the prompt is too long for the model: {0}")]
    ContextTooLong(Detail),
    /// No such model, or nobody serves it under our constraints.
    #[error("the model isn't available: {0}")]
    ModelUnavailable(Detail),
    /// The provider finds fault with our request: a bug or a wrong setting of ours.
    #[error("the provider rejected the request: {0}")]
    Rejected(Detail),
    /// What came back is no stream of chat-completion chunks.
    #[error("the provider's answer can't be read: {0}")]
    Malformed(Detail),
    /// The answer exceeds what we take.
    #[error("the answer exceeds {limit_bytes} bytes")]
    TooLarge {
        /// The limit that it exceeds.
        limit_bytes: usize,
    },
    /// The stream ended before the answer did.
    #[error("the stream ended before the answer did: {0}")]
    Incomplete(Detail),
    /// The answer ended without a word.
    #[error("the answer is empty (finish reason {finish_reason})")]
    Empty {
        /// How it ended.
        finish_reason: FinishReason,
    },
}

/// What was waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A connection.
    Connection,
    /// The response's headers.
    Headers,
    /// Any byte.
    Bytes,
    /// Any event; bytes came.
    Progress,
    /// The end.
    End,
    /// The provider itself waited in vain for whoever serves the model.
    Upstream,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "no connection",
            Self::Headers => "no response",
            Self::Bytes => "silence within the stream",
            Self::Progress => "comments but no progress",
            Self::End => "no end",
            Self::Upstream => "a timeout of its own",
        })
    }
}

/// How an answer ended, in the words of the wire contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had said it all.
    Stop,
    /// It ran into `max_tokens`.
    Length,
    /// A filter cut it short.
    ContentFilter,
    /// It asked for a tool. None is offered yet, so that this is no answer unless there is text.
    ToolCalls,
    /// Some other word, or none.
    Unknown,
}

impl FinishReason {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part of the wire contract's error codes that a provider can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LlmCode {
    /// `provider_busy`
    ProviderBusy,
    /// `provider_timeout`
    ProviderTimeout,
    /// `provider_unavailable`
    ProviderUnavailable,
    /// `content_filtered`
    ContentFiltered,
    /// `context_too_long`
    ContextTooLong,
    /// `model_unavailable`
    ModelUnavailable,
    /// `internal`
    Internal,
}

impl LlmCode {
    /// The code on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProviderBusy => "provider_busy",
            Self::ProviderTimeout => "provider_timeout",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ContentFiltered => "content_filtered",
            Self::ContextTooLong => "context_too_long",
            Self::ModelUnavailable => "model_unavailable",
            Self::Internal => "internal",
        }
    }

    /// What a person may read about it.
    pub fn client_text(self) -> &'static str {
        match self {
            Self::ProviderBusy => "Failed to generate response: the model is busy, please try again shortly",
            Self::ProviderTimeout => "Failed to generate response: the model took too long to answer",
            Self::ProviderUnavailable => "Failed to generate response: the model can't be reached right now",
            Self::ContentFiltered => {
                "Failed to generate response: the content was blocked by a content filter"
            }
            Self::ContextTooLong => {
                "Failed to generate response: the conversation is too long for this model"
            }
            Self::ModelUnavailable => "Failed to generate response: this model isn't available",
            Self::Internal => "Failed to generate response: something went wrong on our side",
        }
    }
}

impl LlmError {
    /// The code for the client.
    pub fn code(&self) -> LlmCode {
        match self {
            Self::TimedOut(_) => LlmCode::ProviderTimeout,
            Self::Busy { .. } => LlmCode::ProviderBusy,
            Self::Unreachable(_)
            | Self::Unavailable { .. }
            | Self::CircuitOpen { .. }
            | Self::Refused(_)
            | Self::Malformed(_)
            | Self::TooLarge { .. }
            | Self::Incomplete(_)
            | Self::Empty { .. } => LlmCode::ProviderUnavailable,
            Self::Filtered(_) => LlmCode::ContentFiltered,
            Self::ContextTooLong(_) => LlmCode::ContextTooLong,
            Self::ModelUnavailable(_) => LlmCode::ModelUnavailable,
            Self::Rejected(_) => LlmCode::Internal,
        }
    }

    /// The text for the client: a constant, whatever the provider said.
    pub fn client_text(&self) -> &'static str {
        self.code().client_text()
    }

    /// Whether the same request may fare better later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::Busy { .. }
            | Self::Unavailable { .. }
            | Self::CircuitOpen { .. }
            | Self::Malformed(_)
            | Self::Incomplete(_) => true,
            // The model spent its whole allowance on thinking, and would again.
            Self::Empty { finish_reason } => *finish_reason != FinishReason::Length,
            Self::Refused(_)
            | Self::Filtered(_)
            | Self::ContextTooLong(_)
            | Self::ModelUnavailable(_)
            | Self::Rejected(_)
            | Self::TooLarge { .. } => false,
        }
    }

    /// How long the provider, or our breaker, wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            Self::CircuitOpen { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The name in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut(_) => "timed_out",
            Self::Busy { .. } => "busy",
            Self::Unavailable { .. } => "unavailable",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::Refused(_) => "refused",
            Self::Filtered(_) => "filtered",
            Self::ContextTooLong(_) => "context_too_long",
            Self::ModelUnavailable(_) => "model_unavailable",
            Self::Rejected(_) => "rejected",
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::Incomplete(_) => "incomplete",
            Self::Empty { .. } => "empty",
        }
    }

    /// Whether it says that the provider is down, rather than that it minds this request or this account.
    pub(super) fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::TimedOut(_)
                | Self::Unavailable { .. }
                | Self::Malformed(_)
                | Self::Incomplete(_)
        )
    }
}

#[cfg(test)]
mod tests;
