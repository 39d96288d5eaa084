//! Follows hints: which sessions to look at again, each by one look at a time, several at once.
//!
//! Hints for a session that is being looked at make it be looked at once more, however many come.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::Feed;
use crate::ids::SessionId;
use crate::store::in_time;

/// How many sessions are looked at at once: each takes a connection of the pool.
const AT_ONCE: usize = 6;

#[derive(Debug, Default)]
struct Dirty {
    sessions: Mutex<HashSet<SessionId>>,
    bell: Notify,
}

/// Where hints are left. A set, so that it holds no more than there are rooms and hints between two looks.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Dirty>);

/// The other end of a [`Queue`].
#[derive(Debug)]
pub(super) struct Receiver(Arc<Dirty>);

pub(super) fn queue() -> (Queue, Receiver) {
    let dirty = Arc::new(Dirty::default());
    (Queue(Arc::clone(&dirty)), Receiver(dirty))
}

impl Queue {
    /// This session should be looked at.
    pub(super) fn session(&self, session: SessionId) {
        self.0
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session);
        self.0.bell.notify_one();
    }
}

impl Receiver {
    fn take(&self) -> HashSet<SessionId> {
        std::mem::take(&mut *self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The task that follows hints.
#[derive(Debug)]
pub struct Follower {
    feed: Feed,
    dirty: Receiver,
}

impl Follower {
    pub(super) fn new(feed: Feed, dirty: Receiver) -> Self {
        Self { feed, dirty }
    }

    /// Looks at what hints name until the task is dropped.
    pub async fn run(self) {
        let mut waiting: HashSet<SessionId> = HashSet::new();
        let mut under_way: HashSet<SessionId> = HashSet::new();
        let mut looks = FuturesUnordered::new();
        loop {
            waiting.extend(self.dirty.take());
            let next: Vec<SessionId> = waiting
                .iter()
                .filter(|session| !under_way.contains(*session))
                .take(AT_ONCE.saturating_sub(looks.len()))
                .copied()
                .collect();
            for session in next {
                waiting.remove(&session);
                under_way.insert(session);
                looks.push(self.look(session));
            }
            tokio::select! {
                Some((session, ok)) = looks.next() => {
                    under_way.remove(&session);
                    if !ok {
                        waiting.insert(session);
                    }
                }
                () = self.dirty.0.bell.notified() => {}
            }
        }
    }

    async fn look(&self, session: SessionId) -> (SessionId, bool) {
        let Err(error) = in_time(self.feed.refresh(session)).await else {
            return (session, true);
        };
        tracing::warn!(error = %error, %session, "a session could not be looked at; trying again");
        tokio::time::sleep(Duration::from_millis(250)).await;
        (session, !error.is_retryable())
    }
}
