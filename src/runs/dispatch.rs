//! Claims what waits when this process has room, fair between users. Woken by a hint or a freed place, and slowly by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Runs;
use crate::store::in_time;

/// The most that one claim takes.
const AT_ONCE: usize = 32;

/// The least time between two looks: a burst of wake-ups makes one.
const GAP: Duration = Duration::from_millis(20);

/// The task that claims.
#[derive(Debug)]
pub struct Dispatcher(Arc<Runs>);

impl Runs {
    /// Whether a run that ends may keep its place for its session's next.
    pub(super) fn may_chain(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && !self.crowded.load(Ordering::Relaxed)
    }
}

impl Dispatcher {
    /// A dispatcher of these runs.
    pub fn new(runs: Arc<Runs>) -> Self {
        Self(runs)
    }

    /// Claims until the task is dropped.
    pub async fn run(self) {
        loop {
            tokio::select! {
                () = self.0.work.notified() => {}
                () = tokio::time::sleep(self.0.policy.poll) => {}
            }
            self.claim().await;
            tokio::time::sleep(GAP).await;
        }
    }

    async fn claim(&self) {
        let runs = &self.0;
        let mut places = Vec::new();
        while places.len() < AT_ONCE {
            match runs.place() {
                Some(place) => places.push(place),
                None => break,
            }
        }
        let wanted = places.len();
        // Without a free place, whoever waits is assumed to be there until a look with free places finds nobody.
        if wanted == 0 {
            runs.crowded.store(true, Ordering::Relaxed);
            return;
        }
        let limit = u32::try_from(wanted).unwrap_or(u32::MAX);
        let claims = runs
            .context
            .store
            .claim_runs(runs.context.node, limit, runs.policy.max_runs_per_user);
        let claimed = match in_time(claims).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(error = %error, "waiting runs could not be claimed");
                return;
            }
        };
        let more = claimed.len() >= wanted;
        runs.crowded.store(more, Ordering::Relaxed);
        for ((run, watchers), place) in claimed.into_iter().zip(places) {
            runs.context.feed.tell(run.key.session_id, &watchers);
            runs.start(run, place);
        }
        if more {
            runs.look_for_work();
        }
    }
}
