//! Brings services' notifications to the users who are connected here.
//!
//! A look asks what became visible since the snapshot of the look before, so a row whose transaction commits late is found
//! like any other. Looks are made on a hint and, every 100 ms, without one: of the transactions that insert at the same
//! time only one sends a hint. A look fetches ids only; the rows are read for those who are connected.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Feed;
use crate::ids::{NotificationId, UserId};
use crate::metrics::Metrics;
use crate::notify::mailbox::{Broadcast, Signal};
use crate::protocol::server::Pushed;
use crate::store::notifications::{Horizon, Look, Lookout, PendingNotification};
use crate::store::{StoreError, in_time};

/// The most that one look takes; when more happened, everybody reads what is pending for him.
const LIMIT: u32 = 20_000;

/// Rows read, and put into conversations, at a time.
const BATCH: usize = 500;

/// The least time between two looks, so that a flood of hints makes a steady rate of looks. At 1,000 inserts a second the CPU
/// time of node and Postgres together was 6.9 s in 12 s with 1 ms, 6.2 with 2, 5.7 with 3, 5.5 with 5, and half of the rows were there
/// after 4.5, 4.8, 6.5, 8.7 ms (medians of five runs, two cores); what 32 services can insert was the same with all.
const GAP: Duration = Duration::from_millis(2);

/// After a failure.
const AGAIN: Duration = Duration::from_millis(250);

/// The task that looks for new notifications.
#[derive(Debug)]
pub struct Inbox {
    feed: Feed,
    poll: Duration,
    bell: Arc<Notify>,
    metrics: Metrics,
    /// Rung when rows wait to be put into their conversations.
    waiting: Notify,
}

/// Makes the inbox look.
#[derive(Clone, Debug)]
pub struct InboxBell(Arc<Notify>);

impl InboxBell {
    /// Something happened to notifications.
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
    pub fn new(feed: Feed, poll: Duration, metrics: Metrics) -> (InboxBell, Self) {
        let bell = Arc::new(Notify::new());
        let inbox = Self {
            feed,
            poll,
            bell: Arc::clone(&bell),
            metrics,
            waiting: Notify::new(),
        };
        (InboxBell(bell), inbox)
    }

    /// Looks until the task is dropped. Conversations are written to beside it: one that cannot be must hold up nobody's
    /// notifications.
    pub async fn run(self) {
        tokio::join!(self.look_on(), self.converse_on());
    }

    async fn look_on(&self) {
        let mut lookout = self.feed.store.lookout();
        let mut horizon: Option<Horizon> = None;
        loop {
            let result = match &horizon {
                Some(since) => in_time(self.look(&mut lookout, since)).await,
                None => in_time(self.start(&mut lookout)).await,
            };
            match result {
                Ok(next) => horizon = Some(next),
                Err(error) => {
                    tracing::warn!(error = %error, "notifications could not be looked for; trying again");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            }
            tokio::time::sleep(GAP).await;
            tokio::select! {
                () = self.bell.notified() => {}
                () = tokio::time::sleep(self.poll) => {}
            }
        }
    }

    /// The first horizon. Users who connected before it read what was pending at their connect, which may be older.
    async fn start(&self, lookout: &mut Lookout) -> Result<Horizon, StoreError> {
        let horizon = lookout.horizon().await?;
        self.resync_all();
        Ok(horizon)
    }

    fn resync_all(&self) {
        for user in self.feed.hub.connected_users() {
            self.feed.hub.resync(&user);
        }
    }

    async fn look(&self, lookout: &mut Lookout, since: &Horizon) -> Result<Horizon, StoreError> {
        let look = lookout.look(since, LIMIT).await?;
        if look.for_context {
            self.waiting.notify_one();
        }
        if look.complete {
            self.deliver(lookout, &look).await?;
            self.clear(&look);
        } else {
            self.resync_all();
        }
        Ok(look.next)
    }

    /// Reads and hands over the rows of those who are connected. Whoever connects after this look at the hub reads what is
    /// pending after that, and finds these rows there.
    async fn deliver(&self, lookout: &mut Lookout, look: &Look) -> Result<(), StoreError> {
        let hub = &self.feed.hub;
        let wanted: Vec<NotificationId> = look
            .new
            .iter()
            .filter(|(user, _)| hub.is_connected(user))
            .map(|(_, id)| *id)
            .collect();
        for ids in wanted.chunks(BATCH) {
            for row in lookout.deliverable(ids).await? {
                let user = row.user_id.clone();
                // The clocks of two machines: a negative age is none.
                let age = self.feed.now().0 - row.due_at.0;
                self.metrics
                    .deliveries
                    .delivered(Duration::try_from(age).unwrap_or_default());
                hub.post(
                    &user,
                    &Signal::Notification(Arc::new(Broadcast::new(pushed(row)))),
                    None,
                );
            }
        }
        Ok(())
    }

    /// Tells what was acknowledged: one signal for each acknowledgement.
    fn clear(&self, look: &Look) {
        let mut acks: HashMap<(&UserId, &str), Vec<NotificationId>> = HashMap::new();
        for (user, by, id) in &look.cleared {
            acks.entry((user, by)).or_default().push(*id);
        }
        for ((user, _), ids) in acks {
            self.feed.hub.post(user, &Signal::Cleared(Arc::from(ids)), None);
        }
    }

    /// Puts what waits into its conversations, as often as a look finds some.
    async fn converse_on(&self) {
        loop {
            self.waiting.notified().await;
            if let Err(error) = in_time(self.put_into_context()).await {
                tracing::warn!(error = %error, "notifications could not be put into conversations; trying again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn put_into_context(&self) -> Result<(), StoreError> {
        let grown = self
            .feed
            .store
            .put_into_context(u32::try_from(BATCH).unwrap_or(u32::MAX))
            .await?;
        if grown.len() >= BATCH {
            self.waiting.notify_one();
        }
        for (session, watchers) in grown {
            self.feed.changed(session, &watchers);
        }
        Ok(())
    }
}
