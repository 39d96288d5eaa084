//! What operators look at: everybody's rows, as the views show them, each as a JSON object with the columns' names.
//!
//! Reads and changes nothing, and brings its own limits: at most so many rows, and of a long text its beginning with its
//! length. The rows pass through as JSON because nobody here decides anything by them. `http` asks, for its inspector.

use serde_json::Value;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::ids::{RunId, SessionKey};

/// How many characters of a text are shown.
const SHOWN_CHARS: i32 = 4000;

impl Store {
    /// How much of everything there is now: one object.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_now(&self) -> Result<Value, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT to_jsonb(counts) AS "counts!"
            FROM (
                SELECT (SELECT count(*) FROM agent.live_connections) AS connections,
                       (SELECT count(DISTINCT user_id) FROM agent.live_connections) AS users,
                       (SELECT count(*) FROM agent.runs WHERE state = 'running') AS running,
                       (SELECT count(*) FROM agent.runs WHERE state = 'queued') AS queued,
                       (SELECT count(*) FROM agent.pending_notifications WHERE due) AS undelivered,
                       (SELECT count(*) FROM agent.sessions) AS sessions
            ) AS counts
            "#
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// The processes that live.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_nodes(&self, limit: u32) -> Result<Vec<Value>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT to_jsonb(n) AS "row!"
            FROM agent.nodes AS n
            WHERE n.lease_until > statement_timestamp()
            ORDER BY n.node_id DESC
            LIMIT $1
            "#,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Who is connected, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_connections(&self, limit: u32) -> Result<Vec<Value>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT to_jsonb(c) AS "row!"
            FROM agent.live_connections AS c
            ORDER BY c.connected_at DESC, c.connection_id
            LIMIT $1
            "#,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Sessions, most recently active first: all, or those of a user, or the one with an id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_sessions(
        &self,
        user_or_session: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Value>, StoreError> {
        // The view adds up each session's cost: asked only for those that are shown.
        Ok(sqlx::query_scalar!(
            r#"
            SELECT to_jsonb(o) - 'metadata' AS "row!"
            FROM (
                SELECT s.user_id, s.session_id
                FROM agent.sessions AS s
                WHERE $1::text IS NULL OR s.user_id = $1 OR s.session_id::text = $1
                ORDER BY s.last_activity_at DESC, s.session_id DESC
                LIMIT $2
            ) AS shown
            JOIN agent.session_overview AS o ON o.user_id = shown.user_id AND o.session_id = shown.session_id
            ORDER BY o.last_activity_at DESC, o.session_id DESC
            "#,
            user_or_session,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// The newest messages of a session before a place, in their order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_transcript(
        &self,
        key: &SessionKey,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Value>, StoreError> {
        let mut rows = sqlx::query_scalar!(
            r#"
            SELECT to_jsonb(t) || jsonb_build_object('content', left(t.content, $5), 'length', length(t.content)) AS "row!"
            FROM agent.transcript AS t
            WHERE t.user_id = $1 AND t.session_id = $2 AND ($3::bigint IS NULL OR t.seq < $3)
            ORDER BY t.seq DESC
            LIMIT $4
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            before,
            i64::from(limit),
            SHOWN_CHARS,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.reverse();
        Ok(rows)
    }

    /// The newest runs of a session, newest first, with what their tries took.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_runs(&self, key: &SessionKey, limit: u32) -> Result<Vec<Value>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT to_jsonb(r) - 'prompt_seqs' || to_jsonb(took) AS "row!"
            FROM agent.runs AS r
            CROSS JOIN LATERAL (
                SELECT sum(u.input_tokens) AS input_tokens, sum(u.output_tokens) AS output_tokens,
                       sum(u.cost_usd) AS cost_usd
                FROM agent.usage AS u
                WHERE u.user_id = r.user_id AND u.session_id = r.session_id AND u.run_id = r.run_id
            ) AS took
            WHERE r.user_id = $1 AND r.session_id = $2
            ORDER BY r.run_id DESC
            LIMIT $3
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// What the model saw for a run, in its order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_prompt(
        &self,
        key: &SessionKey,
        run: RunId,
        limit: u32,
    ) -> Result<Vec<Value>, StoreError> {
        let run: Uuid = run.0;
        Ok(sqlx::query_scalar!(
            r#"
            SELECT to_jsonb(p) || jsonb_build_object('content', left(p.content, $5), 'length', length(p.content)) AS "row!"
            FROM agent.prompt AS p
            WHERE p.user_id = $1 AND p.session_id = $2 AND p.run_id = $3
            ORDER BY p.position
            LIMIT $4
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            run,
            i64::from(limit),
            SHOWN_CHARS,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Notifications that nobody acknowledged, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_pending(&self, limit: u32) -> Result<Vec<Value>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT to_jsonb(n) - 'data' || jsonb_build_object('content', left(n.content, $2), 'length', length(n.content))
                   AS "row!"
            FROM agent.pending_notifications AS n
            ORDER BY n.created_at, n.notification_id
            LIMIT $1
            "#,
            i64::from(limit),
            SHOWN_CHARS,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Each of the last days (UTC), oldest first, today included: runs by how they ended, how long the first word took, and what
    /// was spent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inspect_days(&self, days: u16) -> Result<Vec<Value>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            WITH days AS (
                SELECT d::date AS day
                FROM generate_series(date_trunc('day', statement_timestamp() AT TIME ZONE 'UTC') - ($1::integer - 1) * interval '1 day',
                                     statement_timestamp() AT TIME ZONE 'UTC', interval '1 day') AS d
            ),
            runs AS (
                SELECT (r.queued_at AT TIME ZONE 'UTC')::date AS day, count(*) AS runs,
                       count(*) FILTER (WHERE r.state = 'complete') AS complete,
                       count(*) FILTER (WHERE r.state = 'cancelled') AS cancelled,
                       count(*) FILTER (WHERE r.state IN ('incomplete', 'failed')) AS failed,
                       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
                           ORDER BY extract(epoch FROM r.first_token_at - r.started_at) * 1000) AS first_ms
                FROM agent.runs AS r
                WHERE r.queued_at >= (SELECT min(day) FROM days) AT TIME ZONE 'UTC'
                GROUP BY 1
            ),
            spent AS (
                SELECT u.day, sum(u.answers) AS answers, sum(u.input_tokens) AS input_tokens,
                       sum(u.output_tokens) AS output_tokens, sum(u.cost_usd) AS cost_usd,
                       sum(u.answers_without_cost) AS answers_without_cost
                FROM agent.usage_daily AS u
                WHERE u.day >= (SELECT min(day) FROM days)
                GROUP BY u.day
            )
            SELECT jsonb_build_object(
                       'day', days.day, 'runs', coalesce(runs.runs, 0), 'complete', coalesce(runs.complete, 0),
                       'cancelled', coalesce(runs.cancelled, 0), 'failed', coalesce(runs.failed, 0),
                       'first_token_p50_ms', runs.first_ms[1], 'first_token_p95_ms', runs.first_ms[2],
                       'input_tokens', coalesce(spent.input_tokens, 0), 'output_tokens', coalesce(spent.output_tokens, 0),
                       'cost_usd', coalesce(spent.cost_usd, 0),
                       'answers_without_cost', coalesce(spent.answers_without_cost, 0)) AS "row!"
            FROM days LEFT JOIN runs USING (day) LEFT JOIN spent USING (day)
            ORDER BY days.day
            "#,
            i32::from(days),
        )
        .fetch_all(&self.pool)
        .await?)
    }
}
