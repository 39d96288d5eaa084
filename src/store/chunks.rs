//! Text of answers being written: written behind in bulk, read by other processes and after a crash, gone in minutes.

use std::time::Duration;

use sqlx::PgConnection;

use super::line::Line;
use super::{Store, StoreError, column, columns, in_time};
use crate::ids::{NodeId, RunId, Seq, SessionKey};
use crate::log::Claim;

/// A piece of an answer to be stored.
#[derive(Clone, Debug)]
pub struct NewChunk {
    /// Whose session.
    pub key: SessionKey,
    /// Under which claim of which run it is written.
    pub claim: Claim,
    /// Which try.
    pub attempt: u32,
    /// Where it stands, in bytes of UTF-8.
    pub start_at: usize,
    /// The text.
    pub content: String,
    /// The prompt's record, with the first piece.
    pub prompt: Option<PromptRecord>,
    /// The provider's handle on the generation, once known.
    pub generation_id: Option<String>,
}

/// What the model saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptRecord {
    /// `seq` of each message, in the prompt's order.
    pub seqs: Vec<Seq>,
    /// Estimated tokens.
    pub tokens: usize,
}

impl PromptRecord {
    /// As a `bigint[]` literal: arrays of arrays cannot be bound.
    pub(super) fn seqs_literal(&self) -> String {
        let seqs: Vec<String> = self.seqs.iter().map(ToString::to_string).collect();
        format!("{{{}}}", seqs.join(","))
    }

    /// The estimate as the column's type.
    pub(super) fn tokens_column(&self) -> i32 {
        i32::try_from(self.tokens).unwrap_or(i32::MAX)
    }
}

/// What became of a run's pieces.
#[derive(Clone, Debug)]
pub struct ChunkStatus {
    /// Which run.
    pub run_id: RunId,
    /// Processes that show the session.
    pub watchers: Vec<NodeId>,
    /// Somebody asked to stop it.
    pub cancel_requested: bool,
}

/// Stores pieces of answers, over a connection of its own: through the pool the statement was planned anew at most ticks, and then for
/// what it found on that day. With 400 streams Postgres took 1.15 s of CPU for 100,000 tokens so, and takes 0.37 (four rounds each).
#[derive(Debug)]
pub struct ChunkWriter {
    line: Line,
    /// The last call failed, after it stored its pieces or before.
    in_doubt: bool,
}

impl ChunkWriter {
    /// Stores pieces of any number of answers in one statement. Runs that are not in the result are no longer this
    /// process's: this call stored nothing for them.
    ///
    /// # Errors
    /// When the database fails. The same pieces can be written again: what is stored by then is not stored twice.
    pub async fn write(&mut self, chunks: &[NewChunk]) -> Result<Vec<ChunkStatus>, StoreError> {
        let written = in_time(self.write_all(chunks)).await;
        self.in_doubt = written.is_err();
        written
    }

    async fn write_all(&mut self, chunks: &[NewChunk]) -> Result<Vec<ChunkStatus>, StoreError> {
        let mut connection = self.line.take().await?;
        let written = insert(&mut connection, chunks, self.in_doubt).await?;
        self.line.keep(connection);
        Ok(written)
    }
}

