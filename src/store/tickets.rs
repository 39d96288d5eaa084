//! Tickets: kept by their hash, used once by whichever process is shown them, swept away when nobody came.

use std::time::Duration;

use time::OffsetDateTime;

use super::{Store, StoreError};
use crate::ids::UserId;
use crate::protocol::text::Timestamp;

/// Whose a ticket is, and what its token said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketHolder {
    /// Whose.
    pub user_id: UserId,
    /// `jti`.
    pub token_id: Option<String>,
    /// `iat`.
    pub token_issued_at: Option<OffsetDateTime>,
    /// `exp`.
    pub token_expires_at: OffsetDateTime,
}

impl Store {
    /// Keeps a ticket for a while, and says until when. `None` when the user has `max` that were not used yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_ticket(
        &self,
        hash: &[u8],
        holder: &TicketHolder,
        life: Duration,
        max: u32,
    ) -> Result<Option<Timestamp>, StoreError> {
        let expires_at = sqlx::query_scalar!(
            r#"
            INSERT INTO agent.tickets (ticket_hash, user_id, token_id, token_issued_at, token_expires_at, expires_at)
            SELECT $1, $2, $3, $4, $5, date_trunc('milliseconds', clock_timestamp()) + make_interval(secs => $6)
            WHERE (SELECT count(*) FROM agent.tickets AS t WHERE t.user_id = $2 AND t.expires_at > clock_timestamp()) < $7
            RETURNING expires_at
            "#,
            hash,
            holder.user_id.as_str(),
            holder.token_id.as_deref(),
            holder.token_issued_at,
            holder.token_expires_at,
            life.as_secs_f64(),
            i64::from(max),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(expires_at.map(Timestamp))
    }

    /// Uses a ticket: it is gone, whatever becomes of who showed it. `None` when there is none, or it is too old. Of two that
    /// show the same one at the same time, one gets it.
    ///
    /// # Errors
    /// When the database fails; whether it was used is then unknown.
    pub async fn take_ticket(&self, hash: &[u8]) -> Result<Option<TicketHolder>, StoreError> {
        let row = sqlx::query!(
            r#"
            DELETE FROM agent.tickets
            WHERE ticket_hash = $1
            RETURNING user_id, token_id, token_issued_at, token_expires_at, expires_at > clock_timestamp() AS "is_good!"
            "#,
            hash,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row.filter(|row| row.is_good) else {
            return Ok(None);
        };
        let user_id = UserId::new(&row.user_id).map_err(|_| StoreError::Inconsistent {
            table: "tickets",
            column: "user_id",
        })?;
        Ok(Some(TicketHolder {
            user_id,
            token_id: row.token_id,
            token_issued_at: row.token_issued_at,
            token_expires_at: row.token_expires_at,
        }))
    }

    /// Removes tickets that nobody used in time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_tickets(&self) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM agent.tickets WHERE expires_at < clock_timestamp()")
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
