//! Where thousands are told something at once they write it a few at a time, so that who comes back meanwhile has not to wait
//! for all of them.
//!
//! A task that may run waits behind all that may run already. Of ten thousand who are told at once, each for some 25 µs of
//! writing, the last ones run a quarter of a second later, and so does everybody else. Those who pass here wait in a line of
//! their own instead, and the runtime's line stays short: of those who came back in `bench --suite jitter`, the slowest hundredth waited
//! 355 ms without it (and on the runtime of several threads, with one at work), and 32 ms with it on the runtime of one.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// A ring that is heard later than this was one of many: a process that keeps up hears it within a few milliseconds.
const CROWDED: Duration = Duration::from_millis(10);

/// How many of a crowd are in the runtime's line at a time: less than a millisecond's work, and enough for every thread.
const PLACES: usize = 32;

/// Lets a crowd of connections through a few at a time, in the order in which they came but for those few.
#[derive(Debug)]
pub struct Turnstile(Semaphore);

impl Default for Turnstile {
    fn default() -> Self {
        Self(Semaphore::new(PLACES))
    }
}

impl Turnstile {
    /// Whether a ring that was heard so late was one of a crowd's, so that its connection should pass here before it writes.
    pub fn is_for(heard_after: Duration) -> bool {
        heard_after >= CROWDED
    }

    /// Waits until a place is free, and then behind what may run by then. The place is free again when this returns: what the
    /// caller does then, and how long it waits for its socket, keeps nobody else.
    pub async fn pass(&self) {
        // Never closed, so it is always a place.
        let place = self.0.acquire().await;
        yield_now().await;
        drop(place);
    }
}
