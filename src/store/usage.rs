//! What answers took, and what the provider is still to be asked about.

use uuid::Uuid;

use super::{Store, StoreError};
use crate::ids::{RunId, SessionId, SessionKey, UserId};
use crate::protocol::body::DailyUsage;

/// How often the provider is asked about one try at most.
const MAX_TRIES: i32 = 6;

/// A try at an answer whose cost is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreconciled {
    /// Whose session.
    pub key: SessionKey,
    /// Which run.
    pub run_id: RunId,
    /// Which try.
    pub attempt: i32,
    /// The provider's handle on it.
    pub generation_id: String,
}

/// What the provider says that a try took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconciled {
    /// Tokens of the prompt.
    pub input_tokens: i64,
    /// Tokens of the answer.
    pub output_tokens: i64,
    /// Money, in US dollars.
    pub cost_usd: Option<f64>,
}

impl Store {
    /// What a user spent in the last days, today included, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn daily_usage(&self, user: &UserId, days: u16) -> Result<Vec<DailyUsage>, StoreError> {
        Ok(sqlx::query_as!(
            DailyUsage,
            r#"
            SELECT day::text AS "day!", model, answers AS "answers!", input_tokens AS "input_tokens!",
                   output_tokens AS "output_tokens!", cost_usd::float8 AS "cost_usd!",
                   answers_without_cost AS "answers_without_cost!"
            FROM agent.usage_daily
            WHERE user_id = $1 AND day > (statement_timestamp() AT TIME ZONE 'UTC')::date - $2::integer
            ORDER BY day DESC, cost_usd DESC, model
            "#,
            user.as_str(),
            i32::from(days),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Takes tries that are due to be asked about; each is due again after a wait that grows from 10 seconds to about
    /// 10 minutes, six times in all, unless [`Self::reconcile`] comes first. Two processes never take the same.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_unreconciled(&self, limit: u32) -> Result<Vec<Unreconciled>, StoreError> {
        let rows = sqlx::query!(
            r#"
            UPDATE agent.usage AS u
            SET reconcile_tries = u.reconcile_tries + 1,
                reconcile_at = CASE WHEN u.reconcile_tries + 1 < $2
                                    THEN clock_timestamp() + interval '10 seconds' * power(2.3, u.reconcile_tries) END
            WHERE (u.user_id, u.session_id, u.run_id, u.attempt) IN (
                SELECT d.user_id, d.session_id, d.run_id, d.attempt
                FROM agent.usage AS d
                WHERE d.reconcile_at <= clock_timestamp()
                ORDER BY d.reconcile_at
                LIMIT $1
                FOR UPDATE SKIP LOCKED)
            RETURNING u.user_id, u.session_id, u.run_id, u.attempt, u.provider_generation_id AS "generation_id!"
            "#,
            i64::from(limit),
            MAX_TRIES,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let user_id = UserId::new(&row.user_id).map_err(|_| StoreError::Inconsistent {
                    table: "usage",
                    column: "user_id",
                })?;
                let session_id = SessionId(row.session_id);
                Ok(Unreconciled {
                    key: SessionKey { user_id, session_id },
                    run_id: RunId(row.run_id),
                    attempt: row.attempt,
                    generation_id: row.generation_id,
                })
            })
            .collect()
    }

    /// Records what the provider says that a try took.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reconcile(&self, which: &Unreconciled, took: Reconciled) -> Result<(), StoreError> {
        let (session, run): (Uuid, Uuid) = (which.key.session_id.0, which.run_id.0);
        sqlx::query!(
            r#"
            UPDATE agent.usage
            SET source = 'reconciled', input_tokens = $5, output_tokens = $6, cost_usd = $7::float8::numeric(14, 8),
                reconcile_at = NULL
            WHERE user_id = $1 AND session_id = $2 AND run_id = $3 AND attempt = $4
            "#,
            which.key.user_id.as_str(),
            session,
            run,
            which.attempt,
            took.input_tokens,
            took.output_tokens,
            took.cost_usd,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
