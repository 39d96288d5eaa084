//! When a socket must speak and when it counts as dead: arithmetic on instants, no timers.
//!
//! Every client gets WebSocket pings; clients that offered the sub-protocol get `heartbeat` frames too, since a browser
//! cannot see pings. Any frame counts as life. `ws::connection` asks it.

use std::time::{Duration, Instant};

/// The deadlines of one socket.
#[derive(Clone, Debug)]
pub struct Keepalive {
    heartbeat: Duration,
    last_sent: Instant,
    last_ping: Instant,
    last_received: Instant,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// A ping, and a heartbeat to those who see frames only.
    Speak,
    /// Nothing was received for two heartbeats: close 4408.
    Dead,
}

impl Keepalive {
    /// A socket that was opened now.
    pub fn new(heartbeat: Duration, now: Instant) -> Self {
        Self {
            heartbeat,
            last_sent: now,
            last_ping: now,
            last_received: now,
        }
    }

    /// Something came in.
    pub fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// A frame went out.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// A ping went out.
    pub fn pinged(&mut self, now: Instant) {
        self.last_ping = now;
    }

    /// What is due at this moment.
    pub fn due(&self, now: Instant) -> Due {
        if now >= self.last_received + self.heartbeat * 2 {
            return Due::Dead;
        }
        let quiet = self.is_quiet(now);
        // A busy socket still needs a ping now and then: text that nobody reads is no sign of life.
        if quiet || now >= self.last_ping + self.heartbeat {
            Due::Speak
        } else {
            Due::Nothing
        }
    }

    /// When to ask again.
    pub fn next(&self) -> Instant {
        let speak = self.last_sent.min(self.last_ping) + self.heartbeat;
        speak.min(self.last_received + self.heartbeat * 2)
    }

    /// Whether a frame went out within this time before `now`.
    pub fn sent_within(&self, time: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.last_sent) < time
    }

    /// Whether the socket was silent towards the client for a heartbeat.
    pub fn is_quiet(&self, now: Instant) -> bool {
        !self.sent_within(self.heartbeat, now)
    }
}
