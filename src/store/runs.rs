//! Runs beside the append: claim, cancel, take over, release; `queue` has what waits, `traces` where a run is told. Each is one short transaction.

mod queue;
mod traces;

pub use queue::{RegenerateOutcome, Waiting};
pub use traces::KnownTrace;

use std::time::Duration;

use uuid::Uuid;

use super::{Store, StoreError, columns};
use crate::ids::{Fence, MessageId, NodeId, RunId, Seq, SessionId, SessionKey, UserId};
use crate::log::Claimed;
use crate::protocol::text::Timestamp;
use crate::trace::Origin;

/// A run in progress, as another process or a new connection sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveRun {
    /// Which run.
    pub run_id: RunId,
    /// Which try.
    pub attempt: u32,
    /// The question.
    pub query_id: MessageId,
    /// The question's place.
    pub query_seq: Seq,
    /// The answer to come.
    pub answer_id: MessageId,
    /// The process that runs it.
    pub node: Option<NodeId>,
    /// When it was started.
    pub started_at: Timestamp,
}

/// What a request to stop a run found.
#[derive(Clone, Debug, PartialEq)]
pub enum CancelOutcome {
    /// It runs; its process is told.
    Requested {
        /// Which run.
        run_id: RunId,
        /// The process that runs it.
        node: Option<NodeId>,
    },
    /// It waits.
    Queued(RunId),
    /// It had ended before; how.
    Ended {
        /// Which run.
        run_id: RunId,
        /// Its state.
        state: String,
    },
    /// Nothing runs here, or no such run.
    Nothing,
}

/// A run of this process that must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToStop {
    /// Which run.
    pub run_id: RunId,
    /// Its session was removed, and it with it; otherwise somebody asked to stop it.
    pub is_gone: bool,
}

/// A run that was taken over.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenOver {
    /// The run under its new fence.
    pub run: Claimed,
    /// Somebody had asked to stop it.
    pub cancel_requested: bool,
    /// Processes that show the session.
    pub watchers: Vec<NodeId>,
}

