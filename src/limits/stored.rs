//! How much text each user keeps, as it was found within the last minute.
//!
//! So that a query does not cost a sum over the user's sessions. Refuses to read the store: who does tells the result.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ids::UserId;

/// How long a sum counts: in it a user stores no more than the rate of queries allows.
const FRESH: Duration = Duration::from_mins(1);

/// Sums that were found lately.
#[derive(Debug, Default)]
pub struct StoredBytes(Mutex<HashMap<UserId, (Instant, u64)>>);

impl StoredBytes {
    fn known(&self) -> MutexGuard<'_, HashMap<UserId, (Instant, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this user keeps, if that was found within the last minute.
    pub fn fresh(&self, user: &UserId, now: Instant) -> Option<u64> {
        let known = self.known();
        let (found_at, bytes) = known.get(user)?;
        (now.duration_since(*found_at) < FRESH).then_some(*bytes)
    }

    /// This user keeps so much.
    pub fn found(&self, user: &UserId, bytes: u64, now: Instant) {
        self.known().insert(user.clone(), (now, bytes));
    }

    /// Forgets what is no longer fresh. To be called each minute.
    pub fn housekeep(&self, now: Instant) {
        let mut known = self.known();
        known.retain(|_, (found_at, _)| now.duration_since(*found_at) < FRESH);
        known.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_counts_for_a_minute_and_is_forgotten_then() {
        let (stored, user, start) = (StoredBytes::default(), UserId::new("u").unwrap(), Instant::now());
        assert_eq!(stored.fresh(&user, start), None);
        stored.found(&user, 7, start);
        assert_eq!(stored.fresh(&user, start + Duration::from_secs(59)), Some(7));
        assert_eq!(stored.fresh(&user, start + FRESH), None);
        stored.housekeep(start + Duration::from_secs(59));
        assert_eq!(stored.known().len(), 1);
        stored.housekeep(start + FRESH);
        assert_eq!(stored.known().len(), 0);
    }
}
