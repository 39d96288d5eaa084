//! Keeps rooms in step with the store: opens them, takes commits, catches up on hints, mirrors answers written elsewhere.
//!
//! Every way in which a room learns something ends here: a commit of this process, a hint from another, the slow poll. All
//! of them do the same, look again, so a lost hint costs time and nothing else. Refuses to know sockets: connections look at
//! rooms. `app` starts its tasks; `ws`, `http` and `runs` call it.

mod follower;
mod inbox;
mod presence;

pub use follower::Follower;
pub use inbox::{Inbox, InboxBell, pushed};
pub use presence::{PresenceBook, PresenceWriter};

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::ids::{ConnectionId, NodeId, Seq, SessionId, SessionKey, UserId};
use crate::log::Message;
use crate::notify::hub::Hub;
use crate::notify::mailbox::Signal;
use crate::notify::notifier::{Hint, Notifier};
use crate::notify::room::Room;
use crate::protocol::text::Timestamp;
use crate::session::replay::Answer;
use crate::store::append::Commit;
use crate::store::sessions::{Creator, Known, Mail, Opener, Session, Watched};
use crate::store::{Store, StoreError, in_time};

/// How long a room that nobody watches is kept: a client that lost its connection is usually back by then.
const LINGER: Duration = Duration::from_secs(30);

/// Sessions compared in one query.
const POLL_AT_ONCE: usize = 5000;

/// Messages read at a time when a room catches up.
const PAGE: u32 = 200;

/// Keeps the rooms of this process in step with the store.
#[derive(Clone, Debug)]
pub struct Feed {
    hub: Arc<Hub>,
    store: Store,
    creator: Creator,
    opener: Opener,
    notifier: Notifier,
    node: NodeId,
    follow: follower::Queue,
    clock: Clock,
}

/// A room, and the session as it was when the room was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The room.
    pub room: Arc<Room>,
    /// Whether it existed before.
    pub resumed: bool,
    /// Whether notifications wait for the user, as far as opening the session has told.
    pub mail: Mail,
}

impl Opened {
    fn again(room: Arc<Room>, mail: Mail) -> Self {
        Self {
            room,
            resumed: true,
            mail,
        }
    }
}

impl Feed {
    /// A feed and the task that follows hints.
    pub fn new(
        hub: Arc<Hub>,
        store: Store,
        creator: Creator,
        opener: Opener,
        notifier: Notifier,
        node: NodeId,
        clock: Clock,
    ) -> (Self, Follower) {
        let (follow, receiver) = follower::queue();
        let feed = Self {
            hub,
            store,
            creator,
            opener,
            notifier,
            node,
            follow,
            clock,
        };
        (feed.clone(), Follower::new(feed, receiver))
    }

