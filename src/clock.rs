//! The wall clock: the only place that asks the system what time it is.
//!
//! Everything whose behaviour depends on the date takes a [`Clock`] or an instant from its caller, so a test
//! can stand still or step to the second after an expiry. It refuses to measure intervals: a wall clock
//! steps, so timeouts and rates use `std::time::Instant`. Built once by `app` and by tests, cloned by whoever
//! stamps or checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

/// Where the time of day comes from. Clones are cheap and share one source.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(ManualClock),
}

/// The hand of a manual clock: moves every [`Clock`] made with it. Time stands still between moves.
#[derive(Clone, Debug)]
pub struct ManualClock {
    started: OffsetDateTime,
    elapsed_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until the returned hand moves it, for tests.
    pub fn manual(start: OffsetDateTime) -> (Self, ManualClock) {
        let hand = ManualClock {
            started: to_millisecond(start),
            elapsed_ms: Arc::new(AtomicI64::new(0)),
        };
        (Self(Source::Manual(hand.clone())), hand)
    }

    /// The time now in UTC, cut to milliseconds: what the wire carries, so that a time compares equal to
    /// itself after a round trip through a frame.
    pub fn now(&self) -> OffsetDateTime {
        match &self.0 {
            Source::System => to_millisecond(system_now()),
            Source::Manual(hand) => hand.now(),
        }
    }
}

impl ManualClock {
    /// Moves the clock forward, in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.elapsed_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    fn now(&self) -> OffsetDateTime {
        self.started.saturating_add(time::Duration::milliseconds(
            self.elapsed_ms.load(Ordering::Relaxed),
        ))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one caller of system time that everything else asks"
)]
fn system_now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn to_millisecond(at: OffsetDateTime) -> OffsetDateTime {
    // A millisecond taken from a time is always in range; the fallback only spares a panic path.
    at.replace_millisecond(at.millisecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
