//! What a provider's complaint means: its status, its headers and its words become one [`LlmError`].
//!
//! Owns the reading of errors in every shape and place in which they come: an HTTP status with JSON, HTML or
//! nothing, or an error inside a 200. Refuses to pass any of the words on: of them a [`Detail`] keeps
//! the name of the kind, if there is one.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::detail::Detail;
use super::error::{LlmError, Wait};
use super::wire::{ErrorBody, ErrorObject, ErrorReply, Lenient, Metadata, Scalar};

/// The fault behind a response that isn't a stream.
pub(super) fn of_response(status: u16, headers: &HeaderMap, body: &[u8]) -> LlmError {
    let complaint = serde_json::from_slice::<ErrorReply>(body).ok().and_then(|reply| {
        let in_choices = reply.choices.into_iter().find_map(|choice| choice.error);
        reply.error.or(in_choices).and_then(Lenient::known)
    });
    let is_success = (200..300).contains(&status);
    let object = match complaint {
        Some(ErrorBody::Object(object)) => object,
        Some(ErrorBody::Sentence(sentence)) => of_sentence(sentence),
        None if is_success || (300..400).contains(&status) => {
            return LlmError::Malformed(Detail::of_complaint(Some(status), [Some("no_stream")]));
        }
        None => of_sentence(String::from_utf8_lossy(body).into_owned()),
    };
    classify((!is_success).then_some(status), retry_after(headers), &object)
}

/// The fault that an event of the stream, or a choice in it, names.
pub(super) fn of_event(body: ErrorBody) -> LlmError {
    match body {
        ErrorBody::Object(object) => classify(None, None, &object),
        ErrorBody::Sentence(sentence) => classify(None, None, &of_sentence(sentence)),
    }
}

fn of_sentence(sentence: String) -> ErrorObject {
    ErrorObject {
        message: Some(Scalar::Text(sentence)),
        ..ErrorObject::default()
    }
}

/// The stable name of the kind decides, where there is one; then the number. A number in the body stands for the
/// status that came too late to be one.
fn classify(status: Option<u16>, retry_after: Option<Duration>, error: &ErrorObject) -> LlmError {
    let number = error
        .code
        .as_ref()
        .and_then(Scalar::number)
        .filter(|code| (400..600).contains(code));
    let number = status.or(number);
    let fault = Fault {
        number,
        retry_after: retry_after.or_else(|| wanted_pause(error)),
        error,
    };
    match fault.known_verdict() {
        // "No" from the one who knows the hosts behind the model outweighs what the kind of fault would suggest.
        Some(Verdict::Gone) => LlmError::ModelUnavailable(fault.detail()),
        Some(Verdict::Passing) if number == Some(404) => fault.unavailable(),
        _ => fault.by_name().unwrap_or_else(|| fault.by_number()),
    }
}

struct Fault<'a> {
    number: Option<u16>,
    retry_after: Option<Duration>,
    error: &'a ErrorObject,
}

enum Verdict {
    Gone,
    Passing,
}

