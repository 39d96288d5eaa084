//! Circuit breakers: a model that keeps failing is left alone for a few seconds.
//!
//! Owns one breaker a model and the count of its failures. Refuses calls while one is open, and all but a single
//! probe right after. Only outages count. A refused key (401) or empty account (402) opens nothing: such an answer
//! costs one quick round trip, and the first call after the operator mends it should succeed.
//!
//! ```text
//!            5 outages in a row            15 s
//!   closed ----------------------> open ---------> half open: one probe
//!     ^                              ^                |         |
//!     |                              +---- outage ----+         |
//!     +--------------------- any answer ------------------------+
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::settings::BreakerSettings;

/// Models that are tracked at once. Clients choose among the operator's models, so that this is never reached
/// unless something is wrong; beyond it nothing breaks, nothing grows.
const MAX_MODELS: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct Breakers {
    settings: BreakerSettings,
    /// Only models with failures are in it.
    states: Arc<Mutex<HashMap<String, State>>>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32, since: Instant },
    Open { until: Instant },
    HalfOpen,
}

/// The permission for one call. Dropped without a verdict, as a cancelled call is, it changes nothing, except that
/// the next call may be the probe.
#[derive(Debug)]
pub(super) struct Permit {
    breakers: Breakers,
    model: String,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ordinary,
    Probe { opened: Instant },
    Settled,
}

impl Breakers {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            states: Arc::default(),
        }
    }

    /// Asks to call `model`; an error says how long not to.
    pub(super) fn admit(&self, model: &str, now: Instant) -> Result<Permit, Duration> {
        let mut states = self.lock();
        let role = match states.get_mut(model) {
            None | Some(State::Closed { .. }) => Role::Ordinary,
            Some(State::Open { until }) if now < *until => return Err(*until - now),
            // Someone else's probe is under way; how long it takes, nobody knows.
            Some(State::HalfOpen) => return Err(Duration::from_secs(1)),
            Some(state @ State::Open { .. }) => {
                *state = State::HalfOpen;
                Role::Probe { opened: now }
            }
        };
        drop(states);
        Ok(Permit {
            breakers: self.clone(),
            model: model.to_owned(),
            role,
        })
    }

    fn on_answer(&self, model: &str, role: Role) {
        let mut states = self.lock();
        // A call from before the outage may still be answered; only the probe closes an open breaker.
        if matches!(
            (role, states.get(model)),
            (Role::Probe { .. }, _) | (_, Some(State::Closed { .. }))
        ) {
            states.remove(model);
        }
    }

    fn on_outage(&self, model: &str, role: Role, now: Instant) {
        let mut states = self.lock();
        if !states.contains_key(model) && states.len() >= MAX_MODELS {
            return;
        }
        let state = states.entry(model.to_owned()).or_insert(State::Closed {
            failures: 0,
            since: now,
        });
        match state {
            State::HalfOpen if role != Role::Ordinary => {
                *state = State::Open {
                    until: now + self.settings.open_for,
                };
            }
            State::Closed { failures, since } => {
                if now.saturating_duration_since(*since) > self.settings.within {
                    (*failures, *since) = (0, now);
                }
                *failures += 1;
                if *failures >= self.settings.failures {
                    *state = State::Open {
                        until: now + self.settings.open_for,
                    };
                }
            }
            // Calls from before it opened fail one after the other: that is no news.
            State::HalfOpen | State::Open { .. } => {}
        }
    }

    /// The map is never left half changed, so that a panic elsewhere says nothing about it.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The provider answered, be it with a refusal.
    pub(super) fn answered(mut self) {
        let role = std::mem::replace(&mut self.role, Role::Settled);
        self.breakers.on_answer(&self.model, role);
    }

    /// The provider is down.
    pub(super) fn failed(mut self, now: Instant) {
        let role = std::mem::replace(&mut self.role, Role::Settled);
        self.breakers.on_outage(&self.model, role, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Role::Probe { opened } = self.role
            && let Some(state @ State::HalfOpen) = self.breakers.lock().get_mut(&self.model)
        {
            *state = State::Open { until: opened };
        }
    }
}

#[cfg(test)]
mod tests;
