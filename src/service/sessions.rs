//! Sessions and their messages: find, list, rename, clear, choose a model, delete; history, search, feedback.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Service, limit_or_off, unavailable};
use crate::feed::Opened;
use crate::ids::{ConnectionId, Seq, SessionId, SessionKey, UserId};
use crate::log::Message;
use crate::notify::notifier::Hint;
use crate::notify::room::Room;
use crate::protocol::client::{Feedback, Page, SessionRef};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::Gap;
use crate::protocol::text::Text;
use crate::store::feedback::StoredFeedback;
use crate::store::sessions::{Changed, Session};

/// Messages that a history page or a fresh connect holds where nothing else was asked for.
const DEFAULT_PAGE: u32 = 50;

/// The most messages that a catch-up sends.
const MAX_CATCH_UP: u32 = 1000;

/// The most text that a catch-up sends, in bytes.
const MAX_CATCH_UP_BYTES: i64 = 8 * 1024 * 1024;

/// Where a catch-up begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// The place before its first message.
    pub start: Seq,
    /// The place of its last.
    pub head: Seq,
    /// What it leaves out of what the client asked for.
    pub gap: Option<Gap>,
}

impl Service {
    /// Opens the session that a client wants: a new one, its latest, or the one named. `after`: what it has applied of that.
    ///
    /// # Errors
    /// `not_found`, or `quota_exceeded` when the user has too many.
    pub async fn open(
        &self,
        user: &UserId,
        wanted: Option<SessionRef>,
        after: Option<i64>,
    ) -> Result<Opened, Refusal> {
        let id = match wanted {
            Some(SessionRef::Id(id)) => id,
            Some(SessionRef::Latest) => {
                match self
                    .store
                    .find_latest_session(user)
                    .await
                    .map_err(|error| unavailable(&error))?
                {
                    // The client does not know which it is, so what it has applied is not of that.
                    Some(id) => return self.open_existing(user, id, None).await,
                    None => return self.create(user, SessionId::new()).await,
                }
            }
            Some(SessionRef::Named(name)) => return self.open_named(user, name, after).await,
            Some(SessionRef::NamedOrNew(name)) => {
                return match self.open_named(user, name, after).await {
                    Err(refusal) if refusal.code == ErrorCode::NotFound => {
                        self.create(user, SessionId::named(user, name)).await
                    }
                    opened => opened,
                };
            }
            None => return self.create(user, SessionId::new()).await,
        };
        self.open_existing(user, id, after).await
    }

    async fn open_existing(
        &self,
        user: &UserId,
        session_id: SessionId,
        after: Option<i64>,
    ) -> Result<Opened, Refusal> {
        let key = SessionKey {
            user_id: user.clone(),
            session_id,
        };
        let opened = self
            .feed
            .open(&key, after)
            .await
            .map_err(|error| unavailable(&error))?;
        opened.ok_or_else(|| Refusal::not_found("session"))
    }

    /// The session with this id, else the one under this name.
    async fn open_named(&self, user: &UserId, name: Uuid, after: Option<i64>) -> Result<Opened, Refusal> {
        match self.open_existing(user, SessionId(name), after).await {
            Err(refusal) if refusal.code == ErrorCode::NotFound => {
                self.open_existing(user, SessionId::named(user, name), after)
                    .await
            }
            opened => opened,
        }
    }

    async fn create(&self, user: &UserId, session_id: SessionId) -> Result<Opened, Refusal> {
        let key = SessionKey {
            user_id: user.clone(),
            session_id,
        };
        let opened = self
            .feed
            .create(&key)
            .await
            .map_err(|error| unavailable(&error))?;
        opened.ok_or_else(|| {
            let max = limit_or_off(self.settings.limits.sessions_per_user);
            let text = format!("You keep {max} sessions (sessions_per_user); delete some to create another");
            self.refused_by("sessions_per_user", Refusal::new(ErrorCode::QuotaExceeded, text))
        })
    }

