//! Notifications: what is pending for a user, what is new since the last look (in `look`), acknowledgement, insertion.

mod look;

pub use look::{Horizon, Look, Lookout};

use serde_json::Value;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::ids::{NodeId, NotificationId, SessionId, UserId};
use crate::protocol::text::Timestamp;

/// A row that another service inserted.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingNotification {
    /// By which it is acknowledged.
    pub notification_id: NotificationId,
    /// Whom it is for.
    pub user_id: UserId,
    /// The session that it is about.
    pub session_id: Option<SessionId>,
    /// The writer's word for what it is.
    pub kind: String,
    /// A heading.
    pub title: Option<String>,
    /// The text.
    pub content: String,
    /// The writer's own data.
    pub data: Option<Value>,
    /// `high`, `normal` or `low`.
    pub priority: String,
    /// When it was inserted.
    pub created_at: Timestamp,
    /// From when on it could be delivered: its insert, or `deliver_after`.
    pub due_at: Timestamp,
}

/// What another service wants told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewNotification {
    /// The session that it is about.
    pub session_id: Option<SessionId>,
    /// The writer's word for what it is; `message` if absent.
    pub kind: Option<String>,
    /// A heading.
    pub title: Option<String>,
    /// The text.
    pub content: String,
    /// The writer's own data.
    pub data: Option<Value>,
    /// `high`, `normal` or `low`; `normal` if absent.
    pub priority: Option<String>,
    /// A second row with the same key is not stored.
    pub dedupe_key: Option<String>,
    /// Of several undelivered rows with the same key the newest counts.
    pub collapse_key: Option<String>,
    /// Not before this moment.
    pub deliver_after: Option<Timestamp>,
    /// Not after this moment.
    pub expires_at: Option<Timestamp>,
    /// Also becomes a message of the session.
    pub in_context: bool,
}

struct NotificationRow {
    notification_id: Uuid,
    user_id: String,
    session_id: Option<Uuid>,
    kind: String,
    title: Option<String>,
    content: String,
    data: Option<Value>,
    priority: String,
    created_at: time::OffsetDateTime,
    due_at: time::OffsetDateTime,
}

impl TryFrom<NotificationRow> for PendingNotification {
    type Error = StoreError;

    fn try_from(row: NotificationRow) -> Result<Self, StoreError> {
        let user_id = UserId::new(&row.user_id).map_err(|_| StoreError::Inconsistent {
            table: "notifications",
            column: "user_id",
        })?;
        Ok(Self {
            notification_id: NotificationId(row.notification_id),
            user_id,
            session_id: row.session_id.map(SessionId),
            kind: row.kind,
            title: row.title,
            content: row.content,
            data: row.data,
            priority: row.priority,
            created_at: Timestamp(row.created_at),
            due_at: Timestamp(row.due_at),
        })
    }
}

impl Store {
    /// What a user has not acknowledged and may see now, without those that were `sent`: by priority, then age. Of rows with
    /// one collapse key the newest.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pending_notifications(
        &self,
        user: &UserId,
        sent: &[NotificationId],
        limit: u32,
    ) -> Result<Vec<PendingNotification>, StoreError> {
        let sent: Vec<Uuid> = sent.iter().map(|id| id.0).collect();
        let rows = sqlx::query_as!(
            NotificationRow,
            r#"
            SELECT notification_id AS "notification_id!", user_id AS "user_id!", session_id, kind AS "kind!", title,
                   content AS "content!", data, priority AS "priority!", created_at AS "created_at!",
                   greatest(created_at, deliver_after) AS "due_at!"
            FROM agent.pending_notifications
            WHERE user_id = $1 AND due
              -- As a sub-select it is hashed; as a list it is gone through for each row.
              AND notification_id NOT IN (SELECT unnest($3::uuid[]))
            ORDER BY array_position(ARRAY['high', 'normal', 'low'], priority), created_at, notification_id
            LIMIT $2
            "#,
            user.as_str(),
            i64::from(limit),
            &sent,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(PendingNotification::try_from).collect()
    }

    /// Which of these are pending for a user no more: acknowledged, or removed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settled_notifications(
        &self,
        user: &UserId,
        ids: &[NotificationId],
    ) -> Result<Vec<NotificationId>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let settled = sqlx::query_scalar!(
            r#"
            SELECT s.id AS "id!"
            FROM unnest($2::uuid[]) AS s (id)
            WHERE NOT EXISTS (
                SELECT 1 FROM agent.notifications AS n
                WHERE n.notification_id = s.id AND n.user_id = $1 AND n.acknowledged_at IS NULL)
            "#,
            user.as_str(),
            &ids,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(settled.into_iter().map(NotificationId).collect())
    }

    /// Puts notifications that ask for it into their conversations, and returns the sessions that grew, with the processes
    /// that show them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_into_context(&self, limit: u32) -> Result<Vec<(SessionId, Vec<NodeId>)>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT session_id AS "session_id!", watchers AS "watchers!" FROM agent.put_into_context($1)"#,
            i32::try_from(limit).unwrap_or(i32::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                (
                    SessionId(row.session_id),
                    row.watchers.into_iter().map(NodeId).collect(),
                )
            })
            .collect())
    }

    /// Marks notifications as seen, all of the user's or these, with what they replaced, and returns those that were not
    /// before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn acknowledge_notifications(
        &self,
        user: &UserId,
        ids: Option<&[NotificationId]>,
    ) -> Result<Vec<NotificationId>, StoreError> {
        let ids: Option<Vec<Uuid>> = ids.map(|ids| ids.iter().map(|id| id.0).collect());
        let done = sqlx::query_scalar!(
            r#"SELECT id AS "id!" FROM agent.acknowledge($1, $2) AS id"#,
            user.as_str(),
            ids.as_deref(),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(done.into_iter().map(NotificationId).collect())
    }

    /// Notifies a user by `agent.notify`, as a service may that may do nothing else. `None` when its dedupe key was there before.
    ///
    /// # Errors
    /// When the database fails or refuses a value.
    pub async fn insert_notification(
        &self,
        user: &UserId,
        new: &NewNotification,
    ) -> Result<Option<NotificationId>, StoreError> {
        let id = sqlx::query_scalar!(
            r#"
            SELECT agent.notify(
                user_id => $1, session_id => $2, kind => coalesce($3, 'message'), title => $4, content => $5, data => $6,
                priority => coalesce($7, 'normal'), dedupe_key => $8, collapse_key => $9, deliver_after => $10,
                expires_at => $11, in_context => $12)
            "#,
            user.as_str(),
            new.session_id.map(|id| id.0),
            new.kind,
            new.title,
            new.content,
            new.data,
            new.priority,
            new.dedupe_key,
            new.collapse_key,
            new.deliver_after.map(|at| at.0),
            new.expires_at.map(|at| at.0),
            new.in_context,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(id.map(NotificationId))
    }

    /// Whose session this is: for the original notify function, which knows a session's id only.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_session_owner(&self, session: SessionId) -> Result<Option<UserId>, StoreError> {
        let owner = sqlx::query_scalar!(
            "SELECT user_id FROM agent.sessions WHERE session_id = $1 LIMIT 1",
            session.0
        )
        .fetch_optional(&self.pool)
        .await?;
        owner
            .map(|text| {
                UserId::new(&text).map_err(|_| StoreError::Inconsistent {
                    table: "sessions",
                    column: "user_id",
                })
            })
            .transpose()
    }
}
