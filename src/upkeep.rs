//! Keeps the database in order beside the serving: removes what is older than the operator keeps and what has ended by itself,
//! and writes the search index behind the messages.
//!
//! Every process does it; the store sees to it that two do not do the same. Small batches with a breath between them, so
//! that nobody who writes has to wait. Refuses to decide what is too old: that is a setting. `app` starts it.

use std::time::Duration;

use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::store::removal::Pruned;
use crate::store::{Store, StoreError};

/// Messages indexed at most in one go, each about 50 µs of the database's time (measured): a tenth of a core.
const INDEX_AT_ONCE: u32 = 2000;

/// How often the search index is brought forward.
const INDEX_EVERY: Duration = Duration::from_secs(1);

/// How often what has ended by itself is removed: two statements that find little.
const CLEAR_EVERY: Duration = Duration::from_secs(30);

/// Rows removed at most in one transaction, which takes milliseconds.
const REMOVE_AT_ONCE: u32 = 1000;

/// The breath between two batches.
const BREATH: Duration = Duration::from_millis(20);

/// How often it is counted what waits: as often as most scrape.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// How long things are kept; `None` = for ever.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Messages, and sessions to which nothing was written; notifications whatever became of them.
    pub messages: Option<Duration>,
    /// Notifications that were acknowledged or expired.
    pub notifications: Option<Duration>,
    /// How often to look.
    pub interval: Duration,
}

/// Writes the search index until the task is dropped.
pub async fn index(store: Store) {
    loop {
        tokio::time::sleep(INDEX_EVERY).await;
        if let Err(error) = store.index_messages(INDEX_AT_ONCE).await {
            tracing::warn!(error = %error, "the search index could not be written; searches read the messages meanwhile");
        }
    }
}

/// Counts what waits for the operators until the task is dropped. A count that failed leaves the last one: that the database is
/// away shows elsewhere.
pub async fn count_waiting(store: Store, metrics: Metrics) {
    loop {
        match store.waiting_runs().await {
            Ok((waiting, oldest_seconds)) => metrics.runs_wait(waiting, oldest_seconds),
            Err(error) => tracing::debug!(error = %error, "what waits could not be counted"),
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

/// Removes tickets that nobody used, and revocations whose tokens have ended, until the task is dropped.
pub async fn clear_ended(store: Store) {
    loop {
        tokio::time::sleep(CLEAR_EVERY).await;
        if let Err(error) = store.sweep_tickets().await {
            tracing::warn!(error = %error, "tickets that nobody used could not be removed yet");
        }
        if let Err(error) = store.sweep_revocations().await {
            tracing::warn!(error = %error, "revocations that have ended could not be removed yet");
        }
    }
}

/// Removes what is too old until the task is dropped.
pub async fn retain(store: Store, feed: Feed, retention: Retention) {
    loop {
        // First a wait: a process that is restarted again and again does nothing else otherwise.
        tokio::time::sleep(retention.interval).await;
        match sweep(&store, &feed, retention).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => tracing::info!(
                messages = removed.messages,
                sessions = removed.sessions,
                notifications = removed.notifications,
                "removed what was too old"
            ),
            Err(error) => tracing::warn!(error = %error, "what is too old could not be removed yet"),
        }
    }
}

#[derive(Debug, Default)]
struct Sweep {
    messages: u64,
    sessions: u64,
    notifications: u64,
}

impl Sweep {
    fn is_empty(&self) -> bool {
        self.messages + self.sessions + self.notifications == 0
    }
}

/// Removes all there is to be removed now.
async fn sweep(store: &Store, feed: &Feed, retention: Retention) -> Result<Sweep, StoreError> {
    let mut removed = Sweep::default();
    if let Some(age) = retention.messages {
        loop {
            let pruned = store.prune_messages(age, REMOVE_AT_ONCE).await?;
            let messages = pruned.iter().map(|pruned| pruned.messages).sum::<u64>();
            removed.messages += messages;
            tell(feed, &pruned);
            if messages == 0 {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
        loop {
            let pruned = store.prune_sessions(age, REMOVE_AT_ONCE / 10).await?;
            removed.sessions += pruned.len() as u64;
            tell(feed, &pruned);
            if pruned.is_empty() {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
    }
    loop {
        let gone = store
            .prune_notifications(retention.notifications, retention.messages, REMOVE_AT_ONCE)
            .await?;
        removed.notifications += gone;
        if gone < u64::from(REMOVE_AT_ONCE) {
            return Ok(removed);
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Whoever shows such a session has to learn where it begins now, or that it is gone.
fn tell(feed: &Feed, pruned: &[Pruned]) {
    for pruned in pruned {
        feed.changed(pruned.session_id, &pruned.watchers);
    }
}
