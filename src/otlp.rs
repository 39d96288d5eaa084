//! The way to an OpenTelemetry collector: spans go into a bounded queue, one task sends them in batches as OTLP over HTTP in JSON.
//!
//! Owns the queue, the batches, the HTTP client and what becomes of a batch that is refused. Refuses to make anybody wait: a span
//! that finds the queue full is dropped and counted. `runs` tells spans, `app` starts the task; without a collector neither is there.
//!
//! Not the crates of OpenTelemetry: their batch processor reads the environment by itself, sends from a thread of its own with a
//! blocking client, and says what it dropped to nobody but its log. What is left of them is the JSON of [`span`].

mod sender;
pub mod span;

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;
use tokio::sync::mpsc::{self, error::TrySendError};

pub use sender::{Sender, SetupError};
use span::Span;

use crate::metrics::Traces;

/// The most spans that wait; the default of OpenTelemetry's own (`maxQueueSize`).
const QUEUE: usize = 2048;

/// Where spans go and how.
#[derive(Clone)]
pub struct Settings {
    /// Where they are posted: http or https.
    pub url: Url,
    /// Sent with each batch; marked as not to be printed.
    pub headers: HeaderMap,
    /// What the collector knows this service as.
    pub service: String,
    /// Which part of runs is told whose client says nothing of it, 0 to 1.
    pub ratio: f64,
    /// How long a span waits for others before its batch is sent.
    pub delay: Duration,
}

/// The headers are secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.url.as_str())
            .field("headers", &self.headers.len())
            .field("service", &self.service)
            .field("ratio", &self.ratio)
            .field("delay", &self.delay)
            .finish()
    }
}

/// Takes spans. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spans {
    queue: mpsc::Sender<Span>,
    ratio: f64,
    metrics: Traces,
}

impl Spans {
    /// A queue, and the task that empties it.
    ///
    /// # Errors
    /// [`SetupError`] when the system offers no TLS.
    pub fn new(settings: Settings, node: String, metrics: Traces) -> Result<(Self, Sender), SetupError> {
        let (queue, spans) = mpsc::channel(QUEUE);
        let ratio = settings.ratio;
        let sender = Sender::new(settings, node, spans, metrics.clone())?;
        let spans = Self {
            queue,
            ratio,
            metrics,
        };
        Ok((spans, sender))
    }

    /// Which part of runs is told whose client says nothing of it, 0 to 1.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Hands over a span. Never waits: where there is no room it is dropped and counted.
    pub fn tell(&self, span: Span) {
        match self.queue.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.metrics.dropped("queue_full", 1),
        }
    }
}

#[cfg(test)]
mod tests;
