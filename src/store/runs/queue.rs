//! What waits in a session: list it, take out of it, add a new answer to it.

use uuid::Uuid;

use super::{attempt, nodes};
use crate::ids::{ClientName, MessageId, NodeId, RunId, Seq, SessionKey};
use crate::protocol::text::Timestamp;
use crate::store::{Store, StoreError};

/// A query that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The run.
    pub run_id: RunId,
    /// The query.
    pub message_id: MessageId,
    /// The query's place.
    pub seq: Seq,
    /// The question.
    pub content: String,
    /// `interrupt`, `high`, `normal`, `low` or `retry`.
    pub priority: &'static str,
    /// When it was asked.
    pub queued_at: Timestamp,
}

/// What became of a wish for a new answer.
#[derive(Clone, Debug, PartialEq)]
pub enum RegenerateOutcome {
    /// It waits its turn, or did before under the same id.
    Queued {
        /// The run.
        run_id: RunId,
        /// The query that it answers again.
        query_id: MessageId,
        /// The answer to come.
        answer_id: MessageId,
        /// Its place among waiting ones.
        position: u32,
        /// The same id was accepted before.
        duplicate: bool,
    },
    /// The id was used for something else.
    Conflict,
    /// Too many wait.
    QueueFull,
    /// No such message here.
    Missing,
}

impl Store {
    /// Takes a waiting run out of its queue: it ends as cancelled. `None` when it does not wait (any more).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unqueue_run(&self, key: &SessionKey, run: RunId) -> Result<Option<Vec<NodeId>>, StoreError> {
        let watchers = sqlx::query_scalar!(
            "SELECT agent.unqueue_run($1, $2, $3)",
            key.user_id.as_str(),
            key.session_id.0,
            run.0,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(watchers.map(nodes))
    }

    /// The run that waits for a query's answer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_waiting_run(
        &self,
        key: &SessionKey,
        query: MessageId,
    ) -> Result<Option<RunId>, StoreError> {
        let id = sqlx::query_scalar!(
            r#"
            SELECT run_id
            FROM agent.runs
            WHERE user_id = $1 AND session_id = $2 AND query_message_id = $3 AND state = 'queued'
            LIMIT 1
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            query.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(id.map(RunId))
    }

    /// How many runs wait in all, and for how many seconds the first of them has.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting_runs(&self) -> Result<(u64, f64), StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT count(*) AS "waiting!",
                   coalesce(extract(epoch FROM now() - min(queued_at)), 0)::float8 AS "oldest_seconds!"
            FROM agent.runs
            WHERE state = 'queued'
            "#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((u64::try_from(row.waiting).unwrap_or(0), row.oldest_seconds))
    }

    /// What waits in a session, in the order in which it will run.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_queue(&self, key: &SessionKey) -> Result<Vec<Waiting>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT r.run_id, r.query_message_id, r.query_seq, r.priority, r.queued_at, m.content
            FROM agent.runs AS r
            JOIN agent.messages AS m ON m.user_id = r.user_id AND m.session_id = r.session_id AND m.seq = r.query_seq
            WHERE r.user_id = $1 AND r.session_id = $2 AND r.state = 'queued'
            ORDER BY r.priority, r.queue_order, r.run_id
            "#,
            key.user_id.as_str(),
            key.session_id.0,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Waiting {
                run_id: RunId(row.run_id),
                message_id: MessageId(row.query_message_id),
                seq: Seq(row.query_seq),
                content: row.content,
                priority: match row.priority {
                    ..=-1 => "retry",
                    0 => "interrupt",
                    1 => "high",
                    2 => "normal",
                    _ => "low",
                },
                queued_at: Timestamp(row.queued_at),
            })
            .collect())
    }

    /// Asks for a new answer to a query: the one named (or the one whose answer is named), else the session's latest.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn regenerate(
        &self,
        key: &SessionKey,
        message: Option<MessageId>,
        client_id: Option<&ClientName>,
        run: RunId,
        max_queue: u32,
    ) -> Result<RegenerateOutcome, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT outcome AS "outcome!", run_id, query_message_id, answer_message_id, queue_position
            FROM agent.regenerate($1, $2, $3, $4, $5, $6, $7)
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            message.map(|id| id.0),
            client_id.map(ClientName::as_str),
            run.0,
            MessageId::new().0,
            i32::try_from(max_queue).unwrap_or(i32::MAX),
        )
        .fetch_one(&self.pool)
        .await?;
        let ids: Option<(Uuid, Uuid, Uuid)> = row
            .run_id
            .zip(row.query_message_id)
            .zip(row.answer_message_id)
            .map(|((a, b), c)| (a, b, c));
        Ok(match (row.outcome.as_str(), ids) {
            ("queued" | "duplicate", Some((run, query, answer))) => RegenerateOutcome::Queued {
                run_id: RunId(run),
                query_id: MessageId(query),
                answer_id: MessageId(answer),
                position: attempt(row.queue_position.unwrap_or(0)),
                duplicate: row.outcome == "duplicate",
            },
            ("conflict", _) => RegenerateOutcome::Conflict,
            ("queue_full", _) => RegenerateOutcome::QueueFull,
            _ => RegenerateOutcome::Missing,
        })
    }
}
