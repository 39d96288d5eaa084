//! Writes who is connected here, behind the connections, for `agent.live_connections`.
//!
//! Connections note where they are as they enter and leave; once a second what changed goes to the store in one statement.
//! Refuses to slow a connection down: noting is a look-up in memory. `ws` notes, `app` starts the task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Feed;
use crate::ids::ConnectionId;
use crate::notify::notifier::Hint;
use crate::protocol::close::CloseReason;
use crate::store::connections::Presence;
use crate::store::in_time;

/// How often what changed is written: a person who looks does not notice, and a reconnecting crowd costs a few statements.
const EVERY: Duration = Duration::from_secs(1);

/// Connections written in one statement.
const AT_ONCE: usize = 1000;

type Changes = HashMap<ConnectionId, Option<Presence>>;

/// What became of connections since it was last written: the newest word on each, `None` for gone.
#[derive(Clone, Debug, Default)]
pub struct PresenceBook(Arc<Book>);

#[derive(Debug, Default)]
struct Book {
    changes: Mutex<Changes>,
    bell: Notify,
}

impl PresenceBook {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.0.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is here now.
    pub fn is_here(&self, connection: ConnectionId, presence: Presence) {
        self.changes().insert(connection, Some(presence));
    }

    /// A connection is gone.
    pub fn is_gone(&self, connection: ConnectionId) {
        self.changes().insert(connection, None);
    }

    /// Another process saw that a connection here has to end.
    pub fn look_again(&self) {
        self.0.bell.notify_one();
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

/// The task that writes, and ends what only all processes together can see: too many connections of one user, and a device
/// that connected again elsewhere.
#[derive(Debug)]
pub struct PresenceWriter {
    book: PresenceBook,
    feed: Feed,
    max_per_user: u32,
}

impl PresenceWriter {
    /// A book, and the task that writes it. `max_per_user`: connections of one user; 0 = any number.
    pub fn new(feed: Feed, max_per_user: u32) -> (PresenceBook, Self) {
        let book = PresenceBook::default();
        let writer = Self {
            book: book.clone(),
            feed,
            max_per_user,
        };
        (book, writer)
    }

    /// Writes until the task is dropped.
    pub async fn run(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => self.write().await,
                () = self.book.0.bell.notified() => self.end_surplus(None).await,
            }
        }
    }

    async fn write(&self) {
        let changes = self.book.take();
        for (index, part) in changes.chunks(AT_ONCE).enumerate() {
            let written = in_time(self.feed.store.write_connections(self.feed.node, part)).await;
            if let Err(error) = written {
                tracing::warn!(error = %error, "who is connected could not be written; trying again");
                self.book
                    .put_back(changes.get(index * AT_ONCE..).unwrap_or_default());
                return;
            }
            let users: Vec<String> = part
                .iter()
                .filter_map(|(_, presence)| Some(presence.as_ref()?.key.user_id.as_str().to_owned()))
                .collect();
            if !users.is_empty() {
                self.end_surplus(Some(&users)).await;
            }
        }
    }

    /// Ends connections here that have to end, and tells other processes to look at theirs.
    async fn end_surplus(&self, users: Option<&[String]>) {
        let Feed {
            store,
            node,
            hub,
            notifier,
            ..
        } = &self.feed;
        let surplus = match in_time(store.surplus_connections(*node, users, self.max_per_user)).await {
            Ok(surplus) => surplus,
            Err(error) => {
                tracing::warn!(error = %error, "connections could not be counted over all nodes");
                return;
            }
        };
        for surplus in surplus {
            if surplus.node != *node {
                notifier.send(Hint::Connections(surplus.node));
            } else if surplus.is_replaced {
                hub.close(surplus.connection, CloseReason::Replaced);
            } else {
                hub.close(surplus.connection, CloseReason::TooManyConnections);
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
