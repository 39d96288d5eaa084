//! Keeps this process's claims alive, and looks for what others left behind.
//!
//! Only the database's clock is compared. A process that has just regained the database does not take over anything before
//! it has held its own lease for a whole term: after an outage everybody's lease has run out, and everybody is alive.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Runs;
use crate::store::nodes::LeaseKeeper;
use crate::store::{Store, StoreError};

/// How long a dead process's row is kept for those who look.
const DEAD_NODES_KEPT: Duration = Duration::from_hours(1);

/// How long the pieces of a finished answer are kept: the message is the truth by then.
const CHUNKS_KEPT: Duration = Duration::from_mins(5);

/// How often cancellations are looked for without a hint, while there are runs.
const CANCEL_POLL: Duration = Duration::from_millis(500);

/// The task that renews, reaps and sweeps.
#[derive(Debug)]
pub struct Lease {
    runs: Arc<Runs>,
    keeper: LeaseKeeper,
    held_since: Option<Instant>,
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Lease {
    /// The lease of a process that has just registered.
    pub fn new(runs: Arc<Runs>) -> Self {
        let keeper = runs.context.store.lease_keeper(runs.context.node);
        Self {
            runs,
            keeper,
            held_since: Some(Instant::now()),
        }
    }

    /// Renews, reaps and sweeps until the task is dropped. What has to wait for the database's pool is done beside the renewals.
    pub async fn run(self) {
        let runs = Arc::clone(&self.runs);
        tokio::join!(self.hold(), tend(&runs));
    }

    async fn hold(mut self) {
        let policy = &self.runs.policy;
        let mut renew = every(policy.lease / 3);
        let mut reap = every(policy.reaper_interval);
        loop {
            tokio::select! {
                _ = renew.tick() => self.renew().await,
                _ = reap.tick() => self.reap(),
            }
        }
    }

    async fn renew(&mut self) {
        let context = &self.runs.context;
        let term = self.runs.policy.lease;
        let renewal = timeout(term / 3, self.keeper.renew(term)).await;
        match renewal.unwrap_or_else(|_| Err(StoreError::too_late())) {
            Ok(true) => {
                self.held_since.get_or_insert_with(Instant::now);
            }
            Ok(false) => {
                tracing::error!(node = %context.node, "this process was given up for dead; the server stops");
                context.tasks.stop().cancel();
            }
            Err(error) => {
                tracing::warn!(error = %error, "the lease could not be renewed");
                self.held_since = None;
            }
        }
    }

    /// Looks for what dead processes left behind, once this one has held its own lease for a whole term.
    fn reap(&self) {
        let settled = self
            .held_since
            .is_some_and(|since| since.elapsed() >= self.runs.policy.lease);
        if settled {
            self.runs.reap();
        }
    }
}

/// Looks for cancellations, and sweeps.
async fn tend(runs: &Runs) {
    let mut sweep = every(Duration::from_mins(1));
    let mut cancel = every(CANCEL_POLL);
    loop {
        tokio::select! {
            _ = sweep.tick() => sweep_old_rows(&runs.context.store).await,
            _ = cancel.tick() => runs.look_for_cancellation(None).await,
        }
    }
}

async fn sweep_old_rows(store: &Store) {
    let swept = async {
        while store.sweep_chunks(CHUNKS_KEPT, 5000).await? >= 5000 {}
        while store.sweep_reservations(5000).await? >= 5000 {}
        store.sweep_nodes(DEAD_NODES_KEPT).await
    };
    if let Err(error) = swept.await {
        tracing::warn!(error = %error, "old rows could not be removed yet");
    }
}
