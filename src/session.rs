//! One connection's conversation as a state machine: an input and an instant in, a decision out.
//!
//! Owns what depends on time and on what came before: who may speak, when the token ends, when nothing happened for too
//! long, how many bad frames are too many. Pure: no async, no I/O, no clock of its own. `ws` carries the decisions out.
//!
//! ```text
//!   AwaitingAuth ── auth ──► Open ── token ends, idle, bad frames ──► (close)
//!        └── anything else, or the deadline ──► (close 4501)
//! ```

pub mod replay;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::protocol::client::{Auth, BadFrame, ClientFrame, Command};
use crate::protocol::close::CloseReason;
use crate::protocol::error::{ErrorCode, Refusal};

/// Bad frames within [`BAD_FRAMES_WITHIN`] after which the socket is closed. Never under 20 a minute.
pub const MAX_BAD_FRAMES: usize = 30;

/// The span in which bad frames are counted.
pub const BAD_FRAMES_WITHIN: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    AwaitingAuth { deadline: Instant },
    Open { expires: Instant, warn: Option<Instant> },
}

/// What is fixed for a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long nothing may happen.
    pub session_timeout: Duration,
    /// How long before the token's end to warn.
    pub expiry_warning: Duration,
}

/// The state of one connection's conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    phase: Phase,
    rules: Rules,
    active_at: Instant,
    bad_frames: VecDeque<Instant>,
}

/// What to do with a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Check this token; it opens the conversation or renews it.
    Authenticate(Option<crate::ids::ClientName>, Auth),
    /// Carry it out.
    Carry(ClientFrame),
    /// Answer with an error.
    Refuse(BadFrame),
    /// Answer with an error, then close.
    RefuseAndClose(BadFrame, CloseReason),
}

/// What time brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Tell that the token ends soon.
    WarnExpiry,
    /// Close.
    Close(CloseReason),
}

/// Whether an answer is being written in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A run is in progress, or the server drains: the session does not time out.
    Busy,
    /// Nothing.
    Quiet,
}

impl Conversation {
    /// A socket that has not shown a token yet.
    pub fn awaiting_auth(rules: Rules, timeout: Duration, now: Instant) -> Self {
        let phase = Phase::AwaitingAuth {
            deadline: now + timeout,
        };
        Self {
            phase,
            rules,
            active_at: now,
            bad_frames: VecDeque::new(),
        }
    }

    /// A socket whose token was checked; it ends after `lifetime`.
    pub fn open(rules: Rules, lifetime: Duration, now: Instant) -> Self {
        let mut conversation = Self::awaiting_auth(rules, Duration::ZERO, now);
        conversation.authenticated(lifetime, now);
        conversation
    }

    /// Whether a token was checked.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// A token was checked; it ends after `lifetime`. A warning is due a quarter of its life before, at most the rule's.
    pub fn authenticated(&mut self, lifetime: Duration, now: Instant) {
        let expires = now + lifetime;
        let warn = now + lifetime.saturating_sub((lifetime / 4).min(self.rules.expiry_warning));
        self.phase = Phase::Open {
            expires,
            warn: Some(warn),
        };
        self.active_at = now;
    }

    /// Decides about a frame.
    pub fn on_frame(&mut self, frame: Result<ClientFrame, BadFrame>, now: Instant) -> Decision {
        let frame = match frame {
            Ok(frame) => frame,
            Err(bad) => return self.on_bad_frame(bad, now),
        };
        if !matches!(frame, ClientFrame::Command(_, Command::Ping)) {
            self.active_at = now;
        }
        match frame {
            ClientFrame::Command(re, Command::Auth(auth)) => Decision::Authenticate(re, auth),
            frame if self.is_open() => Decision::Carry(frame),
            frame => Decision::RefuseAndClose(
                BadFrame {
                    re: frame.id().cloned(),
                    refusal: Refusal::new(
                        ErrorCode::Unauthorized,
                        "The first frame must be the command auth",
                    ),
                },
                CloseReason::Unauthorized,
            ),
        }
    }

    fn on_bad_frame(&mut self, bad: BadFrame, now: Instant) -> Decision {
        if !self.is_open() {
            return Decision::RefuseAndClose(bad, CloseReason::Unauthorized);
        }
        self.bad_frames.push_back(now);
        while self
            .bad_frames
            .front()
            .is_some_and(|first| now.duration_since(*first) > BAD_FRAMES_WITHIN)
        {
            self.bad_frames.pop_front();
        }
        if self.bad_frames.len() > MAX_BAD_FRAMES {
            return Decision::RefuseAndClose(bad, CloseReason::BadFrames);
        }
        Decision::Refuse(bad)
    }

    /// Something happened in the session: another device wrote, or the agent did.
    pub fn on_activity(&mut self, now: Instant) {
        self.active_at = now;
    }

    /// What time has brought about. Call it again until it says nothing more.
    pub fn due(&mut self, activity: Activity, now: Instant) -> Option<Due> {
        if activity == Activity::Busy {
            self.active_at = now;
        }
        match &mut self.phase {
            Phase::AwaitingAuth { deadline } => {
                return (now >= *deadline).then_some(Due::Close(CloseReason::Unauthorized));
            }
            Phase::Open { expires, .. } if now >= *expires => {
                return Some(Due::Close(CloseReason::TokenExpired));
            }
            Phase::Open { warn, .. } => {
                if warn.is_some_and(|warn| now >= warn) {
                    *warn = None;
                    return Some(Due::WarnExpiry);
                }
            }
        }
        (now >= self.active_at + self.rules.session_timeout)
            .then_some(Due::Close(CloseReason::SessionTimeout))
    }

    /// When to ask [`Self::due`] again.
    pub fn next_due(&self) -> Instant {
        let idle = self.active_at + self.rules.session_timeout;
        match self.phase {
            Phase::AwaitingAuth { deadline } => deadline,
            Phase::Open { expires, warn } => warn.unwrap_or(expires).min(idle),
        }
    }
}
