//! A user as a whole: what was spent, and being forgotten.

use super::{Service, unavailable};
use crate::ids::UserId;
use crate::protocol::body::DailyUsage;
use crate::protocol::error::Refusal;
use crate::store::in_time;
use crate::store::removal::Removed;

impl Service {
    /// What a user spent in the last days, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn usage(&self, user: &UserId, days: u16) -> Result<Vec<DailyUsage>, Refusal> {
        in_time(self.store.daily_usage(user, days))
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Removes every trace of a user. Sockets are closed and running answers stopped, on every process.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then.
    pub async fn erase(&self, user: &UserId) -> Result<Vec<Removed>, Refusal> {
        let removed = self
            .store
            .erase_user(user)
            .await
            .map_err(|error| unavailable(&error))?;
        let rows: u64 = removed.iter().map(|removed| removed.rows).sum();
        tracing::info!(rows, "a user was erased");
        // The other processes hear it with the commit; so does this one, unless NOTIFY is away.
        self.feed.erased(user);
        self.runs.stop_user(user);
        Ok(removed)
    }
}