    /// Creates a session and opens its room; one that was made under the same id meanwhile is opened. `None` when the user has
    /// too many sessions.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(&self, key: &SessionKey) -> Result<Option<Opened>, StoreError> {
        let Some(mail) = self.creator.create(key).await? else {
            return self.open(key, None).await;
        };
        let room = self.hub.room(key, Instant::now());
        room.load(Seq::START, None);
        Ok(Some(Opened {
            room,
            resumed: false,
            mail,
        }))
    }

    /// Opens the room of a session for a client that has applied everything up to `after`. `None` when there is no such session
    /// of this user.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(&self, key: &SessionKey, after: Option<i64>) -> Result<Option<Opened>, StoreError> {
        loop {
            let room = self.hub.room(key, Instant::now());
            let busy = room.busy.lock().await;
            let mail = if room.is_loaded() && !room.is_deleted() {
                drop(busy);
                self.opener.mail(&key.user_id).await?
            } else {
                let Some(watched) = self.watch(key, after).await? else {
                    drop(busy);
                    if !room.has_local_run() {
                        self.hub.close_room(&room);
                    }
                    return Ok(None);
                };
                let session = watched.session;
                room.load(session.last_seq, session.title.as_deref().map(Arc::from));
                room.set_first(session.first_seq);
                room.remember(&watched.missed);
                self.mirror(&room, &session).await?;
                drop(busy);
                watched.mail
            };
            // It may have been given up meanwhile: then look again. From here on it is kept until the client is in it.
            if self
                .hub
                .find_room(key)
                .is_some_and(|known| Arc::ptr_eq(&known, &room) && room.hold(Instant::now()))
            {
                return Ok(Some(Opened::again(room, mail)));
            }
        }
    }

    /// Registers this process as a watcher of a session: together with others, or by itself where that could not be done or there
    /// may be no such session.
    async fn watch(&self, key: &SessionKey, after: Option<i64>) -> Result<Option<Watched>, StoreError> {
        if let Some(watched) = self.opener.open(key, after).await? {
            return Ok(Some(watched));
        }
        let session = self.store.watch_session(key, self.node).await?;
        Ok(session.map(|session| Watched {
            session,
            mail: Mail::Perhaps,
            missed: Vec::new(),
        }))
    }

    /// Takes a commit of this process: its room first, then the other processes.
    pub fn committed(&self, commit: &Commit) {
        let key = &commit.key;
        if let Some(room) = self.hub.find_room(key)
            && room.offer(Arc::clone(&commit.message))
        {
            self.follow.session(key.session_id);
        }
        self.tell(key.session_id, &commit.watchers);
        if let Some(node) = commit.interrupted {
            self.notifier.send(Hint::Cancel(node, key.session_id));
        }
    }

    /// A session changed beside the log: this process's room looks again, others are told.
    pub fn changed(&self, session: SessionId, watchers: &[NodeId]) {
        self.follow.session(session);
        self.tell(session, watchers);
    }

    /// A user was erased: this process's rooms of that user look again and find nothing.
    pub fn erased(&self, user: &UserId) {
        for room in self.hub.all_rooms() {
            if room.key().user_id == *user {
                self.follow.session(room.key().session_id);
            }
        }
    }

    /// A session was deleted: closes its room's connections, but for the one that did it, and tells the others.
    pub fn deleted(&self, key: &SessionKey, watchers: &[NodeId], by: Option<ConnectionId>) {
        if let Some(room) = self.hub.find_room(key) {
            room.delete(by);
            self.hub.close_room(&room);
        }
        self.tell(key.session_id, watchers);
    }

    /// Tells other processes that show a session to look again.
    pub fn tell(&self, session: SessionId, watchers: &[NodeId]) {
        self.notifier.session(watchers, self.node, session);
    }

    /// A hint: this session changed somewhere.
    pub fn hinted(&self, session: SessionId) {
        self.follow.session(session);
    }

    /// Now, as frames write it.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now())
    }

    /// Looks at the store and brings a room up to it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh(&self, session: SessionId) -> Result<(), StoreError> {
        let Some(room) = self.hub.find_room_by_id(session) else {
            return Ok(());
        };
        let _busy = room.busy.lock().await;
        if !room.is_loaded() {
            return Ok(());
        }
        let before = room.title();
        let Some(session) = self.store.find_session(room.key()).await? else {
            room.delete(None);
            self.hub.close_room(&room);
            return Ok(());
        };
        room.set_first(session.first_seq);
        // The log first: the title that the first question gives is no news, here as on the process that stored it.
        self.catch_up(&room, session.last_seq).await?;
        let title = session.title.as_deref().map(Arc::from);
        if !room.rename(before.as_ref(), title.as_ref()) {
            self.follow.session(session.session_id);
        }
        self.mirror(&room, &session).await
    }

    async fn catch_up(&self, room: &Room, upto: Seq) -> Result<(), StoreError> {
        while room.head() < upto {
            let page = self
                .store
                .messages_after(room.key(), room.head(), upto, PAGE)
                .await?;
            if page.is_empty() {
                return Ok(());
            }
            for message in page {
                room.offer(Arc::new(message));
            }
        }
        Ok(())
    }

    /// Brings the room's view of an answer that another process writes up to the stored chunks.
    async fn mirror(&self, room: &Room, session: &Session) -> Result<(), StoreError> {
        if room.has_local_run() {
            return Ok(());
        }
        // Read after the log was caught up: a run whose message is there is no longer in here.
        let before = room.mirrored();
        let active = match session.active_run {
            Some(_) => self.store.find_active_run(room.key()).await?,
            None => None,
        };
        let Some(active) = active else {
            room.mirror(None);
            // In progress elsewhere before, over now, and no message: it waits again.
            if let Some((run_id, attempt, _)) = before {
                room.post(&Signal::Run {
                    run_id,
                    state: "queued",
                    attempt,
                });
            }
            return Ok(());
        };
        let from = match before {
            Some((run, attempt, bytes)) if run == active.run_id && attempt == active.attempt => bytes,
            _ => 0,
        };
        let more = self
            .store
            .chunk_text(room.key(), active.run_id, active.attempt, from)
            .await?;
        let mut text = if from > 0 {
            room.answer().map(|answer| answer.text).unwrap_or_default()
        } else {
            String::new()
        };
        text.push_str(&more);
        room.mirror(Some(Answer {
            run_id: active.run_id,
            attempt: active.attempt,
            in_reply_to: active.query_id,
            query_seq: active.query_seq,
            message_id: active.answer_id,
            started_at: active.started_at,
            text,
        }));
        Ok(())
    }

    /// Gives up rooms that nobody has watched for a while, and frees memory that nobody needs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn housekeep(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut gone = Vec::new();
        for room in self.hub.all_rooms() {
            if room
                .empty_since()
                .is_none_or(|since| now.duration_since(since) < LINGER)
            {
                continue;
            }
            let _busy = room.busy.lock().await;
            let watched = room.is_loaded();
            if room.unload(now, LINGER) {
                self.hub.close_room(&room);
                if watched {
                    gone.push(room.key().clone());
                }
            }
        }
        for keys in gone.chunks(500) {
            self.store.unwatch_sessions(keys, self.node).await?;
        }
        // A room may have been opened again while its watcher was being removed: then register again.
        for key in &gone {
            if let Some(room) = self.hub.find_room(key).filter(|room| room.is_loaded()) {
                let _busy = room.busy.lock().await;
                self.store.watch_session(key, self.node).await?;
                self.follow.session(room.key().session_id);
            }
        }
        Ok(())
    }

    /// Lets quiet rooms give their memory back. To be called once a minute.
    pub fn rest(&self) {
        for room in self.hub.all_rooms() {
            room.rest();
        }
    }

    /// Compares every room with the store and looks at those that differ; a room whose answer another process writes is
    /// always looked at. Finds what hints missed, and is all there is where NOTIFY is not to be had.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn poll(&self) -> Result<(), StoreError> {
        let mut known = Vec::new();
        for room in self.hub.all_rooms().into_iter().filter(|room| room.is_loaded()) {
            if room.mirrored().is_some() {
                self.follow.session(room.key().session_id);
            } else {
                let (head, first, run, title) = room.known();
                known.push(Known {
                    key: room.key().clone(),
                    head,
                    first,
                    run,
                    title,
                });
            }
        }
        for known in known.chunks(POLL_AT_ONCE) {
            for session in self.store.changed_sessions(known).await? {
                self.follow.session(session);
            }
        }
        Ok(())
    }

    /// Reads a page of the log for a connection that is further behind than the room's memory.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(&self, key: &SessionKey, after: Seq, upto: Seq) -> Result<Vec<Message>, StoreError> {
        in_time(self.store.messages_after(key, after, upto, PAGE)).await
    }
}
