//! Whether to come back after a connection has ended, with what, and when: the contract's table of close codes as a function.
//!
//! Pure: the random part is passed in. PROTOCOL.md's table is compared with it by a test. `connection` asks it.

use std::time::Duration;

use super::frames::Reconnect;

/// What to do when a connection has ended or could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comeback {
    /// Wait, longer each time, and resume.
    BackOff,
    /// Resume at once: the first try does not wait for more than the jitter.
    Soon,
    /// Ask for a new token, then resume.
    NewToken,
    /// Not until the person does something.
    Asleep,
    /// Not at all: as we are we shall be refused again.
    Stop,
}

/// What a close code asks for. 1006 stands for a connection that ended without a close.
pub fn after_close(code: u16) -> Comeback {
    match code {
        1000 => Comeback::Asleep,
        4401 => Comeback::NewToken,
        4408 | 4413 => Comeback::Soon,
        4505 => Comeback::BackOff,
        4409 | 1002 | 1003 | 1007 | 1009 | 4500..=4999 => Comeback::Stop,
        _ => Comeback::BackOff,
    }
}

/// What a refused upgrade asks for.
pub fn after_status(status: u16) -> Comeback {
    match status {
        408 | 425 | 429 | 500..=599 => Comeback::BackOff,
        // Anything else will be said again, 401 too: the token was asked for just before.
        _ => Comeback::Stop,
    }
}

/// How a client waits when no server has said how yet.
pub const DEFAULT: Reconnect = Reconnect {
    base_ms: 500,
    max_ms: 30_000,
    jitter_ms: 0,
};

/// The wait before the next try: any moment up to a limit that doubles with each failed try ("full jitter"), so that clients
/// that were cut together do not come back together; and never before what the server asked for.
///
/// `failed` counts the tries since the last connection that became live, `random` is in `0.0..1.0`.
pub fn wait(reconnect: Reconnect, failed: u32, retry_after: Option<Duration>, random: f64) -> Duration {
    let doubled = reconnect
        .base_ms
        .saturating_mul(1_u64.checked_shl(failed.min(32)).unwrap_or(u64::MAX));
    let limit = doubled.min(reconnect.max_ms).saturating_add(reconnect.jitter_ms);
    let jitter = Duration::from_millis(limit).mul_f64(random.clamp(0.0, 1.0));
    match retry_after {
        // Not all at the very moment that all were told.
        Some(at_least) => at_least + jitter.min(Duration::from_millis(reconnect.base_ms)),
        None => jitter,
    }
}