fn attempt(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn user(text: &str) -> Result<UserId, StoreError> {
    UserId::new(text).map_err(|_| StoreError::Inconsistent {
        table: "runs",
        column: "user_id",
    })
}

fn nodes(ids: Vec<i32>) -> Vec<NodeId> {
    ids.into_iter().map(NodeId).collect()
}

impl Store {
    /// The run in progress in a session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_active_run(&self, key: &SessionKey) -> Result<Option<ActiveRun>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT run_id, attempt, query_message_id, query_seq, answer_message_id, node_id,
                   coalesce(started_at, queued_at) AS "at!"
            FROM agent.runs
            WHERE user_id = $1 AND session_id = $2 AND state = 'running'
            "#,
            key.user_id.as_str(),
            key.session_id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| ActiveRun {
            run_id: RunId(row.run_id),
            attempt: attempt(row.attempt),
            query_id: MessageId(row.query_message_id),
            query_seq: Seq(row.query_seq),
            answer_id: MessageId(row.answer_message_id),
            node: row.node_id.map(NodeId),
            started_at: Timestamp(row.at),
        }))
    }

    /// Starts up to `limit` waiting runs on a process, each with the processes that show its session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_runs(
        &self,
        node: NodeId,
        limit: u32,
        max_runs_per_user: u32,
    ) -> Result<Vec<(Claimed, Vec<NodeId>)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT user_id AS "user_id!", session_id AS "session_id!", run_id AS "run_id!",
                   query_message_id AS "query_message_id!", query_seq AS "query_seq!",
                   answer_message_id AS "answer_message_id!", requested_model, fence AS "fence!", attempt AS "attempt!",
                   watchers AS "watchers!"
            FROM agent.claim_runs($1, $2, $3)
            "#,
            node.0,
            i32::try_from(limit).unwrap_or(i32::MAX),
            i32::try_from(max_runs_per_user).unwrap_or(i32::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let run = Claimed {
                    key: SessionKey {
                        user_id: user(&row.user_id)?,
                        session_id: SessionId(row.session_id),
                    },
                    run_id: RunId(row.run_id),
                    fence: Fence(row.fence),
                    attempt: attempt(row.attempt),
                    query_id: MessageId(row.query_message_id),
                    query_seq: Seq(row.query_seq),
                    answer_id: MessageId(row.answer_message_id),
                    model: row.requested_model,
                    session: None,
                    origin: Origin::Row,
                };
                Ok((run, nodes(row.watchers)))
            })
            .collect()
    }

    /// Asks that a run stop: the one named, or the one in progress.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel_run(
        &self,
        key: &SessionKey,
        run: Option<RunId>,
    ) -> Result<CancelOutcome, StoreError> {
        let row = sqlx::query!(
            r#"
            WITH asked AS (
                UPDATE agent.runs
                SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
                WHERE user_id = $1 AND session_id = $2 AND state = 'running' AND ($3::uuid IS NULL OR run_id = $3)
                RETURNING run_id, state, node_id
            )
            SELECT run_id AS "run_id!", state AS "state!", node_id
            FROM asked
            UNION ALL
            SELECT run_id, state, node_id
            FROM agent.runs
            WHERE user_id = $1 AND session_id = $2 AND run_id = $3 AND state <> 'running'
            LIMIT 1
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            run.map(|run| run.0),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match row {
            None => CancelOutcome::Nothing,
            Some(row) => {
                let run_id = RunId(row.run_id);
                match row.state.as_str() {
                    "running" => CancelOutcome::Requested {
                        run_id,
                        node: row.node_id.map(NodeId),
                    },
                    "queued" => CancelOutcome::Queued(run_id),
                    _ => CancelOutcome::Ended {
                        run_id,
                        state: row.state,
                    },
                }
            }
        })
    }

    /// Of these runs those that must not go on: somebody asked to stop them, or they are gone with their session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_to_stop(&self, executing: &[(SessionKey, RunId)]) -> Result<Vec<ToStop>, StoreError> {
        let (users, sessions) = columns(executing.iter().map(|(key, _)| key));
        let runs: Vec<Uuid> = executing.iter().map(|(_, run)| run.0).collect();
        let rows = sqlx::query!(
            r#"
            SELECT x.run_id AS "run_id!", r.run_id IS NULL AS "is_gone!"
            FROM unnest($1::text[], $2::uuid[], $3::uuid[]) AS x (user_id, session_id, run_id)
            LEFT JOIN agent.runs AS r
                   ON r.user_id = x.user_id AND r.session_id = x.session_id AND r.run_id = x.run_id
            WHERE r.run_id IS NULL OR (r.state = 'running' AND r.cancel_requested_at IS NOT NULL)
            "#,
            &users,
            &sessions,
            &runs,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ToStop {
                run_id: RunId(row.run_id),
                is_gone: row.is_gone,
            })
            .collect())
    }

    /// Runs whose process has let its lease run out, and those of this process that were started longer ago than
    /// `stray_after` and are not among those that it is `executing`. What it executes must not count towards the limit:
    /// its own long answers would hide those of the dead.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn orphans(
        &self,
        node: NodeId,
        executing: &[RunId],
        stray_after: Duration,
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        let executing: Vec<Uuid> = executing.iter().map(|run| run.0).collect();
        let rows = sqlx::query!(
            r#"
            SELECT r.user_id, r.session_id, r.run_id, r.query_message_id, r.query_seq, r.answer_message_id, r.requested_model,
                   r.fence, r.attempt
            FROM agent.runs AS r
            LEFT JOIN agent.nodes AS n ON n.node_id = r.node_id
            WHERE r.state = 'running'
              AND (n.node_id IS NULL
                   OR (r.node_id <> $1 AND n.lease_until < clock_timestamp())
                   OR (r.node_id = $1 AND r.started_at < clock_timestamp() - make_interval(secs => $2)))
              AND r.run_id <> ALL ($4)
            LIMIT $3
            "#,
            node.0,
            stray_after.as_secs_f64(),
            i64::from(limit),
            &executing,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Claimed {
                    key: SessionKey {
                        user_id: user(&row.user_id)?,
                        session_id: SessionId(row.session_id),
                    },
                    run_id: RunId(row.run_id),
                    fence: Fence(row.fence),
                    attempt: attempt(row.attempt),
                    query_id: MessageId(row.query_message_id),
                    query_seq: Seq(row.query_seq),
                    answer_id: MessageId(row.answer_message_id),
                    model: row.requested_model,
                    session: None,
                    origin: Origin::Row,
                })
            })
            .collect()
    }

    /// Makes a dead process's run this process's. `None` when somebody else was quicker or it ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_over_run(
        &self,
        node: NodeId,
        orphan: &Claimed,
    ) -> Result<Option<TakenOver>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT fence AS "fence!", attempt AS "attempt!", cancel_requested AS "cancel_requested!", watchers AS "watchers!"
            FROM agent.take_over_run($1, $2, $3, $4, $5)
            "#,
            node.0,
            orphan.key.user_id.as_str(),
            orphan.key.session_id.0,
            orphan.run_id.0,
            orphan.fence.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| TakenOver {
            run: Claimed {
                fence: Fence(row.fence),
                attempt: attempt(row.attempt),
                ..orphan.clone()
            },
            cancel_requested: row.cancel_requested,
            watchers: nodes(row.watchers),
        }))
    }

    /// Puts a run of this process back in front of its queue. `None` when it is no longer this process's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_run(&self, run: &Claimed) -> Result<Option<Vec<NodeId>>, StoreError> {
        let watchers = sqlx::query_scalar!(
            "SELECT agent.release_run($1, $2, $3, $4)",
            run.key.user_id.as_str(),
            run.key.session_id.0,
            run.run_id.0,
            run.fence.0,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(watchers.map(nodes))
    }
}
