//! What one user may ask for: rates, text kept, tokens and money of the day.
//!
//! A limit that is reached refuses with its name and when to come back; in a dry run it is only counted and logged.

use std::time::{Duration, Instant};

use super::{Service, limit_or_off, limited, unavailable};
use crate::ids::{ClientName, RunId, SessionKey, UserId};
use crate::limits::LimitedBy;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::store::quota::Reserve;

impl Service {
    /// A limit was reached: refuses, or lets pass in a dry run.
    fn reached(&self, limit: &'static str, refusal: Refusal) -> Result<(), Refusal> {
        self.metrics.refusals.by_limit(limit);
        let dry_run = self.settings.budget.dry_run;
        tracing::debug!(limit, dry_run, "a limit was reached");
        if dry_run { Ok(()) } else { Err(refusal) }
    }

    /// A limit that cannot be let pass was reached.
    pub(super) fn refused_by(&self, limit: &'static str, refusal: Refusal) -> Refusal {
        self.metrics.refusals.by_limit(limit);
        refusal
    }

    /// What somebody is told who asked too often, where no user is known yet.
    pub fn limited(&self, by: &LimitedBy) -> Refusal {
        self.refused_by(by.limit, limited(by))
    }

    /// How many connections a user may have here; 0 = any number.
    pub fn max_connections(&self) -> u32 {
        let budget = &self.settings.budget;
        if budget.dry_run {
            0
        } else {
            limit_or_off(self.settings.limits.connections_per_user)
        }
    }

    /// What a user is told who has too many connections.
    pub fn too_many_connections(&self) -> Refusal {
        let most = limit_or_off(self.settings.limits.connections_per_user);
        let text = format!("You have {most} connections (connections_per_user); close one to open another");
        let refusal = Refusal::new(ErrorCode::QuotaExceeded, text).after(Duration::from_secs(5));
        self.refused_by("connections_per_user", refusal)
    }

    fn rate(&self, checked: Result<(), LimitedBy>) -> Result<(), Refusal> {
        checked.or_else(|by| self.reached(by.limit, limited(&by)))
    }

    /// Counts a command or an HTTP request.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn admit_command(&self, user: &UserId) -> Result<(), Refusal> {
        self.rate(self.limiter.check_command(user))
    }

    /// Counts a query and sets aside what its run may take.
    ///
    /// # Errors
    /// `rate_limited`, `quota_exceeded`.
    pub(super) async fn admit_run(&self, key: &SessionKey, run: RunId) -> Result<(), Refusal> {
        self.rate(self.limiter.check_query(&key.user_id))?;
        self.check_stored(&key.user_id).await?;
        self.reserve(key, run).await
    }

    /// The same for a query under a client's id: one that was accepted before is answered again whatever is spent since.
    pub(super) async fn admit_query(
        &self,
        key: &SessionKey,
        run: RunId,
        id: Option<&ClientName>,
    ) -> Result<(), Refusal> {
        let Err(refusal) = self.admit_run(key, run).await else {
            return Ok(());
        };
        if let (ErrorCode::QuotaExceeded, Some(id)) = (refusal.code, id) {
            let known = self.store.has_client_message(key, id).await;
            if known.map_err(|error| unavailable(&error))? {
                return Ok(());
            }
        }
        Err(refusal)
    }

    async fn check_stored(&self, user: &UserId) -> Result<(), Refusal> {
        let Some(most) = self.settings.limits.stored_mb_per_user else {
            return Ok(());
        };
        let now = Instant::now();
        let bytes = if let Some(bytes) = self.stored.fresh(user, now) {
            bytes
        } else {
            let bytes = self.storage_meter.stored_bytes(user).await;
            let bytes = bytes.map_err(|error| unavailable(&error))?;
            self.stored.found(user, bytes, now);
            bytes
        };
        if bytes < u64::from(most.get()) * 1_000_000 {
            return Ok(());
        }
        let text = format!(
            "You keep {most} MB of messages (stored_bytes_per_user); delete sessions and try again in a minute"
        );
        let refusal = Refusal::new(ErrorCode::QuotaExceeded, text).after(Duration::from_mins(1));
        self.reached("stored_bytes_per_user", refusal)
    }

    async fn reserve(&self, key: &SessionKey, run: RunId) -> Result<(), Refusal> {
        let (budget, agent) = (&self.settings.budget, &self.settings.agent);
        if budget.tokens_per_day == 0 && budget.cost_per_day_usd <= 0.0 {
            return Ok(());
        }
        let reserve = Reserve {
            // The most that a prompt and an answer can be.
            tokens: u64::from(agent.max_prompt_tokens) + u64::from(agent.max_tokens),
            cost_usd: budget.cost_reserve_usd,
            max_tokens: budget.tokens_per_day,
            max_cost_usd: budget.cost_per_day_usd,
        };
        let over = self.store.reserve(key, run, &reserve).await;
        match over.map_err(|error| unavailable(&error))? {
            None => Ok(()),
            Some(limit) => {
                let text =
                    format!("What you may use in a day is used up ({limit}); try again after midnight UTC");
                let refusal = Refusal::new(ErrorCode::QuotaExceeded, text).after(self.until_midnight());
                self.reached(limit, refusal)
            }
        }
    }

    fn until_midnight(&self) -> Duration {
        let now = self.clock.now().to_offset(time::UtcOffset::UTC);
        let into_the_day = Duration::new(
            u64::from(now.hour()) * 3600 + u64::from(now.minute()) * 60 + u64::from(now.second()),
            now.nanosecond(),
        );
        Duration::from_hours(24).saturating_sub(into_the_day)
    }
}
