//! The rate of frames on one socket: an allowance that refills with time, as pure arithmetic.
//!
//! Belongs to one connection, which passes the time in. Refuses to be shared: there is no lock in it.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::{LimitSettings, LimitedBy};

/// How many seconds' worth of frames may come at once: a client that resumes sends a handful together.
const BURST_FACTOR: u32 = 3;

/// Counts the frames of one socket against [`LimitSettings::frames_per_second`].
#[derive(Clone, Debug)]
pub struct FrameMeter(Option<Bucket>);

/// A token bucket kept as one instant (GCRA): the time at which the allowance will be full again.
#[derive(Clone, Debug)]
struct Bucket {
    interval: Duration,
    /// How far ahead of now `full_at` may lie for one more frame to be accepted.
    tolerance: Duration,
    full_at: Instant,
}

impl FrameMeter {
    /// A full allowance.
    pub fn new(settings: &LimitSettings, now: Instant) -> Self {
        Self(settings.frames_per_second.map(|rate| Bucket::new(rate, now)))
    }

    /// Counts a frame that arrived now.
    ///
    /// # Errors
    ///
    /// When it is one too many; it is then not counted. The caller closes with 4429.
    pub fn check(&mut self, now: Instant) -> Result<(), LimitedBy> {
        self.0.as_mut().map_or(Ok(()), |bucket| bucket.take(now))
    }
}

impl Bucket {
    fn new(rate: NonZeroU32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / rate.get();
        let burst = rate.get().saturating_mul(BURST_FACTOR);
        Self {
            interval,
            tolerance: interval * (burst - 1),
            full_at: now,
        }
    }

    fn take(&mut self, now: Instant) -> Result<(), LimitedBy> {
        let full_at = self.full_at.max(now);
        let wait = full_at.duration_since(now).saturating_sub(self.tolerance);
        if !wait.is_zero() {
            return Err(LimitedBy::new("frames_per_socket", wait));
        }
        self.full_at = full_at + self.interval;
        Ok(())
    }
}