    /// Whether a session exists and is this user's.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn find(&self, key: &SessionKey) -> Result<Session, Refusal> {
        let session = self
            .store
            .find_session(key)
            .await
            .map_err(|error| unavailable(&error))?;
        session.ok_or_else(|| Refusal::not_found("session"))
    }

    /// Where to begin for a client that has applied everything up to `after`; without a usable cursor, with the newest 50.
    /// A cursor beyond the room is no reason yet to make the client drop its copy: it may come from another process, and be
    /// quicker than the hint. So the room looks at the store first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn catch_up(&self, room: &Room, after: Option<i64>) -> Result<CatchUp, Refusal> {
        let key = room.key();
        if after.is_some_and(|after| after > room.head().0) {
            self.feed
                .refresh(key.session_id)
                .await
                .map_err(|error| unavailable(&error))?;
        }
        let head = room.head();
        // Not before what retention has left.
        let newest = Seq((head.0 - i64::from(DEFAULT_PAGE)).max(room.first().0 - 1).max(0));
        let Some(after) = after.filter(|after| (0..=head.0).contains(after)).map(Seq) else {
            return Ok(CatchUp {
                start: newest,
                head,
                gap: None,
            });
        };
        // What memory holds is far less than the most that a catch-up may send.
        if room.has_all_after(after) {
            return Ok(CatchUp {
                start: after,
                head,
                gap: None,
            });
        }
        let start = self
            .store
            .catch_up_start(key, after, head, MAX_CATCH_UP, MAX_CATCH_UP_BYTES)
            .await
            .map_err(|error| unavailable(&error))?;
        let gap = (start > after).then(|| Gap {
            from: after.next(),
            to: start,
        });
        Ok(CatchUp { start, head, gap })
    }

    /// The user's sessions, most recently active first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, user: &UserId, page: Page) -> Result<Vec<Session>, Refusal> {
        self.store
            .list_sessions(user, page.before, page.limit.unwrap_or(DEFAULT_PAGE))
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Messages before a place.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn history(
        &self,
        key: &SessionKey,
        before: Option<Seq>,
        limit: Option<u32>,
    ) -> Result<Vec<Message>, Refusal> {
        self.store
            .messages_before(
                key,
                before.unwrap_or(Seq(i64::MAX)),
                limit.unwrap_or(DEFAULT_PAGE),
            )
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Messages after a place.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn history_after(
        &self,
        key: &SessionKey,
        after: Seq,
        limit: Option<u32>,
    ) -> Result<Vec<Message>, Refusal> {
        self.store
            .messages_after(key, after, Seq(i64::MAX), limit.unwrap_or(DEFAULT_PAGE))
            .await
            .map_err(|error| unavailable(&error))
    }

    /// The user's messages that hold these words.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn search(
        &self,
        user: &UserId,
        words: &str,
        limit: Option<u32>,
    ) -> Result<Vec<Message>, Refusal> {
        self.store
            .search_messages(user, words, limit.unwrap_or(20))
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Gives a session a title.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn rename(&self, key: &SessionKey, title: &Text) -> Result<(), Refusal> {
        let changed = self
            .store
            .rename_session(key, title.as_str())
            .await
            .map_err(|error| unavailable(&error))?;
        self.tell(key, changed)
    }

    /// Starts a fresh context. Returns the last message that is out of it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn clear(&self, key: &SessionKey) -> Result<Seq, Refusal> {
        let seq = self
            .store
            .clear_session(key)
            .await
            .map_err(|error| unavailable(&error))?;
        seq.ok_or_else(|| Refusal::not_found("session"))
    }

    /// Chooses a session's model; `None` for the default.
    ///
    /// # Errors
    /// `not_found`, `model_unavailable`.
    pub async fn set_model(&self, key: &SessionKey, model: Option<&str>) -> Result<(), Refusal> {
        if let Some(model) = model {
            self.check_model(model)?;
        }
        let changed = self
            .store
            .set_session_model(key, model)
            .await
            .map_err(|error| unavailable(&error))?;
        self.tell(key, changed)
    }

    /// Replaces a session's own data.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn set_metadata(&self, key: &SessionKey, metadata: Map<String, Value>) -> Result<(), Refusal> {
        let changed = self
            .store
            .set_session_metadata(key, metadata)
            .await
            .map_err(|error| unavailable(&error))?;
        self.tell(key, changed)
    }

    /// Removes a session with everything that belongs to it. Its sockets are closed, but for the one that asked.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete(&self, key: &SessionKey, by: Option<ConnectionId>) -> Result<(), Refusal> {
        let changed = self
            .store
            .delete_session(key)
            .await
            .map_err(|error| unavailable(&error))?;
        let changed = changed.ok_or_else(|| Refusal::not_found("session"))?;
        self.runs.stop_session(key);
        self.feed.deleted(key, &changed.watchers, by);
        if let Some(owner) = changed.owner.filter(|owner| *owner != self.node) {
            self.notifier.send(Hint::Cancel(owner, key.session_id));
        }
        Ok(())
    }

    /// Stores what a person thinks of an answer.
    ///
    /// # Errors
    /// `not_found` when this session has no such answer.
    pub async fn feedback(&self, key: &SessionKey, feedback: Feedback) -> Result<(), Refusal> {
        let new = StoredFeedback {
            rating: feedback.rating,
            comment: feedback.comment.map(Text::into_string),
            correction: feedback.correction.map(Text::into_string),
            tags: feedback.tags.into_iter().map(Text::into_string).collect(),
        };
        let stored = self
            .store
            .put_feedback(key, feedback.message_id, &new)
            .await
            .map_err(|error| unavailable(&error))?;
        if stored {
            Ok(())
        } else {
            Err(Refusal::not_found("answer"))
        }
    }

    fn tell(&self, key: &SessionKey, changed: Option<Changed>) -> Result<(), Refusal> {
        let changed = changed.ok_or_else(|| Refusal::not_found("session"))?;
        self.feed.changed(key.session_id, &changed.watchers);
        Ok(())
    }
}
