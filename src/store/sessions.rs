//! Sessions: list, rename, clear, choose a model, delete; `create` and `open` have how they come, `watch` who shows them. The owner is in every
//! `WHERE`.

mod create;
mod open;
mod watch;

pub use create::{Creator, CreatorTask, Mail};
pub use open::{Opener, OpenerTask, Stretch, Watched};
pub use watch::Known;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::ids::{Fence, NodeId, RunId, Seq, SessionId, SessionKey, UserId};
use crate::protocol::text::Timestamp;

/// A session as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Which one.
    pub session_id: SessionId,
    /// Its title, if it has one.
    pub title: Option<String>,
    /// Its model, if it is not the default.
    pub model: Option<String>,
    /// The client's own data.
    pub metadata: Value,
    /// The oldest message's place that is still kept; the place after the newest when none is.
    pub first_seq: Seq,
    /// The newest message's place.
    pub last_seq: Seq,
    /// The model sees only turns asked after this.
    pub context_after: Seq,
    /// The run in progress.
    pub active_run: Option<RunId>,
    /// Raised at each claim.
    pub fence: Fence,
    /// When it was created.
    pub created_at: Timestamp,
    /// When something was last written to it.
    pub last_activity_at: Timestamp,
}

struct SessionRow {
    session_id: Uuid,
    title: Option<String>,
    model: Option<String>,
    metadata: Value,
    first_seq: i64,
    last_seq: i64,
    context_after_seq: i64,
    active_run_id: Option<Uuid>,
    fence: i64,
    created_at: time::OffsetDateTime,
    last_activity_at: time::OffsetDateTime,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            session_id: SessionId(row.session_id),
            title: row.title,
            model: row.model,
            metadata: row.metadata,
            first_seq: Seq(row.first_seq),
            last_seq: Seq(row.last_seq),
            context_after: Seq(row.context_after_seq),
            active_run: row.active_run_id.map(RunId),
            fence: Fence(row.fence),
            created_at: Timestamp(row.created_at),
            last_activity_at: Timestamp(row.last_activity_at),
        }
    }
}

/// What a change left behind: who else must look again.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Processes that show the session.
    pub watchers: Vec<NodeId>,
    /// The process that runs its answer, if it was told to stop.
    pub owner: Option<NodeId>,
}

impl Store {
    /// Reads a session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_session(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query_as!(
            SessionRow,
            r#"
            SELECT session_id, title, model, metadata, first_seq, last_seq, context_after_seq, active_run_id, fence,
                   created_at, last_activity_at
            FROM agent.sessions
            WHERE user_id = $1 AND session_id = $2
            "#,
            key.user_id.as_str(),
            key.session_id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Session::from))
    }

    /// The user's most recently active session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_latest_session(&self, user: &UserId) -> Result<Option<SessionId>, StoreError> {
        let id = sqlx::query_scalar!(
            r#"
            SELECT session_id
            FROM agent.sessions
            WHERE user_id = $1
            ORDER BY last_activity_at DESC, session_id DESC
            LIMIT 1
            "#,
            user.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(id.map(SessionId))
    }

    /// The user's sessions, most recently active first; those after `before` in that order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_sessions(
        &self,
        user: &UserId,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query_as!(
            SessionRow,
            r#"
            SELECT session_id, title, model, metadata, first_seq, last_seq, context_after_seq, active_run_id, fence,
                   created_at, last_activity_at
            FROM agent.sessions
            WHERE user_id = $1
              AND ($2::uuid IS NULL OR (last_activity_at, session_id) < (
                      SELECT b.last_activity_at, b.session_id FROM agent.sessions AS b
                      WHERE b.user_id = $1 AND b.session_id = $2))
            ORDER BY last_activity_at DESC, session_id DESC
            LIMIT $3
            "#,
            user.as_str(),
            before.map(|id| id.0),
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    /// Gives a session a title.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rename_session(&self, key: &SessionKey, title: &str) -> Result<Option<Changed>, StoreError> {
        let watchers = sqlx::query_scalar!(
            "UPDATE agent.sessions SET title = $3 WHERE user_id = $1 AND session_id = $2 RETURNING watchers",
            key.user_id.as_str(),
            key.session_id.0,
            title,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(watchers.map(changed))
    }

    /// Starts a fresh context: older turns leave the model's window. Returns the last message that is out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clear_session(&self, key: &SessionKey) -> Result<Option<Seq>, StoreError> {
        let seq = sqlx::query_scalar!(
            r#"
            UPDATE agent.sessions
            SET context_after_seq = last_seq
            WHERE user_id = $1 AND session_id = $2
            RETURNING context_after_seq
            "#,
            key.user_id.as_str(),
            key.session_id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(seq.map(Seq))
    }

    /// Chooses a session's model; `None` for the operator's default.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_session_model(
        &self,
        key: &SessionKey,
        model: Option<&str>,
    ) -> Result<Option<Changed>, StoreError> {
        let watchers = sqlx::query_scalar!(
            "UPDATE agent.sessions SET model = $3 WHERE user_id = $1 AND session_id = $2 RETURNING watchers",
            key.user_id.as_str(),
            key.session_id.0,
            model,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(watchers.map(changed))
    }

    /// Replaces a session's own data.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_session_metadata(
        &self,
        key: &SessionKey,
        metadata: Map<String, Value>,
    ) -> Result<Option<Changed>, StoreError> {
        let watchers = sqlx::query_scalar!(
            "UPDATE agent.sessions SET metadata = $3 WHERE user_id = $1 AND session_id = $2 RETURNING watchers",
            key.user_id.as_str(),
            key.session_id.0,
            Value::Object(metadata),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(watchers.map(changed))
    }

    /// Removes a session and every row that belongs to it but what it cost, in one transaction that takes the session's
    /// lock first, so that no append can slip a row in behind.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_session(&self, key: &SessionKey) -> Result<Option<Changed>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT watchers AS "watchers!", running_on FROM agent.delete_session($1, $2)"#,
            key.user_id.as_str(),
            key.session_id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Changed {
            owner: row.running_on.map(NodeId),
            ..changed(row.watchers)
        }))
    }
}

fn changed(watchers: Vec<i32>) -> Changed {
    Changed {
        watchers: watchers.into_iter().map(NodeId).collect(),
        owner: None,
    }
}
