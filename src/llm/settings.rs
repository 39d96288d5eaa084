//! The settings of the way to a provider, as values: where it is, what it understands, how long we wait.
//!
//! Owns their validation and their defaults. Reads no environment: `config` builds these and reports what is wrong
//! with them. A key never prints.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

/// How to talk to one provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where its API begins.
    pub base_url: BaseUrl,
    /// The key, which a server on one's own machine may do without.
    pub api_key: Option<ApiKey>,
    /// What it understands beyond the common ground.
    pub flavor: ProviderFlavor,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How much to take.
    pub limits: Limits,
    /// How to try again.
    pub retry: Retry,
    /// When to stop asking for a while.
    pub breaker: BreakerSettings,
}

impl Settings {
    /// The defaults for a provider at `base_url`.
    pub fn new(base_url: BaseUrl) -> Self {
        Self {
            flavor: base_url.flavor(),
            base_url,
            api_key: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            retry: Retry::default(),
            breaker: BreakerSettings::default(),
        }
    }
}

/// Where a provider's API begins, such as `https://openrouter.ai/api/v1`. Plain `http` is for a server of one's own.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is no [`BaseUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// It doesn't parse, or names another scheme.
    #[error("it is no http or https URL")]
    NotHttp,
    /// It holds a user name, a password, a query or a fragment. Logs show the URL: a secret has no place in it.
    #[error("it may hold no user name, password, query or fragment")]
    Decorated,
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        let mut url = Url::parse(text).map_err(|_| InvalidBaseUrl::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidBaseUrl::NotHttp);
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(InvalidBaseUrl::Decorated);
        }
        // Joining a relative path replaces what follows the last slash, so there has to be one at the end.
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl BaseUrl {
    /// Whether the operator chose plain HTTP, which nothing else switches on.
    pub fn is_plain_http(&self) -> bool {
        self.0.scheme() == "http"
    }

    fn flavor(&self) -> ProviderFlavor {
        match self.0.host_str() {
            Some("openrouter.ai") => ProviderFlavor::OpenRouter,
            Some("api.openai.com") => ProviderFlavor::OpenAi,
            _ => ProviderFlavor::Generic,
        }
    }

    pub(super) fn chat_completions(&self) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}chat/completions", url.path());
        url.set_path(&path);
        url
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// What a provider understands beyond the common ground. Follows from the host unless it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderFlavor {
    /// OpenRouter: falls back to other models by itself, and wants to know the user and the session.
    OpenRouter,
    /// OpenAI itself, which refuses fields that it doesn't know and has renamed `max_tokens`.
    OpenAi,
    /// Any other server that speaks chat completions: Ollama, vLLM, llama.cpp, LiteLLM and their like.
    Generic,
}

impl ProviderFlavor {
    /// The name in settings, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenRouter => "openrouter",
            Self::OpenAi => "openai",
            Self::Generic => "generic",
        }
    }
}

/// The text names none of the flavors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is none of openrouter, openai, generic")]
pub struct UnknownFlavor;

impl FromStr for ProviderFlavor {
    type Err = UnknownFlavor;

    fn from_str(text: &str) -> Result<Self, UnknownFlavor> {
        [Self::OpenRouter, Self::OpenAi, Self::Generic]
            .into_iter()
            .find(|flavor| flavor.as_str() == text)
            .ok_or(UnknownFlavor)
    }
}

/// A provider's key, kept as the header that carries it and marked so that no log prints it.
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

/// The text can't be sent in a header: it is empty, or holds a blank, a line end or a character beyond ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is empty or holds a blank or another character that no key has")]
pub struct InvalidApiKey;

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidApiKey);
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| InvalidApiKey)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }
}

impl ApiKey {
    pub(super) fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(redacted)")
    }
}

/// How long to wait for what. There is no limit on a whole request but `total`: long answers are the point.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection, its TLS handshake included.
    pub connect: Duration,
    /// From the call to the headers of its response.
    pub headers: Duration,
    /// Between any two bytes; keep-alive comments count, so that a long silence of thought survives.
    pub transport_idle: Duration,
    /// Between any two events; comments don't count, so that a dead model behind a live gateway doesn't.
    pub progress_idle: Duration,
    /// For the whole generation, all its attempts and pauses together.
    pub total: Duration,
    /// For the usage and the end that follow the finish reason. It is no fault if they don't come.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            headers: Duration::from_mins(1),
            transport_idle: Duration::from_mins(1),
            progress_idle: Duration::from_mins(2),
            total: Duration::from_mins(15),
            drain: Duration::from_secs(5),
        }
    }
}

/// How much of an answer to take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One event of the stream.
    pub event_bytes: usize,
    /// The text of the answer.
    pub text_bytes: usize,
    /// What is read of a response that is no stream, to learn what it complains of.
    pub error_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 1024 * 1024,
            text_bytes: 8 * 1024 * 1024,
            error_body_bytes: 64 * 1024,
        }
    }
}

/// How to try again before the first text. OpenRouter fails over between hosts by itself: a few are enough.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Calls after the first one.
    pub max_retries: u32,
    /// Bound of the pause before the first retry; it doubles with each.
    pub base: Duration,
    /// Bound of any pause.
    pub cap: Duration,
    /// The longest pause that a provider may ask for; beyond it the caller is told to come back.
    pub max_retry_after: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_retries: 2,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            max_retry_after: Duration::from_secs(30),
        }
    }
}

impl Retry {
    /// Full jitter: anything up to the doubling bound, so that those who failed together don't return together.
    /// `chance` is a random number in `0.0..1.0`.
    pub(super) fn pause(&self, retries_so_far: u32, chance: f64) -> Duration {
        let bound = self
            .base
            .saturating_mul(2_u32.saturating_pow(retries_so_far))
            .min(self.cap);
        bound.mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// When to stop asking a model for a while.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Outages in a row that open the breaker.
    pub failures: u32,
    /// The time within which they have to happen.
    pub within: Duration,
    /// How long nobody asks; then one call tries.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            within: Duration::from_secs(30),
            open_for: Duration::from_secs(15),
        }
    }
}

#[cfg(test)]
mod tests;
