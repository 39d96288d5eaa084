//! The look at what happened to notifications since the look before. `feed::Inbox` makes it.

use uuid::Uuid;

use crate::ids::{NotificationId, UserId};
use crate::store::line::Line;
use crate::store::notifications::{NotificationRow, PendingNotification};
use crate::store::{Store, StoreError};

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

/// Who looks, over a connection of its own: of 25 sockets half were told 2.6 ms after the INSERT. Through the pool, where each look
/// had another connection and each connection its pings, and with a plan made for each delivery, it was 3.7 ms.
#[derive(Debug)]
pub struct Lookout(Line);

impl Store {
    /// Somebody who looks for what happens to notifications.
    pub fn lookout(&self) -> Lookout {
        Lookout(self.line())
    }
}

impl Lookout {
    /// Where a look begins that has none before it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn horizon(&mut self) -> Result<Horizon, StoreError> {
        let mut connection = self.0.take().await?;
        let row = sqlx::query!(
            r#"SELECT pg_current_snapshot()::text AS "snapshot!", statement_timestamp() AS "now!""#
        )
        .fetch_one(&mut connection)
        .await?;
        self.0.keep(connection);
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
    pub async fn look(&mut self, since: &Horizon, limit: u32) -> Result<Look, StoreError> {
        let mut connection = self.0.take().await?;
        let rows = sqlx::query!(
            r#"
            WITH horizon AS MATERIALIZED (
                SELECT $1::text::pg_snapshot AS seen, pg_current_snapshot()::text AS next,
                       -- Rows that a dump brought from another cluster are ahead of this one's transactions, for years.
                       pg_snapshot_xmax(pg_current_snapshot()) AS ahead, statement_timestamp() AS now,
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
                   AND n.inserted_by >= pg_snapshot_xmin(h.seen) AND n.inserted_by < h.ahead
                   AND NOT pg_visible_in_snapshot(n.inserted_by, h.seen)
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
                 WHERE n.acknowledged_by >= pg_snapshot_xmin(h.seen) AND n.acknowledged_by < h.ahead
                   AND NOT pg_visible_in_snapshot(n.acknowledged_by, h.seen)
                 ORDER BY n.acknowledged_by
                 LIMIT $3)
            ) AS f ON true
            "#,
            since.snapshot,
            since.now,
            i64::from(limit),
        )
        .fetch_all(&mut connection)
        .await?;
        self.0.keep(connection);
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

    /// These rows as they are to be delivered: those that are due, not expired, not acknowledged, not replaced by a newer
    /// one with the same collapse key; in the order of insertion.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deliverable(
        &mut self,
        ids: &[NotificationId],
    ) -> Result<Vec<PendingNotification>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let mut connection = self.0.take().await?;
        let rows = sqlx::query_as!(
            NotificationRow,
            r#"
            SELECT notification_id AS "notification_id!", user_id AS "user_id!", session_id, kind AS "kind!", title,
                   content AS "content!", data, priority AS "priority!", created_at AS "created_at!",
                   greatest(created_at, deliver_after) AS "due_at!"
            FROM agent.deliverable($1)
            ORDER BY created_at, notification_id
            "#,
            &ids,
        )
        .fetch_all(&mut connection)
        .await?;
        self.0.keep(connection);
        rows.into_iter().map(PendingNotification::try_from).collect()
    }
}