/// Stores pieces in one statement. `in_doubt`: some may be stored already.
#[expect(clippy::too_many_lines, reason = "one statement with its columns")]
async fn insert(
    connection: &mut PgConnection,
    chunks: &[NewChunk],
    in_doubt: bool,
) -> Result<Vec<ChunkStatus>, StoreError> {
    let (users, sessions) = columns(chunks.iter().map(|c| &c.key));
    let rows = sqlx::query!(
        r#"
        WITH input AS (
            SELECT *
            FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::integer[], $6::integer[], $7::text[],
                        $8::text[], $9::integer[], $10::text[])
                 AS x (user_id, session_id, run_id, fence, attempt, start_at, content, prompt, tokens, generation_id)
            -- The order in which all lock sessions who lock several.
            ORDER BY user_id COLLATE "C", session_id
        ),
        mine AS MATERIALIZED (
            SELECT i.*, r.cancel_requested_at, s.watchers
            FROM input AS i
            -- Looked up by key, one by one (OFFSET): joined flatly, on empty tables, it was planned as a walk through all sessions.
            CROSS JOIN LATERAL (
                SELECT r.user_id, r.session_id, r.cancel_requested_at
                FROM agent.runs AS r
                WHERE r.user_id = i.user_id AND r.session_id = i.session_id AND r.run_id = i.run_id
                  AND r.state = 'running' AND r.fence = i.fence
                OFFSET 0
            ) AS r
            -- The session's lock: one that is being removed takes these pieces with it, or there is none any more. Written after
            -- it, they would be there for minutes. After the run, so that no session is locked whose run is over: who claims
            -- the next one would pass it by.
            CROSS JOIN LATERAL (
                SELECT s.watchers
                FROM agent.sessions AS s
                WHERE s.user_id = r.user_id AND s.session_id = r.session_id
                OFFSET 0
                FOR KEY SHARE
            ) AS s
        ),
        stored AS (
            INSERT INTO agent.chunks (user_id, session_id, run_id, attempt, start_at, content)
            SELECT m.user_id, m.session_id, m.run_id, m.attempt, m.start_at, m.content
            FROM mine AS m
            WHERE m.content <> ''
              AND NOT ($11 AND EXISTS (
                  SELECT 1 FROM agent.chunks AS c
                  WHERE c.user_id = m.user_id AND c.session_id = m.session_id AND c.run_id = m.run_id
                    AND c.attempt = m.attempt AND c.start_at = m.start_at
                  OFFSET 0))
        ),
        recorded AS (
            UPDATE agent.runs AS r
            SET prompt_seqs = coalesce(m.prompt::bigint[], r.prompt_seqs),
                prompt_tokens = coalesce(m.tokens, r.prompt_tokens),
                provider_generation_id = coalesce(m.generation_id, r.provider_generation_id)
            FROM mine AS m
            WHERE (m.prompt IS NOT NULL OR m.generation_id IS NOT NULL)
              AND r.user_id = m.user_id AND r.session_id = m.session_id AND r.run_id = m.run_id
              -- Runs of this fence that go on; asked for by their state, they were looked for among all that do.
              AND r.fence = m.fence AND r.ended_at IS NULL
        )
        SELECT run_id AS "run_id!", watchers AS "watchers!", cancel_requested_at IS NOT NULL AS "cancel_requested!"
        FROM mine
        "#,
        &users,
        &sessions,
        &column(chunks, |c| c.claim.run_id.0),
        &column(chunks, |c| c.claim.fence.0),
        &column(chunks, |c| i32::try_from(c.attempt).unwrap_or(i32::MAX)),
        &column(chunks, |c| i32::try_from(c.start_at).unwrap_or(i32::MAX)),
        &column(chunks, |c| c.content.clone()),
        &column(chunks, |c| c.prompt.as_ref().map(PromptRecord::seqs_literal)) as &[Option<String>],
        &column(chunks, |c| c.prompt.as_ref().map(PromptRecord::tokens_column)) as &[Option<i32>],
        &column(chunks, |c| c.generation_id.clone()) as &[Option<String>],
        in_doubt,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ChunkStatus {
            run_id: RunId(row.run_id),
            watchers: row.watchers.into_iter().map(NodeId).collect(),
            cancel_requested: row.cancel_requested,
        })
        .collect())
}

impl Store {
    /// Who stores pieces of answers; not connected yet.
    pub fn chunk_writer(&self) -> ChunkWriter {
        ChunkWriter {
            line: self.line(),
            in_doubt: false,
        }
    }

    /// The stored text of a try at an answer from a byte on: contiguous pieces only.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn chunk_text(
        &self,
        key: &SessionKey,
        run: RunId,
        attempt: u32,
        from: usize,
    ) -> Result<String, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT start_at, content
            FROM agent.chunks
            WHERE user_id = $1 AND session_id = $2 AND run_id = $3 AND attempt = $4 AND start_at >= $5
            ORDER BY start_at
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            run.0,
            i32::try_from(attempt).unwrap_or(i32::MAX),
            i32::try_from(from).unwrap_or(i32::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        let mut text = String::new();
        for row in rows {
            if usize::try_from(row.start_at).ok() != Some(from + text.len()) {
                break;
            }
            text.push_str(&row.content);
        }
        Ok(text)
    }

    /// Removes pieces older than this, except those of answers still being written. At most `limit` at a time, so that
    /// no statement holds many rows.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_chunks(&self, older_than: Duration, limit: u32) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            r#"
            WITH old AS MATERIALIZED (
                SELECT c.tableoid, c.ctid FROM agent.chunks AS c
                WHERE c.created_at < clock_timestamp() - make_interval(secs => $1)
                  AND NOT EXISTS (
                      SELECT 1 FROM agent.runs AS r
                      WHERE r.user_id = c.user_id AND r.session_id = c.session_id AND r.run_id = c.run_id
                        AND r.state IN ('queued', 'running'))
                LIMIT $2
            )
            DELETE FROM agent.chunks AS c
            WHERE c.ctid = ANY (ARRAY(SELECT o.ctid FROM old AS o))
              -- In a table that is cut into parts each part has such a place.
              AND (c.tableoid, c.ctid) IN (SELECT o.tableoid, o.ctid FROM old AS o)
            "#,
            older_than.as_secs_f64(),
            i64::from(limit),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
