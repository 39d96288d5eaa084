//! A user's notifications: what is pending, and acknowledging it.

use serde_json::Value;

use super::{Service, unavailable};
use crate::ids::{NotificationId, SessionId, UserId};
use crate::notify::notifier::Hint;
use crate::protocol::client::Ack;
use crate::protocol::error::Refusal;
use crate::protocol::notice::Notice;
use crate::protocol::text::Text;
use crate::store::in_time;
use crate::store::notifications::{NewNotification, PendingNotification};

impl From<Notice> for NewNotification {
    fn from(notice: Notice) -> Self {
        let text = |text: Option<Text>| text.map(Text::into_string);
        Self {
            session_id: notice.session_id,
            kind: text(notice.kind),
            title: text(notice.title),
            content: notice.content.into_string(),
            data: notice.data.map(Value::Object),
            priority: text(notice.priority),
            dedupe_key: text(notice.dedupe_key),
            collapse_key: text(notice.collapse_key),
            deliver_after: notice.deliver_after,
            expires_at: notice.expires_at,
            in_context: notice.in_context,
        }
    }
}

impl Service {
    /// What a user has not acknowledged, without those that were `sent`, by priority, then age.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inbox(
        &self,
        user: &UserId,
        sent: &[NotificationId],
        limit: u32,
    ) -> Result<Vec<PendingNotification>, Refusal> {
        in_time(self.store.pending_notifications(user, sent, limit))
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Which of these are pending for a user no more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settled(
        &self,
        user: &UserId,
        sent: &[NotificationId],
    ) -> Result<Vec<NotificationId>, Refusal> {
        in_time(self.store.settled_notifications(user, sent))
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Marks notifications as seen. The user's other devices are told by the look that this causes, on every process.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn acknowledge(&self, user: &UserId, ack: &Ack) -> Result<Vec<NotificationId>, Refusal> {
        let ids = match ack {
            Ack::All => None,
            Ack::Ids(ids) => Some(ids.as_slice()),
        };
        let done = in_time(self.store.acknowledge_notifications(user, ids))
            .await
            .map_err(|error| unavailable(&error))?;
        if !done.is_empty() {
            self.notifier.send(Hint::Notifications);
        }
        Ok(done)
    }

    /// Notifies a user on behalf of a service. `None` when the dedupe key was used before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notify(
        &self,
        user: &UserId,
        new: &NewNotification,
    ) -> Result<Option<NotificationId>, Refusal> {
        in_time(self.store.insert_notification(user, new))
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Notifies the owner of a session, as the original notify function does. `None` when the dedupe key was used before.
    ///
    /// # Errors
    /// `not_found` when there is no such session.
    pub async fn notify_session(
        &self,
        session: SessionId,
        content: String,
        dedupe_key: Option<Text>,
    ) -> Result<Option<NotificationId>, Refusal> {
        let owner = self
            .store
            .find_session_owner(session)
            .await
            .map_err(|error| unavailable(&error))?;
        let owner = owner.ok_or_else(|| Refusal::not_found("session"))?;
        let new = NewNotification {
            session_id: Some(session),
            content,
            dedupe_key: dedupe_key.map(Text::into_string),
            ..NewNotification::default()
        };
        self.notify(&owner, &new).await
    }
}
