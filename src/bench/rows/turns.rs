//! The rows of questions and answers as this schema has them, with nothing decided: a session's row moves on and what belongs to it is
//! written, without a look at what waits, was said before, or is another's by now. Called by `floor`.

use uuid::Uuid;

use super::Rows;

/// Planned as the server's own connection plans, which suits look-ups by key.
const PLANNING: &str = "
    SET plan_cache_mode = force_generic_plan;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET enable_seqscan = off";

const FUNCTION: &str = "
    CREATE OR REPLACE FUNCTION public.bench_turns(
        q_session uuid[], q_run uuid[], q_client text[], q_content text[], a_session uuid[], a_run uuid[], a_content text[]
    ) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF cardinality(q_session) > 0 THEN
            WITH moved AS MATERIALIZED (
                UPDATE agent.sessions AS s
                SET last_seq = s.last_seq + 1, stored_bytes = s.stored_bytes + octet_length(q_content[k.ord]),
                    title = coalesce(s.title, left(q_content[k.ord], 60)), active_run_id = q_run[k.ord], fence = s.fence + 1,
                    last_activity_at = clock_timestamp()
                FROM unnest(q_session) WITH ORDINALITY AS k (session_id, ord)
                WHERE s.user_id = k.session_id::text AND s.session_id = k.session_id
                RETURNING k.ord, s.user_id, s.session_id, s.last_seq, s.active_run_id, s.fence, s.last_activity_at
            ),
            said AS (
                INSERT INTO agent.messages (user_id, session_id, seq, message_id, client_id, role, content, run_id, created_at)
                SELECT user_id, session_id, last_seq, active_run_id, q_client[ord], 'user', q_content[ord], active_run_id,
                       last_activity_at
                FROM moved
            )
            INSERT INTO agent.runs (user_id, session_id, run_id, state, query_message_id, query_seq, answer_message_id, priority,
                                    queue_order, attempt, fence, node_id, queued_at, started_at)
            SELECT user_id, session_id, active_run_id, 'running', active_run_id, last_seq, gen_random_uuid(), 2, last_seq, 1, fence,
                   1, last_activity_at, last_activity_at
            FROM moved;
        END IF;
        IF cardinality(a_session) > 0 THEN
            WITH moved AS MATERIALIZED (
                UPDATE agent.sessions AS s
                SET last_seq = s.last_seq + 1, stored_bytes = s.stored_bytes + octet_length(a_content[k.ord]),
                    active_run_id = NULL, last_activity_at = clock_timestamp()
                FROM unnest(a_session) WITH ORDINALITY AS k (session_id, ord)
                WHERE s.user_id = k.session_id::text AND s.session_id = k.session_id
                RETURNING k.ord, s.user_id, s.session_id, s.last_seq, s.last_activity_at
            ),
            ended AS MATERIALIZED (
                UPDATE agent.runs AS r
                SET state = 'complete', model = 'bench/scripted', finish_reason = 'stop', ended_at = m.last_activity_at
                FROM moved AS m
                WHERE r.user_id = m.user_id AND r.session_id = m.session_id AND r.run_id = a_run[m.ord]
                RETURNING m.*, r.run_id, r.query_message_id, r.answer_message_id, r.attempt
            ),
            took AS (
                INSERT INTO agent.usage (user_id, session_id, run_id, attempt, model, source, output_tokens, created_at)
                SELECT user_id, session_id, run_id, attempt, 'bench/scripted', 'estimated', octet_length(a_content[ord]) / 4,
                       last_activity_at
                FROM ended
            )
            INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, in_reply_to, run_id, model,
                                        finish_reason, created_at)
            SELECT user_id, session_id, last_seq, answer_message_id, 'assistant', a_content[ord], query_message_id, run_id,
                   'bench/scripted', 'stop', last_activity_at
            FROM ended;
        END IF;
    END
    $$";

/// A question that a run answers, or that run's answer.
#[derive(Debug)]
pub(in crate::bench) struct Part {
    /// Whose user has its name.
    pub(in crate::bench) session: Uuid,
    pub(in crate::bench) run: Uuid,
    /// A question has the client's own id.
    pub(in crate::bench) asked_as: Option<String>,
    pub(in crate::bench) content: String,
}

impl Rows {
    /// Makes what [`Rows::append_parts`] calls.
    pub(in crate::bench) async fn create_turns(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql(FUNCTION).execute(&mut self.0).await?;
        Ok(())
    }

    /// From here on this connection plans as the server's does.
    pub(in crate::bench) async fn plan_by_key(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql(PLANNING).execute(&mut self.0).await?;
        Ok(())
    }

    /// Stores questions and answers in one statement, which is one commit.
    pub(in crate::bench) async fn append_parts(&mut self, parts: &[Part]) -> Result<(), sqlx::Error> {
        let (asked, answered): (Vec<&Part>, Vec<&Part>) =
            parts.iter().partition(|part| part.asked_as.is_some());
        sqlx::query("SELECT public.bench_turns($1, $2, $3, $4, $5, $6, $7)")
            .bind(column(&asked, |part| part.session))
            .bind(column(&asked, |part| part.run))
            .bind(column(&asked, |part| part.asked_as.as_deref()))
            .bind(column(&asked, |part| part.content.as_str()))
            .bind(column(&answered, |part| part.session))
            .bind(column(&answered, |part| part.run))
            .bind(column(&answered, |part| part.content.as_str()))
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}

fn column<'p, T>(parts: &[&'p Part], of: impl Fn(&'p Part) -> T) -> Vec<T> {
    parts.iter().map(|part| of(part)).collect()
}