impl Fault<'_> {
    /// What OpenRouter says about the model's hosts, on the answers where nothing else can be meant.
    fn known_verdict(&self) -> Option<Verdict> {
        let Some(Lenient::Known(availability)) = &self.error.availability else {
            return None;
        };
        match (self.number, &availability.retryable) {
            (Some(404 | 429 | 500..), Some(Lenient::Known(false))) => Some(Verdict::Gone),
            (_, Some(Lenient::Known(true))) => Some(Verdict::Passing),
            _ => None,
        }
    }

    fn by_name(&self) -> Option<LlmError> {
        self.names()
            .into_iter()
            .flatten()
            .find_map(|name| self.of_name(name))
    }

    /// What the complaint calls its kind, the most exact one first.
    fn names(&self) -> [Option<&str>; 3] {
        let metadata = self.metadata();
        [
            metadata.and_then(|metadata| metadata.error_type.as_ref()),
            self.error.code.as_ref(),
            self.error.kind.as_ref(),
        ]
        .map(|name| name.and_then(Scalar::text))
    }

    fn of_name(&self, name: &str) -> Option<LlmError> {
        Some(match name {
            "context_length_exceeded"
            | "max_tokens_exceeded"
            | "token_limit_exceeded"
            | "string_too_long"
            | "exceed_context_size_error" => LlmError::ContextTooLong(self.detail()),
            "content_policy_violation" | "content_filter" | "refusal" => LlmError::Filtered(self.detail()),
            "rate_limit_exceeded" | "rate_limit_error" => self.busy(),
            "insufficient_quota" | "authentication" | "authentication_error" | "invalid_api_key" => {
                LlmError::Refused(self.detail())
            }
            "not_found" | "model_not_found" => LlmError::ModelUnavailable(self.detail()),
            "timeout" => LlmError::TimedOut(Wait::Upstream),
            "server" | "server_error" | "provider_unavailable" | "provider_overloaded" => self.unavailable(),
            _ => return None,
        })
    }

    fn by_number(&self) -> LlmError {
        match self.number {
            Some(402) if self.limit_source() == Some("openrouter_in_flight_budget") => self.busy(),
            Some(403) if self.is_moderation() => LlmError::Filtered(self.detail()),
            Some(401..=403) => LlmError::Refused(self.detail()),
            Some(404) => LlmError::ModelUnavailable(self.detail()),
            Some(408 | 504 | 524) => LlmError::TimedOut(Wait::Upstream),
            Some(429) => self.busy(),
            Some(400..=499) if self.mentions_context() => LlmError::ContextTooLong(self.detail()),
            Some(400..=499) => LlmError::Rejected(self.detail()),
            // A fault without any number is the provider's until it says otherwise.
            _ => self.unavailable(),
        }
    }

    fn busy(&self) -> LlmError {
        LlmError::Busy {
            retry_after: self.retry_after,
            detail: self.detail(),
        }
    }

    fn unavailable(&self) -> LlmError {
        LlmError::Unavailable {
            retry_after: self.retry_after,
            detail: self.detail(),
        }
    }

    fn detail(&self) -> Detail {
        Detail::of_complaint(self.number, self.names())
    }

    fn message(&self) -> &str {
        self.error
            .message
            .as_ref()
            .and_then(Scalar::text)
            .unwrap_or_default()
    }

    /// vLLM, Ollama and older gateways name a prompt that is too long in their sentence only.
    fn mentions_context(&self) -> bool {
        let message = self.message().to_ascii_lowercase();
        ["context length", "context window", "context size"]
            .iter()
            .any(|words| message.contains(words))
    }

    fn metadata(&self) -> Option<&Metadata> {
        match &self.error.metadata {
            Some(Lenient::Known(metadata)) => Some(metadata),
            _ => None,
        }
    }

    fn limit_source(&self) -> Option<&str> {
        self.metadata()?.limit_source.as_ref()?.text()
    }

    fn is_moderation(&self) -> bool {
        self.metadata()
            .is_some_and(|metadata| metadata.reasons.is_some() || metadata.patterns.is_some())
    }
}

fn wanted_pause(error: &ErrorObject) -> Option<Duration> {
    match &error.availability {
        Some(Lenient::Known(availability)) => match availability.retry_after {
            Some(Lenient::Known(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// `Retry-After` in either of its forms, else OpenRouter's `X-RateLimit-Reset`. A moment is compared with the
/// response's own `Date`: both are by the provider's clock, ours may differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let date = text(DATE.as_str()).and_then(http_date);
    if let Some(wanted) = text(RETRY_AFTER.as_str()) {
        return match wanted.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Err(_) => between(date?, http_date(wanted)?),
        };
    }
    let reset = text("x-ratelimit-reset")?.parse::<i64>().ok()?;
    // The documentation names no unit; seconds will not reach this number for 30,000 years.
    let seconds = if reset > 1_000_000_000_000 {
        reset / 1_000
    } else {
        reset
    };
    between(date?, OffsetDateTime::from_unix_timestamp(seconds).ok()?)
}

fn http_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

fn between(from: OffsetDateTime, to: OffsetDateTime) -> Option<Duration> {
    Duration::try_from(to - from).ok()
}

#[cfg(test)]
mod tests;
