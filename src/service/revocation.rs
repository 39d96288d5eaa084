//! Takes what operators revoke from the database to this process: into the memory that each token is checked against, to the
//! connections that are open, and to answers that are being written.
//!
//! It looks twice a second, and on a hint, at what is new, and now and then at the whole list, which finds what was lifted. No
//! request asks the database. While that cannot be read, the list that is known goes on to count, and the metric and the log
//! say so. `app` starts it, before anybody can connect.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::Service;
use crate::auth::Revocation;
use crate::ids::UserId;
use crate::store::StoreError;
use crate::store::revocations::{RevocationHorizon, RevocationRow};

/// How often to look: twice within the second that a revocation may take.
const EVERY: Duration = Duration::from_millis(400);

/// The least time between two looks: revoking many, one by one, makes a steady rate of looks.
const GAP: Duration = Duration::from_millis(20);

/// How long a look may take before what is known counts as old.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the whole list is read: as long as lifting one may take.
const ALL_EVERY: Duration = Duration::from_secs(10);

/// For how long after a revocation answers are looked for: one may have been asked for in the second that it takes to arrive
/// everywhere.
const STOP_FOR: Duration = Duration::from_secs(2);

/// Answers stopped in one go.
const STOP_AT_ONCE: u32 = 200;

/// Makes the watch look.
#[derive(Clone, Debug, Default)]
pub struct RevocationBell(Arc<Notify>);

impl RevocationBell {
    /// Something may have been revoked.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// The task that looks.
#[derive(Debug)]
pub struct RevocationWatch {
    service: Weak<Service>,
    bell: RevocationBell,
    horizon: RevocationHorizon,
    all_due: Instant,
    /// Until when answers of those who were revoked are looked for.
    stop_until: Instant,
    fresh: Freshness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    Fresh,
    Stale,
}

impl RevocationWatch {
    /// Reads the whole list, and is ready to look for what comes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start(service: &Arc<Service>) -> Result<Self, StoreError> {
        let (rows, horizon) = service.store.revocations(None).await?;
        service
            .auth
            .revocations()
            .add(rows.into_iter().map(known).collect());
        service.metrics.refusals.revocations_are_fresh();
        let now = Instant::now();
        Ok(Self {
            service: Arc::downgrade(service),
            bell: service.revocations.clone(),
            horizon,
            all_due: now + ALL_EVERY,
            // Somebody may have been revoked while no process was there.
            stop_until: now + STOP_FOR,
            fresh: Freshness::Fresh,
        })
    }

    /// Looks until the service is gone.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.bell.0.notified() => {}
                () = sleep(EVERY) => {}
            }
            let Some(service) = self.service.upgrade() else {
                return;
            };
            self.look(&service).await;
            if Instant::now() < self.stop_until {
                stop_runs(&service).await;
            }
            drop(service);
            sleep(GAP).await;
        }
    }

    async fn look(&mut self, service: &Service) {
        let all = Instant::now() >= self.all_due;
        let since = (!all).then_some(&self.horizon);
        let read = timeout(PATIENCE, service.store.revocations(since)).await;
        let (rows, horizon) = match read.unwrap_or_else(|_| Err(StoreError::too_late())) {
            Ok(read) => read,
            Err(error) => return self.note_stale(service, &error),
        };
        self.note_fresh(service);
        self.horizon = horizon;
        let rows = rows.into_iter().map(known).collect();
        let revocations = service.auth.revocations();
        let new = if all {
            self.all_due = Instant::now() + ALL_EVERY;
            revocations.replace(rows)
        } else {
            revocations.add(rows)
        };
        self.spread(service, &new);
    }

    /// Wakes the connections that something new concerns: each checks its own token.
    fn spread(&mut self, service: &Service, new: &[Revocation]) {
        for revocation in new {
            let (Revocation::User { user, .. } | Revocation::Token { user: Some(user), .. }) = revocation
            else {
                service.hub.ring_all();
                continue;
            };
            if let Ok(user) = UserId::new(user) {
                service.hub.ring(&user);
            }
            if matches!(revocation, Revocation::User { .. }) {
                self.stop_until = Instant::now() + STOP_FOR;
            }
        }
        if !new.is_empty() {
            tracing::info!(revocations = new.len(), "tokens were revoked");
        }
    }

    fn note_fresh(&mut self, service: &Service) {
        service.metrics.refusals.revocations_are_fresh();
        if self.fresh == Freshness::Stale {
            tracing::info!("what was revoked is known again");
        }
        self.fresh = Freshness::Fresh;
    }

    fn note_stale(&mut self, service: &Service, error: &StoreError) {
        service.metrics.refusals.revocations_are_stale();
        if self.fresh == Freshness::Fresh {
            tracing::warn!(error = %error, "what was revoked cannot be read; what is known goes on to count");
        }
        self.fresh = Freshness::Stale;
    }
}

/// Stops answers that were asked for by those who were revoked since, on whichever process they are.
async fn stop_runs(service: &Service) {
    let runs = match timeout(PATIENCE, service.store.runs_of_revoked(STOP_AT_ONCE)).await {
        Ok(Ok(runs)) => runs,
        Ok(Err(error)) => {
            return tracing::warn!(error = %error, "answers of revoked users could not be looked for");
        }
        Err(_) => return,
    };
    for (key, run) in runs {
        // Each process does it; who comes second finds it stopped.
        if let Err(refusal) = service.cancel(&key, Some(run)).await {
            tracing::warn!(
                code = refusal.code.as_str(),
                "an answer of a revoked user could not be stopped"
            );
        }
    }
}

/// A row as what it means.
fn known(row: RevocationRow) -> Revocation {
    match (row.token_id, row.subject) {
        (Some(token), user) => Revocation::Token { token, user },
        (None, Some(user)) => Revocation::User {
            user,
            issued_before: row.issued_before,
        },
        (None, None) => Revocation::Everybody {
            issued_before: row.issued_before,
        },
    }
}
