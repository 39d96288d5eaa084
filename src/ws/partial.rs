//! How long a message of the client's has been under way: arithmetic on counts of bytes and on instants, no timers.
//!
//! The library hands out whole messages and control frames only, so a message that never ends, made of fragments with
//! nothing in them, would be seen by nobody. Its bytes are: what came in and belongs to nothing that was handed out is
//! the beginning of a message. `ws::socket` asks it.

use std::time::{Duration, Instant};

/// A client's control frame without its payload: two bytes and the mask.
const CONTROL_HEADER_BYTES: u64 = 6;

/// What is known of the message that a client is sending.
#[derive(Clone, Debug)]
pub struct Partial {
    within: Duration,
    /// How many of the bytes that came in belong to what was handed out.
    accounted: u64,
    since: Option<Instant>,
}

impl Partial {
    /// Nothing is under way: all `total` bytes until now were the handshake's.
    pub fn new(within: Duration, total: u64) -> Self {
        Self {
            within,
            accounted: total,
            since: None,
        }
    }

    /// A message was handed out. What came in behind it, at most one read buffer, counts as its own.
    pub fn message(&mut self, total: u64) {
        self.accounted = total;
        self.since = None;
    }

    /// A ping or a pong was handed out. It may stand between two fragments.
    pub fn control(&mut self, payload: usize, total: u64) {
        self.accounted = total.min(self.accounted + CONTROL_HEADER_BYTES + payload as u64);
    }

    /// When the message that is under way must have ended; `None` where there is none. To be asked whenever all that came
    /// in was looked at.
    pub fn deadline(&mut self, total: u64, now: Instant) -> Option<Instant> {
        if total <= self.accounted {
            self.since = None;
            return None;
        }
        Some(*self.since.get_or_insert(now) + self.within)
    }
}
