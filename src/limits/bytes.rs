//! The rate of bytes on one connection: an allowance that refills with time, as pure arithmetic.
//!
//! Counts what comes in whatever it is, so that also what no rate of frames ever sees costs no more than its bytes:
//! continuations of nothing, a header that never ends. Belongs to one connection, which passes the time in.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How many bytes a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate {
    /// A second, over the long run.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl ByteRate {
    /// How many bytes arrive in a time, from a full allowance on.
    pub fn within(self, time: Duration) -> u64 {
        let refilled = u128::from(self.per_second.get()) * time.as_millis() / 1000;
        u64::try_from(refilled)
            .unwrap_or(u64::MAX)
            .saturating_add(self.burst.get().into())
    }

    /// How long so many bytes take to be refilled.
    fn time_for(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.per_second.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Counts the bytes of one connection against a [`ByteRate`]; without one, nothing is ever too much.
#[derive(Clone, Debug)]
pub struct ByteMeter {
    rate: Option<ByteRate>,
    /// When the allowance will be full again.
    full_at: Instant,
}

impl ByteMeter {
    /// A full allowance.
    pub fn new(rate: Option<ByteRate>, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// How long to read nothing; zero while something is left.
    pub fn wait(&self, now: Instant) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| {
            let spent = self.full_at.saturating_duration_since(now);
            // Nothing is left once all is spent, not only after more than that.
            (spent + Duration::from_nanos(1)).saturating_sub(rate.time_for(rate.burst.get().into()))
        })
    }

    /// Counts bytes that were read. They may be more than what was left: the wait is then longer.
    pub fn take(&mut self, bytes: usize, now: Instant) {
        if let Some(rate) = self.rate {
            self.full_at = self.full_at.max(now) + rate.time_for(bytes as u64);
        }
    }
}
