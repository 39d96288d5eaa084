//! Refused credentials by address. Looking whether an address is blocked must not cost it anything, and the
//! rate limiter has no such question, so the addresses that spent their allowance stand in a list of their
//! own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use governor::clock::{Clock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::{AddressKey, LimitedBy};

const LIMIT: &str = "auth_failures_per_address";

#[derive(Debug)]
pub(super) struct FailureLimiter<C: Clock> {
    rate: RateLimiter<AddressKey, DefaultKeyedStateStore<AddressKey>, C, StateInformationMiddleware>,
    quota: Quota,
    /// Only addresses whose allowance is spent, each until one more failure fits: short, and pruned each
    /// minute.
    blocked_until: Mutex<HashMap<AddressKey, C::Instant>>,
    clock: C,
}

impl<C: Clock + Clone> FailureLimiter<C> {
    pub(super) fn new(quota: Quota, clock: C) -> Self {
        let rate = RateLimiter::dashmap_with_clock(quota, clock.clone())
            .with_middleware::<StateInformationMiddleware>();
        Self {
            rate,
            quota,
            blocked_until: Mutex::default(),
            clock,
        }
    }

    pub(super) fn check(&self, key: AddressKey) -> Result<(), LimitedBy> {
        let until = self.blocked().get(&key).copied();
        let now = self.clock.now();
        match until {
            Some(until) if until > now => Err(LimitedBy::new(LIMIT, until.duration_since(now).into())),
            _ => Ok(()),
        }
    }

    pub(super) fn record(&self, key: AddressKey) -> Result<(), LimitedBy> {
        let until = match self.rate.check_key(&key) {
            Ok(left) if left.remaining_burst_capacity() > 0 => return Ok(()),
            // The last one that fitted: room for the next is there after one interval at the latest.
            Ok(_) => self.clock.now() + self.quota.replenish_interval().into(),
            // Several attempts were under way at once and went past the limit together.
            Err(until) => until.earliest_possible(),
        };
        self.blocked().insert(key, until);
        self.check(key)
    }

    pub(super) fn housekeep(&self) {
        self.rate.retain_recent();
        self.rate.shrink_to_fit();
        let now = self.clock.now();
        let mut blocked = self.blocked();
        blocked.retain(|_, until| *until > now);
        blocked.shrink_to_fit();
    }

    pub(super) fn n_keys(&self) -> usize {
        self.rate.len()
    }

    fn blocked(&self) -> std::sync::MutexGuard<'_, HashMap<AddressKey, C::Instant>> {
        // Nothing panics while holding it; if it did, the list would still be a valid list.
        self.blocked_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
