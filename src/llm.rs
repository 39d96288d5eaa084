//! The way to a language model: a prompt goes out, text comes back as it is written.
//!
//! Owns the call, its timeouts, limits, retries and circuit breakers, and what a provider's complaints mean. Refuses
//! to know sessions, storage and sockets: runs call it, and whatever they do with the text is theirs. No word of an
//! upstream error leaves it but through `Display`, for logs.
//!
//! ```text
//!   Provider::start -> Generation::next -> Started, Text, Text, ..., Finished   or an LlmError, then None
//! ```
//!
//! Inside: `openrouter` holds the connections, its `call` decides on retries, its `reply` reads one response; `sse`
//! finds the events in the bytes, `answer` folds them, `failure` reads complaints, `wire` has the JSON. `offline` is
//! a model that needs no network.

mod answer;
mod breaker;
mod detail;
mod endpoint;
mod error;
mod failure;
mod offline;
mod openrouter;
mod settings;
pub mod sse;
mod wire;

pub use detail::Detail;
pub use endpoint::{ApiKey, BaseUrl, InvalidApiKey, InvalidBaseUrl, ProviderFlavor, UnknownFlavor};
pub use error::{FinishReason, LlmCode, LlmError, Wait};
pub use offline::{HELP as OFFLINE_HELP, MODEL as OFFLINE_MODEL, Offline};
pub use openrouter::{OpenRouter, SetupError};
pub use settings::{BreakerSettings, Limits, Retry, Settings, Timeouts};

use crate::prompt::ChatMessage;

/// What to ask, and of whom.
#[derive(Debug, Clone)]
pub struct Request {
    /// The model, by the provider's name for it.
    pub model: String,
    /// Models to ask in its place when it fails, in this order.
    pub fallbacks: Vec<String>,
    /// The conversation, with the question at its end.
    pub messages: Vec<ChatMessage>,
    /// How freely to choose words.
    pub temperature: f64,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// An opaque name of the user, the same for each of their requests: never the user's id itself.
    pub user: String,
    /// The conversation's id, which lets a provider use its prompt cache.
    pub session: String,
}

/// What a generation reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The provider has taken up the request. The id is the only handle on the cost of an answer that is then
    /// aborted. Comes again when a retry replaces an attempt that brought no text.
    Started {
        /// The provider's name for this generation.
        generation_id: Option<String>,
    },
    /// More text, never empty, free of NUL. How it is cut says nothing: what arrived together is one piece.
    Text(String),
    /// The end of an answer that has text.
    Finished(Finish),
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Why it ended there.
    pub finish_reason: FinishReason,
    /// The model that answered, which may be a fallback.
    pub model: Option<String>,
    /// What it took, if the provider said so.
    pub usage: Option<Usage>,
    /// The provider's name for this generation.
    pub generation_id: Option<String>,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Tokens of the answer, hidden reasoning included.
    pub output_tokens: u32,
    /// What the provider charges, where it says so. Providers write it as a JSON number, which is a double on their
    /// side already; its shortest decimal form, which `to_string` gives, is the number they wrote. Sum it as
    /// `numeric`, not here.
    pub cost_usd: Option<f64>,
}

/// Where answers come from. A clone shares its connections and circuit breakers.
#[derive(Debug, Clone)]
pub enum Provider {
    /// A server that speaks OpenRouter's (and OpenAI's) chat completions.
    OpenRouter(OpenRouter),
    /// The built-in model.
    Offline(Offline),
}

impl Provider {
    /// A provider reached over HTTP.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the system offers no TLS to build a client on.
    pub fn open_router(settings: Settings) -> Result<Self, SetupError> {
        OpenRouter::new(settings).map(Self::OpenRouter)
    }

    /// The built-in model at its natural pace.
    pub fn offline() -> Self {
        Self::Offline(Offline::default())
    }

    /// The name in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenRouter(open_router) => open_router.name(),
            Self::Offline(_) => "offline",
        }
    }

    /// Asks what a generation took, some seconds after its end: the only way to learn it of one that was aborted. `None`
    /// when the provider does not know (yet), or cannot be asked.
    ///
    /// # Errors
    ///
    /// Any [`LlmError`]; asking again later may help.
    pub async fn cost(&self, generation_id: &str) -> Result<Option<Usage>, LlmError> {
        match self {
            Self::OpenRouter(open_router) => open_router.cost(generation_id).await,
            Self::Offline(_) => Ok(None),
        }
    }

    /// Begins an answer. Nothing is sent before the first [`Generation::next`], which also reports if nobody can be
    /// reached: there is one place to look for errors.
    pub fn start(&self, request: Request) -> Generation {
        Generation(match self {
            Self::OpenRouter(open_router) => Source::OpenRouter(Box::new(open_router.start(request))),
            Self::Offline(offline) => Source::Offline(offline.start(&request)),
        })
    }
}

/// An answer on its way. Dropping it aborts the request upstream.
#[derive(Debug)]
pub struct Generation(Source);

#[derive(Debug)]
enum Source {
    OpenRouter(Box<openrouter::Call>),
    Offline(offline::Recital),
}

impl Generation {
    /// The next event; `None` after [`Event::Finished`] or an error. Retries happen in here, and only before the
    /// first text.
    ///
    /// Cancel-safe: whatever is under way is kept in `self`, so that a `select!` loses nothing.
    ///
    /// # Errors
    ///
    /// Any [`LlmError`], once, as the last item. Text that came before it stands.
    pub async fn next(&mut self) -> Option<Result<Event, LlmError>> {
        match &mut self.0 {
            Source::OpenRouter(call) => call.next().await,
            Source::Offline(recital) => recital.next().await,
        }
    }
}
