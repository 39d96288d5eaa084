//! New sessions: all that wait for one are created in one statement.
//!
//! A statement and a commit for each, and the pool's pings about it, took two thirds of the CPU time of a connect. `feed`
//! creates sessions here.

use std::collections::HashMap;

use crate::ids::{NodeId, SessionKey};
use crate::store::crowd::{self, Crowd, Waiting};
use crate::store::{Store, StoreError, columns};

/// Whether a user has notifications that were not acknowledged, as far as a look at the index tells: the rest of what decides
/// about their delivery was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// There is none.
    None,
    /// There may be some.
    Perhaps,
}

impl Mail {
    /// What a look at the index has found.
    pub(super) fn found(any: bool) -> Self {
        if any { Self::Perhaps } else { Self::None }
    }
}

/// The way to the [`CreatorTask`].
#[derive(Clone, Debug)]
pub struct Creator(Crowd<SessionKey, Option<Mail>>);

impl Creator {
    /// Creates a session that this process watches, and looks for the user's mail. `None` when the user has too many of them
    /// already, or this one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create(&self, key: &SessionKey) -> Result<Option<Mail>, StoreError> {
        self.0.ask(key.clone()).await
    }
}

/// Creates what is asked for.
#[derive(Debug)]
pub struct CreatorTask {
    store: Store,
    node: NodeId,
    max_per_user: u32,
    waiting: Waiting<SessionKey, Option<Mail>>,
}

impl CreatorTask {
    /// Creates sessions until nobody can ask any more. Who has gone away has a session that nobody uses, as if the connection
    /// had broken a moment later.
    pub async fn run(self) {
        let Self {
            store,
            node,
            max_per_user,
            waiting,
        } = self;
        let store = &store;
        let create = |keys: Vec<SessionKey>| async move {
            let asked: Vec<&SessionKey> = keys.iter().collect();
            let mut created = store.create_sessions(&asked, node, max_per_user).await?;
            // Of two who ask for the same session at once, one creates it.
            Ok(keys.iter().map(|key| created.remove(key)).collect())
        };
        waiting
            .serve(
                create,
                |error| tracing::warn!(error = %error, "sessions could not be created"),
            )
            .await;
    }
}

impl Store {
    /// A task that creates sessions for this process, and the way to it. `max_per_user`: sessions that a user may have; 0 = any
    /// number.
    pub fn creator(&self, node: NodeId, max_per_user: u32) -> (Creator, CreatorTask) {
        let (crowd, waiting) = crowd::gather();
        let task = CreatorTask {
            store: self.clone(),
            node,
            max_per_user,
            waiting,
        };
        (Creator(crowd), task)
    }

    /// Creates sessions that a process watches. Left out of the result are those that exist, and those of users who have `max`
    /// of them (0 = no limit).
    ///
    /// # Errors
    /// When the database fails; then there is none of them.
    pub async fn create_sessions(
        &self,
        keys: &[&SessionKey],
        watcher: NodeId,
        max: u32,
    ) -> Result<HashMap<SessionKey, Mail>, StoreError> {
        let (users, sessions) = columns(keys.iter().copied());
        // The place among the user's own in this batch keeps the limit exact. Rows are inserted in key order, like every
        // batch, so that no two batches wait for each other.
        let rows = sqlx::query!(
            r#"
            WITH asked AS (
                SELECT k.user_id, k.session_id, k.ord, row_number() OVER (PARTITION BY k.user_id ORDER BY k.ord) AS place
                FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS k (user_id, session_id, ord)
            ),
            created AS (
                INSERT INTO agent.sessions (user_id, session_id, watchers)
                SELECT a.user_id, a.session_id, ARRAY[$3::integer]
                FROM asked AS a
                WHERE $4::bigint = 0
                   OR (SELECT count(*) FROM agent.sessions AS s WHERE s.user_id = a.user_id) + a.place <= $4::bigint
                ORDER BY a.user_id COLLATE "C", a.session_id
                ON CONFLICT (user_id, session_id) DO NOTHING
                RETURNING user_id, session_id
            )
            SELECT a.ord AS "ord!",
                   EXISTS (SELECT 1 FROM agent.notifications AS n
                           WHERE n.user_id = a.user_id AND n.acknowledged_at IS NULL) AS "has_mail!"
            FROM asked AS a
            JOIN created AS c ON c.user_id = a.user_id AND c.session_id = a.session_id
            "#,
            &users,
            &sessions,
            watcher.0,
            i64::from(max),
        )
        .fetch_all(&self.pool)
        .await?;
        let created = rows.into_iter().filter_map(|row| {
            let place = usize::try_from(row.ord - 1).ok()?;
            Some(((*keys.get(place)?).clone(), Mail::found(row.has_mail)))
        });
        Ok(created.collect())
    }
}
