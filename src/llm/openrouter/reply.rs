//! Reads one streamed response to its end.
//!
//! Owns the response's body and the clocks that run beside it. What the bytes mean is the business of `sse` and
//! `answer`; whether to call again that of [`super::Call`], which is its only caller.

use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use crate::llm::Event;
use crate::llm::answer::Answer;
use crate::llm::detail::Detail;
use crate::llm::error::{LlmError, Wait};
use crate::llm::settings::{Settings, Timeouts};
use crate::llm::sse::{Decoder, EventTooLarge, Item};

/// One response, from its headers on.
#[derive(Debug)]
pub(super) struct Reply {
    response: Response,
    decoder: Decoder,
    answer: Answer,
    deadlines: Deadlines,
    is_announced: bool,
    has_data: bool,
}

impl Reply {
    pub(super) fn new(response: Response, settings: &Settings, give_up_at: Instant) -> Self {
        let generation_id = response
            .headers()
            .get("x-generation-id")
            .and_then(|id| id.to_str().ok());
        let answer = Answer::new(generation_id, settings.limits.text_bytes);
        Self {
            response,
            decoder: Decoder::new(settings.limits.event_bytes),
            answer,
            deadlines: Deadlines::new(settings.timeouts, give_up_at, Instant::now()),
            is_announced: false,
            has_data: false,
        }
    }

    /// The next event; after [`Event::Finished`] or an error there is nothing more to ask for.
    ///
    /// Cancel-safe: a chunk is either taken from the connection and folded, or still there.
    pub(super) async fn next(&mut self) -> Result<Event, LlmError> {
        loop {
            if let Some(event) = self.ready() {
                return event;
            }
            let (deadline, wait) = self.deadlines.next();
            match timeout_at(deadline, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.on_bytes(&bytes, Instant::now()),
                Ok(Ok(None)) => self.on_end(),
                Ok(Err(error)) => {
                    self.answer
                        .on_fault(LlmError::Incomplete(Detail::of_transport(error)));
                }
                Err(_) => self.answer.on_fault(LlmError::TimedOut(wait)),
            }
        }
    }

    /// What can be reported without waiting: text before the outcome, so that none of it is lost to a fault.
    fn ready(&mut self) -> Option<Result<Event, LlmError>> {
        // Without an id in the headers, the first event may bring one, or show that there is none.
        let generation_id = self.answer.generation_id();
        if !self.is_announced && (self.has_data || generation_id.is_some()) {
            self.is_announced = true;
            return Some(Ok(Event::Started {
                generation_id: generation_id.map(str::to_owned),
            }));
        }
        if let Some(text) = self.answer.take_text() {
            return Some(Ok(Event::Text(text)));
        }
        let outcome = self.answer.outcome()?;
        Some(outcome.map(Event::Finished))
    }

    fn on_bytes(&mut self, bytes: &[u8], now: Instant) {
        let mut progressed = false;
        let pushed = self.decoder.push(bytes, |item| {
            if let Item::Data(data) = item {
                progressed = true;
                self.answer.on_data(data);
            }
        });
        self.has_data |= progressed;
        if let Err(EventTooLarge { max_event_bytes }) = pushed {
            self.answer.on_fault(LlmError::TooLarge {
                limit_bytes: max_event_bytes,
            });
        }
        self.deadlines.on_bytes(now);
        if progressed {
            self.deadlines.on_progress(now);
        }
        if self.answer.is_whole() {
            self.deadlines.on_whole(now);
        }
        // A peer that always has bytes ready never lets the timer below have its turn.
        let (deadline, wait) = self.deadlines.next();
        if now >= deadline {
            self.answer.on_fault(LlmError::TimedOut(wait));
        }
    }

    fn on_end(&mut self) {
        let finished = self.decoder.finish(|item| {
            if let Item::Data(data) = item {
                self.has_data = true;
                self.answer.on_data(data);
            }
        });
        if let Err(EventTooLarge { max_event_bytes }) = finished {
            self.answer.on_fault(LlmError::TooLarge {
                limit_bytes: max_event_bytes,
            });
        }
        self.answer.on_end();
    }
}

/// The moments at which patience ends, each for a reason of its own.
#[derive(Debug)]
struct Deadlines {
    timeouts: Timeouts,
    bytes: Instant,
    progress: Instant,
    end: Instant,
}

impl Deadlines {
    fn new(timeouts: Timeouts, give_up_at: Instant, now: Instant) -> Self {
        let (bytes, progress) = (now + timeouts.transport_idle, now + timeouts.progress_idle);
        Self {
            timeouts,
            bytes,
            progress,
            end: give_up_at,
        }
    }

    fn next(&self) -> (Instant, Wait) {
        let (progress, end) = ((self.progress, Wait::Progress), (self.end, Wait::End));
        [progress, end]
            .into_iter()
            .fold((self.bytes, Wait::Bytes), |first, other| {
                if other.0 < first.0 { other } else { first }
            })
    }

    fn on_bytes(&mut self, now: Instant) {
        self.bytes = now + self.timeouts.transport_idle;
    }

    fn on_progress(&mut self, now: Instant) {
        self.progress = now + self.timeouts.progress_idle;
    }

    /// From the finish reason on there is a fixed time, whatever still trickles in.
    fn on_whole(&mut self, now: Instant) {
        self.end = self.end.min(now + self.timeouts.drain);
    }
}

#[cfg(test)]
mod tests;
