//! What users keep and spend: the sums that limits are compared with, and what is set aside.

use tokio::sync::Mutex;

use super::crowd::{self, Crowd, Waiting};
use super::line::Line;
use super::{Store, StoreError};
use crate::ids::{ClientName, RunId, SessionKey, UserId};

/// What a run may take, and what its user's day may come to; a limit of 0 is none.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// The most tokens.
    pub tokens: u64,
    /// Money, in US dollars.
    pub cost_usd: f64,
    /// Tokens of a day.
    pub max_tokens: u64,
    /// Money of a day, in US dollars.
    pub max_cost_usd: f64,
}

/// The way to the [`StorageMeterTask`].
#[derive(Clone, Debug)]
pub struct StorageMeter(Crowd<UserId, u64>);

impl StorageMeter {
    /// Bytes of all texts that a user keeps.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stored_bytes(&self, user: &UserId) -> Result<u64, StoreError> {
        self.0.ask(user.clone()).await
    }
}

/// Sums up what users keep: of all who ask at the same time, in one statement. A statement for each, and the pool's pings about it, cost
/// a quarter of the time to the first token where 400 users ask at once (90 to 101 ms before, 72 to 77 after). It has a connection of
/// its own, without pings and planned once: where 50 ask, half had their first token after 4.9 to 5.6 ms, and after 6.9 to 8.3 before.
#[derive(Debug)]
pub struct StorageMeterTask {
    line: Line,
    waiting: Waiting<UserId, u64>,
}

impl StorageMeterTask {
    /// Answers until nobody can ask any more.
    pub async fn run(self) {
        let Self { line, waiting } = self;
        // One call at a time: nobody ever waits for this lock.
        let line = &Mutex::new(line);
        let sum_up = |users: Vec<UserId>| async move { stored_bytes(&mut *line.lock().await, &users).await };
        waiting
            .serve(
                sum_up,
                |error| tracing::warn!(error = %error, "what users keep could not be summed up"),
            )
            .await;
    }
}

/// Bytes of all texts that each of these users keeps.
async fn stored_bytes(line: &mut Line, users: &[UserId]) -> Result<Vec<u64>, StoreError> {
    let mut connection = line.take().await?;
    let names: Vec<String> = users.iter().map(|user| user.as_str().to_owned()).collect();
    let sums = sqlx::query_scalar!(
        r#"
        SELECT (SELECT coalesce(sum(s.stored_bytes), 0)::bigint
                FROM agent.sessions AS s
                WHERE s.user_id = u.user_id) AS "bytes!"
        FROM unnest($1::text[]) WITH ORDINALITY AS u (user_id, ord)
        ORDER BY u.ord
        "#,
        &names,
    )
    .fetch_all(&mut connection)
    .await?;
    line.keep(connection);
    Ok(sums
        .into_iter()
        .map(|bytes| u64::try_from(bytes).unwrap_or_default())
        .collect())
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Store {
    /// Sets aside what a run may take. When the day has no room for it, nothing, and the limit's name: `tokens_per_day` or
    /// `cost_per_day`. Exact over all processes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reserve(
        &self,
        key: &SessionKey,
        run: RunId,
        reserve: &Reserve,
    ) -> Result<Option<&'static str>, StoreError> {
        let over = sqlx::query_scalar!(
            "SELECT agent.reserve($1, $2, $3, $4, $5, $6, $7)",
            key.user_id.as_str(),
            key.session_id.0,
            run.0,
            column(reserve.tokens),
            reserve.cost_usd,
            column(reserve.max_tokens),
            reserve.max_cost_usd,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(over.map(|over| match over.as_str() {
            "tokens_per_day" => "tokens_per_day",
            _ => "cost_per_day",
        }))
    }

    /// Gives back what was set aside for a run that does not come.
    ///
    /// # Errors
    /// When the database fails: it then counts for a minute.
    pub async fn release_reservation(&self, key: &SessionKey, run: RunId) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM agent.reservations WHERE user_id = $1 AND session_id = $2 AND run_id = $3",
            key.user_id.as_str(),
            key.session_id.0,
            run.0,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A task that sums up what users keep, and the way to it.
    pub fn storage_meter(&self) -> (StorageMeter, StorageMeterTask) {
        let (crowd, waiting) = crowd::gather();
        let line = self.line();
        (StorageMeter(crowd), StorageMeterTask { line, waiting })
    }

    /// Whether a query under this id of the client's was accepted before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_client_message(&self, key: &SessionKey, id: &ClientName) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT EXISTS (SELECT 1 FROM agent.messages WHERE user_id = $1 AND session_id = $2 AND client_id = $3) AS "known!"
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            id.as_str(),
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Removes what was set aside two days ago: it counts for nothing any more. At most `limit`; returns how much.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_reservations(&self, limit: u32) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            r#"
            WITH old AS MATERIALIZED (
                SELECT r.tableoid, r.ctid FROM agent.reservations AS r
                WHERE r.created_at < clock_timestamp() - interval '2 days'
                  AND NOT EXISTS (
                      SELECT 1 FROM agent.runs AS run
                      WHERE run.user_id = r.user_id AND run.session_id = r.session_id AND run.run_id = r.run_id
                        AND run.state IN ('queued', 'running'))
                LIMIT $1
            )
            DELETE FROM agent.reservations AS r
            WHERE r.ctid = ANY (ARRAY(SELECT o.ctid FROM old AS o))
              -- In a table that is cut into parts each part has such a place.
              AND (r.tableoid, r.ctid) IN (SELECT o.tableoid, o.ctid FROM old AS o)
            "#,
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
