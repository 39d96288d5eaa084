//! Notifications: what is pending for a user, what is new since the last look, acknowledgement, insertion.

use serde_json::Value;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::ids::{NotificationId, SessionId, UserId};
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
    /// A second row with the same key is not stored.
    pub dedupe_key: Option<String>,
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
    /// What a user has not acknowledged and may see now: by priority, then age.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pending_notifications(
        &self,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<PendingNotification>, StoreError> {
        let rows = sqlx::query_as!(
            NotificationRow,
            r#"
            SELECT notification_id, user_id, session_id, kind, title, content, data, priority, created_at
            FROM agent.notifications
            WHERE user_id = $1 AND acknowledged_at IS NULL
              AND (deliver_after IS NULL OR deliver_after <= clock_timestamp())
              AND (expires_at IS NULL OR expires_at > clock_timestamp())
            ORDER BY array_position(ARRAY['high', 'normal', 'low'], priority), created_at, notification_id
            LIMIT $2
            "#,
            user.as_str(),
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(PendingNotification::try_from).collect()
    }

    /// The database's present snapshot: the point from which [`Self::notifications_since`] looks.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notification_snapshot(&self) -> Result<String, StoreError> {
        Ok(
            sqlx::query_scalar!(r#"SELECT pg_current_snapshot()::text AS "snapshot!""#)
                .fetch_one(&self.pool)
                .await?,
        )
    }

    /// Rows for these users that became visible after a snapshot, and the snapshot from which to look next. A row of a
    /// transaction that commits late is found too, since what counts is what the earlier snapshot could see, not any id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notifications_since(
        &self,
        snapshot: &str,
        users: &[UserId],
        limit: u32,
    ) -> Result<(Vec<PendingNotification>, String), StoreError> {
        let users: Vec<String> = users.iter().map(|user| user.as_str().to_owned()).collect();
        let mut transaction = self.pool.begin().await?;
        // Both statements must see the same: the next look begins exactly where this one ends.
        sqlx::query!("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *transaction)
            .await?;
        let rows = sqlx::query_as!(
            NotificationRow,
            r#"
            SELECT notification_id, user_id, session_id, kind, title, content, data, priority, created_at
            FROM agent.notifications
            WHERE acknowledged_at IS NULL
              AND inserted_by >= pg_snapshot_xmin($1::text::pg_snapshot)
              AND NOT pg_visible_in_snapshot(inserted_by, $1::text::pg_snapshot)
              AND user_id = ANY ($2)
              AND (deliver_after IS NULL OR deliver_after <= clock_timestamp())
              AND (expires_at IS NULL OR expires_at > clock_timestamp())
            ORDER BY inserted_by, created_at, notification_id
            LIMIT $3
            "#,
            snapshot,
            &users,
            i64::from(limit),
        )
        .fetch_all(&mut *transaction)
        .await?;
        let next = sqlx::query_scalar!(r#"SELECT pg_current_snapshot()::text AS "snapshot!""#)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let rows = rows
            .into_iter()
            .map(PendingNotification::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        Ok((rows, next))
    }

    /// Marks notifications as seen, all of the user's or these, and returns those that were not before.
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
            r#"
            UPDATE agent.notifications
            SET acknowledged_at = clock_timestamp()
            WHERE user_id = $1 AND acknowledged_at IS NULL AND ($2::uuid[] IS NULL OR notification_id = ANY ($2))
            RETURNING notification_id
            "#,
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
            INSERT INTO agent.notifications (user_id, session_id, kind, title, content, data, dedupe_key)
            VALUES ($1, $2, coalesce($3, 'message'), $4, $5, $6, $7)
            ON CONFLICT (user_id, dedupe_key) DO NOTHING
            RETURNING notification_id
            "#,
            user.as_str(),
            new.session_id.map(|id| id.0),
            new.kind,
            new.title,
            new.content,
            new.data,
            new.dedupe_key,
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
