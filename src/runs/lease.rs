//! Keeps this process's claims alive and takes over those of processes whose lease ran out.
//!
//! Only the database's clock is compared. A process that has just regained the database does not take over anything before
//! it has held its own lease for a whole term: after an outage everybody's lease has run out, and everybody is alive.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Runs;
use super::execute::{release, store_answer};
use crate::log::{AnswerState, Claimed};
use crate::protocol::error::ErrorCode;
use crate::store::StoreError;
use crate::store::append::NewAnswer;
use crate::store::runs::TakenOver;

/// How long a dead process's row is kept for those who look.
const DEAD_NODES_KEPT: Duration = Duration::from_secs(3600);

/// How long the pieces of a finished answer are kept: the message is the truth by then.
const CHUNKS_KEPT: Duration = Duration::from_secs(300);

/// After this many leases, a run that is this process's in the store but not in memory counts as orphaned: the connection
/// broke when it was claimed, and nobody learned of it.
const STRAY_AFTER_LEASES: u32 = 2;

/// How often cancellations are looked for without a hint, while there are runs.
const CANCEL_POLL: Duration = Duration::from_millis(500);

/// The most that is taken over or removed at a time.
const BATCH: u32 = 50;

/// What one look at what the dead left behind came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaped {
    /// Everything that can be done now.
    All,
    /// As much as one look takes: there may be more.
    Full,
}

/// The task that renews, reaps and sweeps.
#[derive(Debug)]
pub struct Lease {
    runs: Arc<Runs>,
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
        Self {
            runs,
            held_since: Some(Instant::now()),
        }
    }

    /// Renews, reaps and sweeps until the task is dropped.
    pub async fn run(mut self) {
        let policy = &self.runs.policy;
        let mut renew = every(policy.lease / 3);
        let mut reap = every(policy.reaper_interval);
        let mut sweep = every(Duration::from_secs(60));
        let mut cancel = every(CANCEL_POLL);
        loop {
            tokio::select! {
                _ = renew.tick() => self.renew().await,
                // Where there may be more, at once, but by way of the loop: renewing the lease comes in between.
                _ = reap.tick() => if self.reap().await == Reaped::Full { reap.reset_immediately() },
                _ = sweep.tick() => self.sweep().await,
                _ = cancel.tick() => self.runs.look_for_cancellation(None).await,
            }
        }
    }

    async fn renew(&mut self) {
        let context = &self.runs.context;
        match context
            .store
            .renew_node(context.node, self.runs.policy.lease)
            .await
        {
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

    async fn reap(&self) -> Reaped {
        let settled = self
            .held_since
            .is_some_and(|since| since.elapsed() >= self.runs.policy.lease);
        if !settled {
            return Reaped::All;
        }
        let orphans = match self
            .runs
            .context
            .store
            .orphans(
                self.runs.context.node,
                &self.runs.executing(),
                self.runs.policy.lease * STRAY_AFTER_LEASES,
                BATCH,
            )
            .await
        {
            Ok(orphans) => orphans,
            Err(error) => {
                tracing::warn!(error = %error, "orphaned runs could not be looked for");
                return Reaped::All;
            }
        };
        let mut reaped = if orphans.len() >= BATCH as usize {
            Reaped::Full
        } else {
            Reaped::All
        };
        for orphan in orphans
            .into_iter()
            .filter(|orphan| !self.runs.is_running(orphan.run.run_id))
        {
            if let Err(error) = self.recover(&orphan.run).await {
                tracing::warn!(error = %error, run = %orphan.run.run_id, "an orphaned run could not be recovered yet");
                reaped = Reaped::All;
            }
        }
        reaped
    }

    /// Takes a dead process's run over and ends it truthfully: what was stored stands as incomplete; where nothing was,
    /// somebody tries again.
    async fn recover(&self, orphan: &Claimed) -> Result<(), StoreError> {
        let context = &self.runs.context;
        let Some(taken) = context.store.take_over_run(context.node, orphan).await? else {
            return Ok(());
        };
        let run = taken.run.clone();
        let text = context
            .store
            .chunk_text(&run.key, run.run_id, run.attempt, 0)
            .await?;
        let room = context.hub.room(&run.key, std::time::Instant::now());
        tracing::warn!(run = %run.run_id, attempt = run.attempt, text_bytes = text.len(), "recovering a dead process's run");
        match verdict(&taken, &text, self.runs.policy.max_attempts) {
            Some((state, error)) => {
                let answer = recovered(run, text, state, error);
                Box::pin(store_answer(&self.runs, &room, answer, None)).await;
                self.runs.look_for_work();
            }
            None => release(&self.runs, &room, &run).await,
        }
        Ok(())
    }

    async fn sweep(&self) {
        let store = &self.runs.context.store;
        let swept = async {
            while store.sweep_chunks(CHUNKS_KEPT, 5000).await? >= 5000 {}
            store.sweep_nodes(DEAD_NODES_KEPT).await
        };
        if let Err(error) = swept.await {
            tracing::warn!(error = %error, "old rows could not be removed yet");
        }
    }
}

/// How a recovered run ends; `None` to try again.
fn verdict(taken: &TakenOver, text: &str, max_attempts: u32) -> Option<(AnswerState, Option<ErrorCode>)> {
    if taken.cancel_requested {
        return Some((AnswerState::Cancelled, None));
    }
    if !text.is_empty() {
        return Some((AnswerState::Incomplete, Some(ErrorCode::Internal)));
    }
    (taken.run.attempt >= max_attempts).then_some((AnswerState::Failed, Some(ErrorCode::Internal)))
}

fn recovered(run: Claimed, text: String, state: AnswerState, error: Option<ErrorCode>) -> NewAnswer {
    NewAnswer {
        run,
        content: text.into(),
        state,
        model: None,
        finish_reason: None,
        error,
        generation_id: None,
        usage: None,
        prompt: None,
        first_token_at: None,
        place: None,
    }
}
