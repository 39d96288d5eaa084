//! Where a provider is, what opens its door and which dialect it speaks, as values.
//!
//! Owns their validation: `config` parses them out of the environment and reports what is wrong with them. Refuses a
//! URL that holds a secret and a key that can't be sent; a key never prints.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use reqwest::header::HeaderValue;

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

    /// What a server at this host understands.
    pub fn flavor(&self) -> ProviderFlavor {
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

    /// Where OpenRouter tells what a generation took.
    pub(super) fn generation(&self, id: &str) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}generation", url.path());
        url.set_path(&path);
        url.query_pairs_mut().append_pair("id", id);
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

#[cfg(test)]
mod tests;
