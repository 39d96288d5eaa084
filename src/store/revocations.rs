//! What was revoked: the whole list, what is new in it, whose answers have to stop for it, and revoking itself.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::ids::{RunId, SessionId, SessionKey, UserId};
use crate::protocol::text::Timestamp;

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRow {
    /// Whose tokens; `None` = everybody's.
    pub subject: Option<String>,
    /// Only this one.
    pub token_id: Option<String>,
    /// Those that were issued earlier.
    pub issued_before: OffsetDateTime,
}

/// What a look at the list saw: the next one begins here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationHorizon(String);

/// What to revoke.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewRevocation {
    /// Whose tokens.
    pub user_id: Option<UserId>,
    /// Which one.
    pub token_id: Option<String>,
    /// Those that were issued earlier.
    pub issued_before: Option<Timestamp>,
    /// How long to remember it.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// The list since a look, or the whole of it. What was in the last look may be in this one again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revocations(
        &self,
        since: Option<&RevocationHorizon>,
    ) -> Result<(Vec<RevocationRow>, RevocationHorizon), StoreError> {
        // The oldest transaction that had not ended when the last look was made: what it and later ones inserted.
        let since = since.map_or("0", |horizon| horizon.0.as_str());
        let rows = sqlx::query!(
            r#"
            SELECT now.horizon AS "horizon!", r.revocation_id AS "revocation_id?", r.subject, r.token_id,
                   -- The calendar here ends before infinity.
                   least(r.issued_before, '9999-12-31') AS issued_before
            FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon) AS now
            LEFT JOIN agent.revocations AS r
                   ON r.inserted_by >= $1::text::xid8 AND r.expires_at > clock_timestamp()
            "#,
            since,
        )
        .fetch_all(&self.pool)
        .await?;
        let horizon = rows
            .first()
            .map_or_else(|| since.to_owned(), |row| row.horizon.clone());
        let rows = rows.into_iter().filter(|row| row.revocation_id.is_some());
        let list = rows
            .filter_map(|row| {
                Some(RevocationRow {
                    subject: row.subject,
                    token_id: row.token_id,
                    issued_before: row.issued_before?,
                })
            })
            .collect();
        Ok((list, RevocationHorizon(horizon)))
    }

    /// Answers, being written or waiting, of users whose tokens were revoked, that were asked for until a second after that:
    /// by then no process accepts the revoked tokens. Those that wait come first, the latest before the others: once they are gone
    /// no end of an answer starts another. At most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_of_revoked(&self, limit: u32) -> Result<Vec<(SessionKey, RunId)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT r.user_id AS "user_id!", r.session_id AS "session_id!", r.run_id AS "run_id!"
            FROM (
                SELECT * FROM agent.runs WHERE state = 'running' AND cancel_requested_at IS NULL
                UNION ALL
                SELECT * FROM agent.runs WHERE state = 'queued'
            ) AS r
            WHERE EXISTS (
                  SELECT 1 FROM agent.revocations AS v
                  WHERE v.subject = r.user_id AND v.token_id IS NULL
                    AND r.queued_at < v.revoked_at + interval '1 second')
            ORDER BY (r.state = 'queued') DESC, r.queued_at DESC
            LIMIT $1
            "#,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let user_id = UserId::new(&row.user_id).map_err(|_| StoreError::Inconsistent {
                    table: "runs",
                    column: "user_id",
                })?;
                let session_id = SessionId(row.session_id);
                Ok((SessionKey { user_id, session_id }, RunId(row.run_id)))
            })
            .collect()
    }

    /// Revokes, and returns the row's id.
    ///
    /// # Errors
    /// When the database fails, or refuses what is asked.
    pub async fn revoke(&self, revocation: &NewRevocation) -> Result<Uuid, StoreError> {
        let id = sqlx::query_scalar!(
            r#"SELECT agent.revoke(user_id => $1, token_id => $2, issued_before => $3, expires_at => $4) AS "id!""#,
            revocation.user_id.as_ref().map(UserId::as_str),
            revocation.token_id.as_deref(),
            revocation.issued_before.map(|moment| moment.0),
            revocation.expires_at.map(|moment| moment.0),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(id)
    }

    /// Removes revocations whose tokens have ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_revocations(&self) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM agent.revocations WHERE expires_at < clock_timestamp()")
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
