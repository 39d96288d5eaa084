//! A user's notifications: what is pending, and acknowledging it.

use super::{Service, unavailable};
use crate::ids::{NotificationId, SessionId, UserId};
use crate::notify::notifier::Hint;
use crate::protocol::client::Ack;
use crate::protocol::error::Refusal;
use crate::store::in_time;
use crate::store::notifications::{NewNotification, PendingNotification};

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

    /// Notifies the owner of a session, as the original notify function does.
    ///
    /// # Errors
    /// `not_found` when there is no such session.
    pub async fn notify_session(
        &self,
        session: SessionId,
        content: String,
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
            ..NewNotification::default()
        };
        self.notify(&owner, &new).await
    }
}
