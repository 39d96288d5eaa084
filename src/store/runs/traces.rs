//! Which trace a run is told in: read and written beside the statements that carry it through.

use crate::ids::{RunId, SessionKey};
use crate::log::Claimed;
use crate::store::{Store, StoreError};
use crate::trace::{Parent, TraceId};

/// What a run's row says of its trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownTrace {
    /// The trace in which a try before this one was told.
    pub trace: Option<TraceId>,
    /// What the query came with.
    pub parent: Option<Parent>,
}

impl Store {
    /// What the row of a claimed run says of its trace.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run_trace(&self, run: &Claimed) -> Result<KnownTrace, StoreError> {
        let row = sqlx::query!(
            "SELECT trace_id, traceparent FROM agent.runs WHERE user_id = $1 AND session_id = $2 AND run_id = $3",
            run.key.user_id.as_str(),
            run.key.session_id.0,
            run.run_id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        // What cannot be read was written by somebody else, and is none.
        Ok(row.map_or_else(KnownTrace::default, |row| KnownTrace {
            trace: row.trace_id.and_then(|text| text.parse().ok()),
            parent: row.traceparent.and_then(|text| text.parse().ok()),
        }))
    }

    /// Keeps what a waiting run's query came with, for the process that will run it, or has just claimed it and not looked yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_parent(&self, key: &SessionKey, run: RunId, parent: Parent) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE agent.runs
            SET traceparent = $4
            WHERE user_id = $1 AND session_id = $2 AND run_id = $3 AND state IN ('queued', 'running')
              AND traceparent IS NULL
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            run.0,
            parent.to_string(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Writes in which trace this process tells a run, and what its query came with. Nothing where the run is another's by now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_trace(
        &self,
        run: &Claimed,
        trace: TraceId,
        parent: Option<Parent>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE agent.runs
            SET trace_id = $5, traceparent = coalesce(traceparent, $6)
            WHERE user_id = $1 AND session_id = $2 AND run_id = $3 AND fence = $4
            "#,
            run.key.user_id.as_str(),
            run.key.session_id.0,
            run.run_id.0,
            run.fence.0,
            trace.to_string(),
            parent.map(|parent| parent.to_string()),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
