//! Writes who is connected here, behind the connections, for `agent.live_connections`.
//!
//! Connections note where they are as they enter and leave; once a second what changed goes to the store in one statement.
//! Refuses to slow a connection down: noting is a look-up in memory. `ws` notes, `app` starts the task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ids::{ConnectionId, NodeId};
use crate::store::connections::Presence;
use crate::store::{Store, in_time};

/// How often what changed is written: a person who looks does not notice, and a reconnecting crowd costs a few statements.
const EVERY: Duration = Duration::from_secs(1);

/// Connections written in one statement.
const AT_ONCE: usize = 1000;

type Changes = HashMap<ConnectionId, Option<Presence>>;

/// What became of connections since it was last written: the newest word on each, `None` for gone.
#[derive(Clone, Debug, Default)]
pub struct PresenceBook(Arc<Mutex<Changes>>);

impl PresenceBook {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is here now.
    pub fn is_here(&self, connection: ConnectionId, presence: Presence) {
        self.changes().insert(connection, Some(presence));
    }

    /// A connection is gone.
    pub fn is_gone(&self, connection: ConnectionId) {
        self.changes().insert(connection, None);
    }

    fn take(&self) -> Vec<(ConnectionId, Option<Presence>)> {
        std::mem::take(&mut *self.changes()).into_iter().collect()
    }

    /// Takes back what could not be written, unless there is newer word.
    fn put_back(&self, unwritten: &[(ConnectionId, Option<Presence>)]) {
        let mut changes = self.changes();
        for (connection, presence) in unwritten {
            changes.entry(*connection).or_insert_with(|| presence.clone());
        }
    }
}

/// The task that writes.
#[derive(Debug)]
pub struct PresenceWriter {
    book: PresenceBook,
    store: Store,
    node: NodeId,
}

impl PresenceWriter {
    /// A book and the task that writes it.
    pub fn new(store: Store, node: NodeId) -> (PresenceBook, Self) {
        let book = PresenceBook::default();
        (book.clone(), Self { book, store, node })
    }

    /// Writes until the task is dropped.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let changes = self.book.take();
            for (index, part) in changes.chunks(AT_ONCE).enumerate() {
                if let Err(error) = in_time(self.store.write_connections(self.node, part)).await {
                    tracing::warn!(error = %error, "who is connected could not be written; trying again");
                    self.book
                        .put_back(changes.get(index * AT_ONCE..).unwrap_or_default());
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SessionId, SessionKey, UserId};
    use crate::protocol::text::Timestamp;

    fn presence(user: &str) -> Presence {
        Presence {
            key: SessionKey {
                user_id: UserId::new(user).unwrap(),
                session_id: SessionId::new(),
            },
            device: None,
            since: Timestamp(time::OffsetDateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn what_could_not_be_written_does_not_overwrite_newer_word() {
        let book = PresenceBook::default();
        let (stays, leaves) = (ConnectionId::new(), ConnectionId::new());
        book.is_here(stays, presence("a"));
        book.is_here(leaves, presence("a"));
        let unwritten = book.take();
        book.is_gone(leaves);
        book.put_back(&unwritten);
        let changes: Changes = book.take().into_iter().collect();
        assert!(changes[&stays].is_some());
        assert_eq!(changes[&leaves], None);
        assert!(book.take().is_empty());
    }
}
