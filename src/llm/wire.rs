//! The JSON of chat completions: the request we send, the chunks and errors that come back.
//!
//! Owns the shapes and how forgiving each is: a field that only informs us (`usage`, `error`'s parts) may have any
//! type, a field that carries the answer must be what it should be. Gives no meaning to any of it: `answer` and
//! `failure` do. On the way of a token everything borrows from the event; only a text with escapes is copied.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Request;
use super::endpoint::ProviderFlavor;
use crate::prompt::{ChatMessage, ChatRole};

/// The request's body.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    temperature: f64,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    open_router: Option<OpenRouterFields<'a>>,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// What only OpenRouter understands. Others ignore such fields at best; OpenAI refuses the request.
#[derive(Debug, Serialize)]
struct OpenRouterFields<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    models: &'a [String],
    /// Without it a provider that blocks one of our users blocks the account.
    user: &'a str,
    /// Keeps a conversation with one host, whose prompt cache is then warm.
    session_id: &'a str,
    plugins: [Plugin; 1],
}

#[derive(Debug, Serialize)]
struct Plugin {
    id: &'static str,
    enabled: bool,
}

impl<'a> Body<'a> {
    /// The body of a call to `model`, which is the request's own or one of its fallbacks.
    ///
    /// A token limit is always sent: without one OpenRouter reserves credits for the longest answer there could be.
    /// Under which name depends: `max_completion_tokens` is the current one at OpenRouter and the only one that
    /// OpenAI's newer models take, `max_tokens` the one that every other server has known from the start.
    pub(super) fn new(request: &'a Request, model: &'a str, flavor: ProviderFlavor) -> Self {
        let generic = flavor == ProviderFlavor::Generic;
        let open_router = flavor == ProviderFlavor::OpenRouter;
        Self {
            model,
            messages: request.messages.iter().map(Message::from).collect(),
            temperature: request.temperature,
            stream: true,
            max_tokens: generic.then_some(request.max_tokens),
            max_completion_tokens: (!generic).then_some(request.max_tokens),
            // OpenRouter always reports usage; the others only on demand.
            stream_options: (!open_router).then_some(StreamOptions { include_usage: true }),
            open_router: open_router.then(|| OpenRouterFields {
                models: &request.fallbacks,
                user: &request.user,
                session_id: &request.session,
                // Small models would drop the middle of the conversation unasked: what they see is the prompt's
                // decision alone.
                plugins: [Plugin {
                    id: "context-compression",
                    enabled: false,
                }],
            }),
        }
    }
}

impl<'a> From<&'a ChatMessage> for Message<'a> {
    fn from(message: &'a ChatMessage) -> Self {
        let role = match message.role {
            ChatRole::System => "system",
            ChatRole::User => "user",
            ChatRole::Assistant => "assistant",
        };
        Self {
            role,
            content: &message.content,
        }
    }
}

/// One event of the stream. Every field may be absent: servers differ in all of them.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    pub(super) usage: Option<Lenient<UsageBody>>,
    pub(super) error: Option<Lenient<ErrorBody>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Text<'a>>,
    pub(super) error: Option<Lenient<ErrorBody>>,
}

/// The next piece of the answer. Reasoning and tool calls aren't read: they are no text, and that an event came is
/// all the progress that the timers want to see.
#[derive(Debug, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) content: Option<Text<'a>>,
}

/// A string, borrowed where it has no escapes. Serde borrows a bare `Cow`, but not one inside an `Option`.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A value that may also be something else entirely, which is then as good as absent.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Lenient<T> {
    Known(T),
    Other(IgnoredAny),
}

impl<T> Lenient<T> {
    pub(super) fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

/// What the answer took. Counts are read as numbers of any kind: some gateways send `12.0`.
#[derive(Debug, Deserialize)]
pub(super) struct UsageBody {
    pub(super) prompt_tokens: Option<Lenient<f64>>,
    pub(super) completion_tokens: Option<Lenient<f64>>,
    pub(super) cost: Option<Lenient<f64>>,
}

/// The body of a response that is no stream.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorReply {
    pub(super) error: Option<Lenient<ErrorBody>>,
    #[serde(default)]
    pub(super) choices: Vec<ErrorChoice>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorChoice {
    pub(super) error: Option<Lenient<ErrorBody>>,
}

/// What a provider says about a fault: an object of this shape, or only a sentence.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ErrorBody {
    Object(ErrorObject),
    Sentence(String),
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorObject {
    pub(super) code: Option<Scalar>,
    #[serde(rename = "type")]
    pub(super) kind: Option<Scalar>,
    pub(super) message: Option<Scalar>,
    pub(super) metadata: Option<Lenient<Metadata>>,
    pub(super) availability: Option<Lenient<Availability>>,
}

/// OpenRouter's particulars.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) error_type: Option<Scalar>,
    pub(super) limit_source: Option<Scalar>,
    /// Present where moderation is the reason: its words quote the user and are left alone.
    pub(super) reasons: Option<IgnoredAny>,
    pub(super) patterns: Option<IgnoredAny>,
}

/// OpenRouter's own verdict on whether to come back.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Availability {
    pub(super) retryable: Option<Lenient<bool>>,
    pub(super) retry_after: Option<Lenient<f64>>,
}

/// `code` is an integer, a string or null, by server and by the page of its documentation.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Number(u16),
    Text(String),
    Other(IgnoredAny),
}

impl Scalar {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Other(_) => None,
        }
    }

    pub(super) fn number(&self) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
