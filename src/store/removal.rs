//! Removing what is older than the operator keeps, some at a time, and everything of a user.

use std::time::Duration;

use super::{Store, StoreError};
use crate::ids::{NodeId, SessionId, UserId};

/// A session of which something was removed: who has to look at it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Which session.
    pub session_id: SessionId,
    /// Processes that show it.
    pub watchers: Vec<NodeId>,
    /// How many messages; 0 when the session itself is gone.
    pub messages: u64,
}

/// How many rows of a table were removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The table's name in schema `agent`.
    pub table: String,
    /// How many rows.
    pub rows: u64,
}

fn seconds(age: Duration) -> f64 {
    age.as_secs_f64()
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or_default()
}

impl Store {
    /// Removes about `limit` messages that are older than this, from the front of their sessions.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_messages(&self, older_than: Duration, limit: u32) -> Result<Vec<Pruned>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT session_id AS "session_id!", watchers AS "watchers!", removed AS "removed!"
            FROM agent.prune_messages(clock_timestamp() - make_interval(secs => $1), $2)
            "#,
            seconds(older_than),
            i32::try_from(limit).unwrap_or(i32::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Pruned {
                session_id: SessionId(row.session_id),
                watchers: row.watchers.into_iter().map(NodeId).collect(),
                messages: count(row.removed),
            })
            .collect())
    }

    /// Removes at most `limit` sessions without messages to which nothing was written for this long.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_sessions(&self, idle_for: Duration, limit: u32) -> Result<Vec<Pruned>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT session_id AS "session_id!", watchers AS "watchers!"
            FROM agent.prune_sessions(clock_timestamp() - make_interval(secs => $1), $2)
            "#,
            seconds(idle_for),
            i32::try_from(limit).unwrap_or(i32::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Pruned {
                session_id: SessionId(row.session_id),
                watchers: row.watchers.into_iter().map(NodeId).collect(),
                messages: 0,
            })
            .collect())
    }

    /// Removes at most `limit` notifications that were acknowledged or expired this long ago, or that are older than
    /// `older_than`, and returns how many. `None`: not for that reason.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune_notifications(
        &self,
        done_for: Option<Duration>,
        older_than: Option<Duration>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let gone = sqlx::query_scalar!(
            r#"
            SELECT agent.prune_notifications(
                clock_timestamp() - make_interval(secs => $1), clock_timestamp() - make_interval(secs => $2), $3) AS "gone!"
            "#,
            done_for.map(seconds),
            older_than.map(seconds),
            i32::try_from(limit).unwrap_or(i32::MAX),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count(gone))
    }

    /// Removes every trace of a user and says how much of it there was. Processes that show the user's sessions, or write
    /// answers in them, are told with the commit.
    ///
    /// # Errors
    /// When the database fails; nothing is removed then.
    pub async fn erase_user(&self, user: &UserId) -> Result<Vec<Removed>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT table_name AS "table_name!", rows_removed AS "rows_removed!" FROM agent.erase_user($1)"#,
            user.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Removed {
                table: row.table_name,
                rows: count(row.rows_removed),
            })
            .collect())
    }
}
