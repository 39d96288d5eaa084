//! Notifications: what is pending for a user, what is new since the last look, acknowledgement, insertion.

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

/// What a look saw: the next one begins here.
#[derive(Clone, Debug, PartialEq)]
pub struct Horizon {
    snapshot: String,
    now: time::OffsetDateTime,
}

/// What happened to notifications since a look.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Where the next look begins.
    pub next: Horizon,
    /// Some wait to be put into their conversations.
    pub for_context: bool,
    /// All that happened is here; otherwise more happened than was asked for.
    pub complete: bool,
    /// Rows that came, or became due, and for whom.
    pub new: Vec<(UserId, NotificationId)>,
    /// Rows that were acknowledged, by whom, and in which transaction.
    pub cleared: Vec<(UserId, String, NotificationId)>,
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
            WHERE notification_id <> ALL ($3)
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
    /// one with the same collapse key; in the order of insertion. Each is looked up by its key, before any other condition, so
    /// that no plan made while the table was small goes through all rows once it is not.
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
            FROM unnest($1::uuid[]) AS wanted (id)
            CROSS JOIN LATERAL (
                SELECT * FROM agent.notifications AS k WHERE k.notification_id = wanted.id LIMIT 1
            ) AS n
            WHERE n.acknowledged_at IS NULL
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

    /// Where a look begins that has none before it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notification_horizon(&self) -> Result<Horizon, StoreError> {
        let row = sqlx::query!(
            r#"SELECT pg_current_snapshot()::text AS "snapshot!", statement_timestamp() AS "now!""#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Horizon {
            snapshot: row.snapshot,
            now: row.now,
        })
    }

    /// What happened to notifications since a look, for anybody: at most `limit` of it. A row of a transaction that commits
    /// late is found too, since what counts is what the earlier snapshot could see, not any id or time.
    ///
    /// The orders are for the planner: a connection keeps its plan, and of an empty table any index looks as good as any other.
    /// Planned then without them, each look went through every unacknowledged row.
    ///
    /// # Errors
    /// When the database fails.
    #[expect(clippy::too_many_lines, reason = "one statement with its columns")]
    pub async fn look_at_notifications(&self, since: &Horizon, limit: u32) -> Result<Look, StoreError> {
        let rows = sqlx::query!(
            r#"
            WITH horizon AS MATERIALIZED (
                SELECT $1::text::pg_snapshot AS seen, pg_current_snapshot()::text AS next, statement_timestamp() AS now,
                       EXISTS (SELECT 1 FROM agent.notifications AS n
                               WHERE n.in_context AND n.message_id IS NULL
                                 AND (n.deliver_after IS NULL OR n.deliver_after <= statement_timestamp())) AS for_context
            )
            SELECT h.next AS "next!", h.now AS "now!", h.for_context AS "for_context!",
                   f.notification_id AS "notification_id?", f.user_id AS "user_id?",
                   f.cleared_by::text AS "cleared_by?"
            FROM horizon AS h
            LEFT JOIN LATERAL (
                (SELECT n.notification_id, n.user_id, NULL::xid8 AS cleared_by
                 FROM agent.notifications AS n
                 WHERE n.acknowledged_at IS NULL
                   AND n.inserted_by >= pg_snapshot_xmin(h.seen) AND NOT pg_visible_in_snapshot(n.inserted_by, h.seen)
                   AND (n.deliver_after IS NULL OR n.deliver_after <= h.now)
                   AND (n.expires_at IS NULL OR n.expires_at > h.now)
                 ORDER BY n.inserted_by
                 LIMIT $3)
                UNION ALL
                (SELECT n.notification_id, n.user_id, NULL
                 FROM agent.notifications AS n
                 WHERE n.acknowledged_at IS NULL AND n.deliver_after > $2 AND n.deliver_after <= h.now
                   AND (n.expires_at IS NULL OR n.expires_at > h.now)
                 ORDER BY n.deliver_after
                 LIMIT $3)
                UNION ALL
                (SELECT n.notification_id, n.user_id, n.acknowledged_by
                 FROM agent.notifications AS n
                 WHERE n.acknowledged_by >= pg_snapshot_xmin(h.seen)
                   AND NOT pg_visible_in_snapshot(n.acknowledged_by, h.seen)
                 ORDER BY n.acknowledged_by
                 LIMIT $3)
            ) AS f ON true
            "#,
            since.snapshot,
            since.now,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        let Some(first) = rows.first() else {
            return Err(StoreError::Inconsistent {
                table: "notifications",
                column: "horizon",
            });
        };
        let mut look = Look {
            next: Horizon {
                snapshot: first.next.clone(),
                now: first.now,
            },
            for_context: first.for_context,
            complete: rows.len() < limit as usize,
            new: Vec::new(),
            cleared: Vec::new(),
        };
        for row in rows {
            let (Some(id), Some(user)) = (row.notification_id, row.user_id) else {
                continue;
            };
            let user = UserId::new(&user).map_err(|_| StoreError::Inconsistent {
                table: "notifications",
                column: "user_id",
            })?;
            match row.cleared_by {
                Some(by) => look.cleared.push((user, by, NotificationId(id))),
                None => look.new.push((user, NotificationId(id))),
            }
        }
        Ok(look)
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
