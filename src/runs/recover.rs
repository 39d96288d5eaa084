//! Takes over the runs of processes whose lease ran out, and ends them truthfully.
//!
//! One task at a time, beside the loop that renews this process's own lease: a recovery may have to wait for the database,
//! the lease may not. `lease` starts it once this process has held its own lease for a whole term.

use std::sync::Arc;

use super::Runs;
use super::execute::{release, store_answer};
use crate::log::{AnswerState, Claimed};
use crate::protocol::error::ErrorCode;
use crate::store::append::NewAnswer;
use crate::store::runs::TakenOver;
use crate::store::{StoreError, in_time};

/// After this many leases, a run that is this process's in the store but not in memory counts as orphaned: the connection
/// broke when it was claimed, and nobody learned of it.
const STRAY_AFTER_LEASES: u32 = 2;

/// The most that is looked for at a time.
const BATCH: u32 = 50;

impl Runs {
    /// Starts recovering what the dead left behind, unless that is under way.
    pub(super) fn reap(self: &Arc<Self>) {
        let Ok(alone) = Arc::clone(&self.recovering).try_lock_owned() else {
            return;
        };
        let runs = Arc::clone(self);
        self.context.tasks.spawn("recover", async move {
            if let Err(error) = runs.recover_all().await {
                tracing::warn!(error = %error, "a dead process's runs could not all be recovered yet");
            }
            drop(alone);
        });
    }

    async fn recover_all(self: &Arc<Self>) -> Result<(), StoreError> {
        loop {
            let stray_after = self.policy.lease * STRAY_AFTER_LEASES;
            let executing = self.executing();
            let orphans = in_time(self.context.store.orphans(
                self.context.node,
                &executing,
                stray_after,
                BATCH,
            ))
            .await?;
            let full = orphans.len() >= BATCH as usize;
            for orphan in orphans {
                // It may have been claimed here since the executing ones were counted.
                if !self.is_running(orphan.run_id) {
                    let mark = self.mark_running(&orphan);
                    self.recover(&orphan).await?;
                    drop(mark);
                }
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Takes a dead process's run over and ends it truthfully: what was stored stands as incomplete; where nothing was,
    /// somebody tries again.
    async fn recover(&self, orphan: &Claimed) -> Result<(), StoreError> {
        let context = &self.context;
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
        match verdict(&taken, &text, self.policy.max_attempts) {
            Some((state, error)) => {
                let answer = recovered(run, text, state, error);
                Box::pin(store_answer(self, &room, answer, None)).await;
                self.look_for_work();
            }
            None => release(self, &room, &run).await,
        }
        Ok(())
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
