//! One answer as it grows: the chunks of a stream folded into text, finish and usage.
//!
//! Owns the rules about what may come in which order and when an answer is whole. Knows no bytes, no socket and no
//! clock: the stream's reader feeds it payloads and tells it how the stream ended.
//!
//! * An `error` stands above all else in its chunk, wherever it is.
//! * The first finish reason that says something counts; servers repeat it, and send blank ones.
//! * Usage may come with any chunk, as a rule after the finish; the last one counts.
//! * Once there is a finish reason the answer is whole: whatever fails from then on costs at most the usage.
//! * `[DONE]` ends an answer without a finish reason too: the server said that it was done.
//! * An end without a word is an error, since a blank answer helps nobody: of the filter if that is why, else
//!   [`LlmError::Empty`]; a model that only calls tools, none of which we offer, ends so too.

use std::mem;

use super::detail::{Detail, plain};
use super::error::{FinishReason, LlmError};
use super::failure;
use super::wire::{Choice, Chunk, Lenient, UsageBody};
use super::{Finish, Usage};

/// Longest foreign id or model name that is kept.
const MAX_NAME_CHARS: usize = 200;

#[derive(Debug)]
pub(super) struct Answer {
    /// Text that nobody has taken yet.
    text: String,
    text_bytes: usize,
    max_text_bytes: usize,
    generation_id: Option<String>,
    model: Option<String>,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    /// How it ended, once it has.
    outcome: Option<Result<(), LlmError>>,
}

impl Answer {
    pub(super) fn new(generation_id: Option<&str>, max_text_bytes: usize) -> Self {
        Self {
            text: String::new(),
            text_bytes: 0,
            max_text_bytes,
            generation_id: generation_id.map(|id| plain(id, MAX_NAME_CHARS)),
            model: None,
            finish_reason: None,
            usage: None,
            outcome: None,
        }
    }

    /// The payload of the next event.
    pub(super) fn on_data(&mut self, data: &str) {
        if self.outcome.is_some() {
            return;
        }
        if data.trim() == "[DONE]" {
            self.end(Ok(()));
            return;
        }
        match serde_json::from_str::<Chunk<'_>>(data) {
            Ok(chunk) => self.on_chunk(chunk),
            Err(error) => self.on_fault(LlmError::Malformed(Detail::of_json(&error))),
        }
    }

    /// The stream ended by itself.
    pub(super) fn on_end(&mut self) {
        self.on_fault(LlmError::Incomplete(Detail::new("no finish reason")));
    }

    /// The stream broke, or took too long. If the answer was whole by then, nobody needs to know.
    pub(super) fn on_fault(&mut self, fault: LlmError) {
        let outcome = if self.finish_reason.is_some() {
            Ok(())
        } else {
            Err(fault)
        };
        self.end(outcome);
    }

    /// The text since the last call.
    pub(super) fn take_text(&mut self) -> Option<String> {
        (!self.text.is_empty()).then(|| mem::take(&mut self.text))
    }

    /// How it ended, once it has; asked when no text is left.
    pub(super) fn outcome(&mut self) -> Option<Result<Finish, LlmError>> {
        let outcome = self.outcome.clone()?;
        Some(outcome.and_then(|()| self.finish()))
    }

    pub(super) fn generation_id(&self) -> Option<&str> {
        self.generation_id.as_deref()
    }

    /// Whether only the usage and the end are still to come.
    pub(super) fn is_whole(&self) -> bool {
        self.finish_reason.is_some()
    }

    fn on_chunk(&mut self, chunk: Chunk<'_>) {
        if let Some(id) = chunk.id.filter(|_| self.generation_id.is_none()) {
            self.generation_id = Some(plain(&id.0, MAX_NAME_CHARS));
        }
        if let Some(model) = chunk.model.filter(|_| self.model.is_none()) {
            self.model = Some(plain(&model.0, MAX_NAME_CHARS));
        }
        if let Some(usage) = chunk.usage.and_then(Lenient::known) {
            self.usage = Some(usage.into());
        }
        if let Some(error) = chunk.error {
            let fault = error.known().map_or_else(nameless_fault, failure::of_event);
            self.on_fault(fault);
            return;
        }
        // We ask for one choice; a server that sends more repeats itself.
        if let Some(choice) = chunk.choices.into_iter().flatten().next() {
            self.on_choice(choice);
        }
    }

    fn on_choice(&mut self, choice: Choice<'_>) {
        if let Some(error) = choice.error {
            let fault = error.known().map_or_else(nameless_fault, failure::of_event);
            self.on_fault(fault);
            return;
        }
        if let Some(text) = choice.delta.and_then(|delta| delta.content) {
            self.on_text(&text.0);
        }
        match choice
            .finish_reason
            .as_ref()
            .map_or("", |reason| reason.0.as_ref())
        {
            "" => {}
            "error" => self.on_fault(nameless_fault()),
            reason => {
                self.finish_reason.get_or_insert(finish_reason(reason));
            }
        }
    }

    /// NUL becomes U+FFFD here and nowhere else: Postgres stores no NUL, so that what the subscribers see, what is
    /// stored and what is hashed have to agree on something else from the first token on.
    fn on_text(&mut self, text: &str) {
        let start = self.text.len();
        if text.contains('\0') {
            self.text.push_str(&text.replace('\0', "\u{FFFD}"));
        } else {
            self.text.push_str(text);
        }
        self.text_bytes += self.text.len() - start;
        if self.text_bytes > self.max_text_bytes {
            self.text.truncate(start);
            self.end(Err(LlmError::TooLarge {
                limit_bytes: self.max_text_bytes,
            }));
        }
    }

    fn end(&mut self, outcome: Result<(), LlmError>) {
        self.outcome.get_or_insert(outcome);
    }

    fn finish(&mut self) -> Result<Finish, LlmError> {
        let finish_reason = self.finish_reason.unwrap_or(FinishReason::Unknown);
        if self.text_bytes == 0 {
            return Err(match finish_reason {
                FinishReason::ContentFilter => {
                    LlmError::Filtered(Detail::new("finish reason content_filter"))
                }
                _ => LlmError::Empty { finish_reason },
            });
        }
        Ok(Finish {
            finish_reason,
            model: self.model.take(),
            usage: self.usage.take(),
            generation_id: self.generation_id.take(),
        })
    }
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        _ => FinishReason::Unknown,
    }
}

fn nameless_fault() -> LlmError {
    LlmError::Unavailable {
        retry_after: None,
        detail: Detail::new("an error without a description"),
    }
}

impl From<UsageBody> for Usage {
    fn from(body: UsageBody) -> Self {
        let number = |value: Option<Lenient<f64>>| {
            value
                .and_then(Lenient::known)
                .filter(|number| number.is_finite() && *number >= 0.0)
        };
        // `as` saturates, which is what a count beyond all measure deserves.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be positive"
        )]
        let count = |value| number(value).unwrap_or_default() as u32;
        Self {
            input_tokens: count(body.prompt_tokens),
            output_tokens: count(body.completion_tokens),
            cost_usd: number(body.cost),
        }
    }
}

#[cfg(test)]
mod tests;
