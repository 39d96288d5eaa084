//! Notifications: what is pending for a user, what is new since the last look (in `look`), acknowledgement, insertion.

mod look;

pub use look::{Horizon, Look};

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
                   content AS "content!", data, priority AS "priority!", created_at AS "created_at!"
            FROM (
                SELECT DISTINCT ON (coalesce('k' || collapse_key, notification_id::text)) *
                FROM agent.notifications
                WHERE user_id = $1 AND acknowledged_at IS NULL
                  AND (deliver_after IS NULL OR deliver_after <= clock_timestamp())
                  AND (expires_at IS NULL OR expires_at > clock_timestamp())
                ORDER BY coalesce('k' || collapse_key, notification_id::text), created_at DESC, notification_id DESC
            ) AS newest
            -- As a sub-select it is hashed; as a list it is gone through for each row.
            WHERE notification_id NOT IN (SELECT unnest($3::uuid[]))
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

    /// These rows as they are to be delivered: those that are due, not expired, not acknowledged, not replaced by a newer
    /// one with the same collapse key; in the order of insertion.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deliverable_notifications(
        &self,
        ids: &[NotificationId],
    ) -> Result<Vec<PendingNotification>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query_as!(
            NotificationRow,
            r#"
            SELECT n.notification_id, n.user_id, n.session_id, n.kind, n.title, n.content, n.data, n.priority, n.created_at
            FROM agent.notifications AS n
            WHERE n.notification_id = ANY ($1)
              AND n.acknowledged_at IS NULL
              AND (n.deliver_after IS NULL OR n.deliver_after <= clock_timestamp())
              AND (n.expires_at IS NULL OR n.expires_at > clock_timestamp())
              AND NOT EXISTS (
                  SELECT 1 FROM agent.notifications AS newer
                  WHERE newer.user_id = n.user_id AND newer.acknowledged_at IS NULL
                    AND newer.collapse_key = n.collapse_key
                    AND (newer.created_at, newer.notification_id) > (n.created_at, n.notification_id)
                    AND (newer.deliver_after IS NULL OR newer.deliver_after <= clock_timestamp())
                    AND (newer.expires_at IS NULL OR newer.expires_at > clock_timestamp()))
            ORDER BY n.created_at, n.notification_id
            "#,
            &ids,
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

    /// Inserts a notification as any service would. `None` when its dedupe key was there before.
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
            INSERT INTO agent.notifications (user_id, session_id, kind, title, content, data, priority, dedupe_key,
                                             collapse_key, deliver_after, expires_at, in_context)
            VALUES ($1, $2, coalesce($3, 'message'), $4, $5, $6, coalesce($7, 'normal'), $8, $9, $10, $11, $12)
            ON CONFLICT (user_id, dedupe_key) DO NOTHING
            RETURNING notification_id
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
        .fetch_optional(&self.pool)
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
