//! The look at what happened to notifications since the look before. `feed::Inbox` makes it.

use crate::ids::{NotificationId, UserId};
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

impl Store {
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
}
