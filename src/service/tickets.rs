//! Tickets: made for who shows a token over HTTP, used once by who opens a socket with it, on any process.

use std::time::Duration;

use super::{Service, unavailable};
use crate::auth::{AuthError, Principal, Ticket};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::text::Timestamp;
use crate::store::in_time;
use crate::store::tickets::TicketHolder;

/// How long a ticket can be used: from a page's request to its socket.
const TICKET_LIFE: Duration = Duration::from_secs(30);

/// Tickets of one user that were not used yet: more than that many tabs do not open in one life.
const MAX_TICKETS: u32 = 100;

impl Service {
    /// Makes a ticket for a user, and says until when it can be used.
    ///
    /// # Errors
    /// `rate_limited` when the user holds too many.
    pub async fn make_ticket(&self, principal: &Principal) -> Result<(Ticket, Timestamp), Refusal> {
        let ticket = Ticket::random();
        let holder = TicketHolder {
            user_id: principal.user_id.clone(),
            token_id: principal.token_id.clone(),
            token_issued_at: principal.issued_at,
            token_expires_at: principal.expires_at,
        };
        let hash = ticket.hash();
        let put = self.store.put_ticket(&hash, &holder, TICKET_LIFE, MAX_TICKETS);
        match in_time(put).await.map_err(|error| unavailable(&error))? {
            Some(expires_at) => Ok((ticket, expires_at)),
            None => Err(Refusal::new(
                ErrorCode::RateLimited,
                "Too many tickets that were not used (tickets_per_user)",
            )
            .after(TICKET_LIFE)),
        }
    }

    /// Uses a ticket: who holds it is who showed the token that it was made with, until that token's end.
    ///
    /// # Errors
    /// As for a token.
    pub async fn use_ticket(&self, text: &str) -> Result<Principal, AuthError> {
        let ticket = Ticket::parse(text).ok_or(AuthError::Ticket)?;
        let taken = in_time(self.store.take_ticket(&ticket.hash())).await;
        let holder = taken.map_err(|error| {
            tracing::error!(error = %error, kind = error.label(), "a ticket could not be looked up");
            AuthError::TicketsUnavailable
        })?;
        let holder = holder.ok_or(AuthError::Ticket)?;
        self.auth.recheck(Principal {
            user_id: holder.user_id,
            expires_at: holder.token_expires_at,
            issued_at: holder.token_issued_at,
            token_id: holder.token_id,
            issuer: None,
            // For a socket they mean nothing.
            scopes: Vec::new(),
        })
    }
}
