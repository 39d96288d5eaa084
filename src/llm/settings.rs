//! The settings of the way to a provider: how long to wait, how much to take, how often to try.
//!
//! Owns the defaults. Reads no environment: `config` builds these values and hands them to
//! [`super::Provider::open_router`].

use std::time::Duration;

use super::endpoint::{ApiKey, BaseUrl, ProviderFlavor};

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
