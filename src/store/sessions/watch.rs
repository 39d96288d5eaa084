//! Which processes show a session, and what each of them has missed.

use uuid::Uuid;

use super::{Session, SessionRow};
use crate::ids::{NodeId, RunId, Seq, SessionId, SessionKey};
use crate::store::{Store, StoreError, columns};

/// What a process knows of a session that it shows.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which session.
    pub key: SessionKey,
    /// The newest message known.
    pub head: Seq,
    /// The oldest message known to be kept.
    pub first: Seq,
    /// The run known to be in progress.
    pub run: Option<RunId>,
    /// The title known.
    pub title: Option<std::sync::Arc<str>>,
}

impl Store {
    /// Registers a process as a watcher and reads the session after that: what is committed later is either seen by this
    /// read or told to the watcher, since both go through the row's lock.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn watch_session(&self, key: &SessionKey, node: NodeId) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query_as!(
            SessionRow,
            r#"
            UPDATE agent.sessions
            SET watchers = CASE WHEN $3 = ANY (watchers) THEN watchers ELSE array_append(watchers, $3) END
            WHERE user_id = $1 AND session_id = $2
            RETURNING session_id, title, model, metadata, first_seq, last_seq, context_after_seq, active_run_id, fence,
                      created_at, last_activity_at
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            node.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Session::from))
    }

    /// Takes a process off the watchers of sessions that it no longer shows.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unwatch_sessions(&self, keys: &[SessionKey], node: NodeId) -> Result<(), StoreError> {
        let (users, sessions) = columns(keys);
        // Rows are locked in key order, like every batch, so that no two batches wait for each other.
        sqlx::query!(
            r#"
            WITH mine AS MATERIALIZED (
                SELECT s.user_id, s.session_id
                FROM unnest($1::text[], $2::uuid[]) AS k (user_id, session_id)
                JOIN agent.sessions AS s ON s.user_id = k.user_id AND s.session_id = k.session_id
                ORDER BY s.user_id, s.session_id
                FOR UPDATE OF s
            )
            UPDATE agent.sessions AS s
            SET watchers = array_remove(s.watchers, $3)
            FROM mine
            WHERE s.user_id = mine.user_id AND s.session_id = mine.session_id
            "#,
            &users,
            &sessions,
            node.0,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Which of these sessions differ from what is known of them, in one query: the slow poll of every open session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changed_sessions(&self, known: &[Known]) -> Result<Vec<SessionId>, StoreError> {
        let (users, sessions) = columns(known.iter().map(|k| &k.key));
        let heads: Vec<i64> = known.iter().map(|k| k.head.0).collect();
        let firsts: Vec<i64> = known.iter().map(|k| k.first.0).collect();
        let runs: Vec<Option<Uuid>> = known.iter().map(|k| k.run.map(|run| run.0)).collect();
        let titles: Vec<Option<String>> = known
            .iter()
            .map(|k| k.title.as_deref().map(str::to_owned))
            .collect();
        let ids = sqlx::query_scalar!(
            r#"
            SELECT k.session_id AS "session_id!"
            FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[])
                 AS k (user_id, session_id, head, first, run_id, title)
            LEFT JOIN agent.sessions AS s ON s.user_id = k.user_id AND s.session_id = k.session_id
            WHERE s.session_id IS NULL
               OR s.last_seq <> k.head
               OR s.first_seq <> k.first
               OR s.active_run_id IS DISTINCT FROM k.run_id
               OR s.title IS DISTINCT FROM k.title
            "#,
            &users,
            &sessions,
            &heads,
            &firsts,
            &runs as &[Option<Uuid>],
            &titles as &[Option<String>],
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ids.into_iter().map(SessionId).collect())
    }
}
