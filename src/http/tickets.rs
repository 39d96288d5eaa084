//! `/v1/tickets`: what stands in for the token in a URL, once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::identity::Identity;
use super::problem::Problem;
use crate::protocol::body::Ticket;
use crate::service::Service;

/// `POST /v1/tickets`.
pub(super) async fn make(
    State(service): State<Arc<Service>>,
    Identity(principal): Identity,
) -> Result<Response, Problem> {
    let (ticket, expires_at) = service.make_ticket(&principal).await?;
    let body = Json(Ticket {
        ticket: ticket.expose(),
        expires_at,
    });
    // Like a token, it is nobody's business on the way.
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], body).into_response())
}
