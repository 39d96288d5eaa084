//! The life of one generation: dial, read, and, as long as no text has come, pause and dial again.
//!
//! Owns the decision to call again, and which model. Refuses to once there is text: nobody could tell where the new
//! answer begins. [`crate::llm::Generation`] drives it.
//!
//! ```text
//!   Pausing --> Connecting --> Reading --> Ended
//!      ^            | fault       | fault before the first text
//!      +------------+-------------+
//! ```
//!
//! Whatever is awaited lives in the phase, not in a future on the caller's stack: that is what makes `next`
//! cancel-safe, and what makes dropping a [`Call`] close its connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::reply::Reply;
use super::{Upstream, connect};
use crate::llm::breaker::Permit;
use crate::llm::detail::Detail;
use crate::llm::endpoint::ProviderFlavor;
use crate::llm::error::LlmError;
use crate::llm::wire::Body;
use crate::llm::{Event, Request};

/// One generation, over however many calls it takes.
#[derive(Debug)]
pub(in crate::llm) struct Call {
    upstream: Arc<Upstream>,
    request: Request,
    /// Fallbacks that took the place of the model; at OpenRouter none, which falls back by itself.
    fallbacks_used: usize,
    retries: u32,
    was_empty: bool,
    has_text: bool,
    give_up_at: Instant,
    /// Held until the first text or fault tells what the call says about the provider's health.
    permit: Option<Permit>,
    phase: Phase,
}

enum Phase {
    Pausing { until: Instant },
    Connecting(Pin<Box<dyn Future<Output = Result<Reply, LlmError>> + Send>>),
    Reading(Box<Reply>),
    Ended,
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pausing { .. } => "Pausing",
            Self::Connecting(_) => "Connecting",
            Self::Reading(_) => "Reading",
            Self::Ended => "Ended",
        })
    }
}

impl Call {
    pub(super) fn new(upstream: Arc<Upstream>, request: Request) -> Self {
        let now = Instant::now();
        Self {
            give_up_at: now + upstream.settings.timeouts.total,
            upstream,
            request,
            fallbacks_used: 0,
            retries: 0,
            was_empty: false,
            has_text: false,
            permit: None,
            phase: Phase::Pausing { until: now },
        }
    }

    pub(in crate::llm) async fn next(&mut self) -> Option<Result<Event, LlmError>> {
        while !matches!(self.phase, Phase::Ended) {
            match self.step().await {
                Ok(None) => {}
                Ok(Some(event)) => {
                    self.on_event(&event);
                    return Some(Ok(event));
                }
                Err(fault) => {
                    let now = Instant::now();
                    let Some(pause) = self.pause_after(&fault, now) else {
                        self.phase = Phase::Ended;
                        return Some(Err(fault));
                    };
                    self.phase = Phase::Pausing { until: now + pause };
                }
            }
        }
        None
    }

    /// Waits for what the phase waits for; a step may lead to the next phase and report nothing.
    async fn step(&mut self) -> Result<Option<Event>, LlmError> {
        match &mut self.phase {
            Phase::Pausing { until } => {
                // Even a sleep that is over takes the timer's next tick, up to 2 ms: most of the way to the first word.
                if *until > Instant::now() {
                    sleep_until(*until).await;
                }
                self.phase = Phase::Connecting(Box::pin(self.dial()?));
            }
            Phase::Connecting(reply) => self.phase = Phase::Reading(Box::new(reply.await?)),
            Phase::Reading(reply) => return reply.next().await.map(Some),
            Phase::Ended => {}
        }
        Ok(None)
    }

    fn dial(&mut self) -> Result<impl Future<Output = Result<Reply, LlmError>> + Send + use<>, LlmError> {
        let permit = self
            .upstream
            .breakers
            .admit(self.model(), Instant::now().into_std())
            .map_err(|retry_after| LlmError::CircuitOpen { retry_after })?;
        let body = Body::new(&self.request, self.model(), self.upstream.settings.flavor);
        let body = serde_json::to_vec(&body).map_err(|error| LlmError::Rejected(Detail::of_json(&error)))?;
        self.permit = Some(permit);
        Ok(connect(Arc::clone(&self.upstream), body, self.give_up_at))
    }

    fn model(&self) -> &str {
        let fallback = self
            .fallbacks_used
            .checked_sub(1)
            .and_then(|at| self.request.fallbacks.get(at));
        fallback.unwrap_or(&self.request.model)
    }

    fn on_event(&mut self, event: &Event) {
        if matches!(event, Event::Started { .. }) {
            return;
        }
        self.has_text = true;
        if let Some(permit) = self.permit.take() {
            permit.answered();
        }
        if matches!(event, Event::Finished(_)) {
            self.phase = Phase::Ended;
        }
    }

    /// Takes note of a fault and says how long to wait before the next call; `None` if the fault stands.
    fn pause_after(&mut self, fault: &LlmError, now: Instant) -> Option<Duration> {
        match self.permit.take() {
            Some(permit) if fault.is_outage() => permit.failed(now.into_std()),
            Some(permit) => permit.answered(),
            None => {}
        }
        let pause = self.plan_retry(fault)?;
        if now + pause >= self.give_up_at {
            return None;
        }
        self.retries += 1;
        self.was_empty |= matches!(fault, LlmError::Empty { .. });
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(fault = fault.label(), error = %fault, pause_ms, "the provider is asked again");
        Some(pause)
    }

    fn plan_retry(&mut self, fault: &LlmError) -> Option<Duration> {
        let retry = self.upstream.settings.retry;
        if self.has_text || self.retries >= retry.max_retries {
            return None;
        }
        let jitter = retry.pause(self.retries, rand::random());
        if self.turn_to_fallback(fault) {
            return Some(jitter);
        }
        let wanted = fault.retry_after().unwrap_or_default();
        let hopeless = match fault {
            // The breaker's pause is the caller's to wait for: others wait for it too.
            LlmError::CircuitOpen { .. } => true,
            // A cold start may yield nothing once; twice is the model's answer.
            LlmError::Empty { .. } => self.was_empty || !fault.is_retryable(),
            _ => !fault.is_retryable(),
        };
        (!hopeless && wanted <= retry.max_retry_after).then(|| wanted + jitter)
    }

    /// OpenRouter gets the fallbacks with the request; at any other server each retry asks the next one.
    fn turn_to_fallback(&mut self, fault: &LlmError) -> bool {
        let other_model_helps = fault.is_retryable() || matches!(fault, LlmError::ModelUnavailable(_));
        let turn = other_model_helps
            && self.upstream.settings.flavor != ProviderFlavor::OpenRouter
            && self.fallbacks_used < self.request.fallbacks.len();
        if turn {
            self.fallbacks_used += 1;
        }
        turn
    }
}
