//! Brings services' notifications to the users who are connected here.
//!
//! A look asks what became visible since the snapshot of the look before, so a row whose transaction commits late is found
//! like any other. Looks are made on a hint and, slowly, without one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::ids::UserId;
use crate::notify::hub::Hub;
use crate::notify::mailbox::Signal;
use crate::protocol::server::Pushed;
use crate::store::notifications::PendingNotification;
use crate::store::{Store, StoreError};

/// The most rows that one look takes; where there are more, the users concerned read what is pending for them.
const LIMIT: u32 = 2000;

/// The task that looks for new notifications.
#[derive(Debug)]
pub struct Inbox {
    hub: Arc<Hub>,
    store: Store,
    poll: Duration,
    bell: Arc<Notify>,
}

/// Makes the inbox look.
#[derive(Clone, Debug)]
pub struct InboxBell(Arc<Notify>);

impl InboxBell {
    /// Rows were inserted.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// A row as its frame's content.
pub fn pushed(row: PendingNotification) -> Pushed<'static> {
    Pushed {
        content: row.content.into(),
        timestamp: row.created_at,
        notification_id: row.notification_id,
        kind: row.kind.into(),
        title: row.title.map(Into::into),
        data: row.data.map(std::borrow::Cow::Owned),
        priority: row.priority.into(),
        created_at: row.created_at,
        session_id: row.session_id,
        seq: None,
        message_id: None,
        replay: false,
    }
}

impl Inbox {
    /// An inbox and its bell. `poll`: how often to look without a hint.
    pub fn new(hub: Arc<Hub>, store: Store, poll: Duration) -> (InboxBell, Self) {
        let bell = Arc::new(Notify::new());
        (
            InboxBell(Arc::clone(&bell)),
            Self {
                hub,
                store,
                poll,
                bell,
            },
        )
    }

    /// Looks until the task is dropped.
    pub async fn run(self) {
        let mut snapshot: Option<String> = None;
        loop {
            let result = match &snapshot {
                Some(since) => self.look(since).await,
                None => self.start().await,
            };
            match result {
                Ok(next) => snapshot = Some(next),
                Err(error) => {
                    tracing::warn!(error = %error, "notifications could not be looked for; trying again");
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    continue;
                }
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = tokio::time::sleep(self.poll) => {}
            }
        }
    }

    /// The first snapshot. Users who connected before it read what was pending at their connect, which may be older.
    async fn start(&self) -> Result<String, StoreError> {
        let snapshot = self.store.notification_snapshot().await?;
        for user in self.hub.connected_users() {
            self.hub.resync(&user);
        }
        Ok(snapshot)
    }

    async fn look(&self, since: &str) -> Result<String, StoreError> {
        let users = self.hub.connected_users();
        let (rows, next) = self.store.notifications_since(since, &users, LIMIT).await?;
        // Whoever connected during the look was not looked for, and may have read what is pending before a row came.
        let asked: HashSet<&UserId> = users.iter().collect();
        for user in self.hub.connected_users() {
            if !asked.contains(&user) {
                self.hub.resync(&user);
            }
        }
        if rows.len() >= LIMIT as usize {
            for user in users {
                self.hub.resync(&user);
            }
            return Ok(next);
        }
        for row in rows {
            let user = row.user_id.clone();
            self.hub
                .post(&user, &Signal::Notification(Arc::new(pushed(row))), None);
        }
        Ok(next)
    }
}
