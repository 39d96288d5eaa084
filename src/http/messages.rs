//! `/v1/sessions/{id}/messages`: page through the history, send a query.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::body::Body;
use super::identity::Identity;
use super::problem::Problem;
use super::sessions::{check_limit, key};
use super::trace::traceparent;
use crate::ids::{ClientName, MessageId, Seq};
use crate::protocol::body::{MessagePage, NewQuery, Queued, Range};
use crate::protocol::client::{self, check_content, check_metadata};
use crate::service::Service;
use crate::service::views::items;

/// `GET /v1/sessions/{id}/messages`: in order; the newest where neither end is named.
pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    Path(id): Path<String>,
    range: Result<Query<Range>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<MessagePage>, Problem> {
    let Query(range) = range.map_err(|_| Problem::bad_request("before, after and limit must be numbers"))?;
    let limit = check_limit(range.limit)?;
    let key = key(&user.user_id, &id)?;
    let session = service.find(&key).await?;
    let messages = match (range.before, range.after) {
        (Some(_), Some(_)) => return Err(Problem::bad_request("name before or after, not both")),
        (before, None) => service.history(&key, before.map(Seq), limit).await?,
        (None, Some(after)) => service.history_after(&key, Seq(after), limit).await?,
    };
    Ok(Json(MessagePage {
        messages: items(messages),
        head: session.last_seq,
    }))
}

/// `POST /v1/sessions/{id}/messages`: 202 once the query is durable. `Idempotency-Key` is the query's `id`.
pub(super) async fn send(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = key(&user.user_id, &id)?;
    let new: NewQuery = body.read()?;
    let query = client::Query {
        id: idempotency_key(&headers, new.id)?,
        content: check_content(new.content)?,
        priority: new.priority,
        on_busy: new.on_busy,
        model: new.model,
        metadata: check_metadata(new.metadata)?,
    };
    let accepted = service
        .ask(&key, MessageId::new(), query, traceparent(&headers))
        .await?;
    let body = Queued {
        session_id: key.session_id,
        seq: accepted.seq,
        message_id: accepted.message_id,
        run_id: accepted.run_id,
        queue_position: accepted.queue_position,
        duplicate: accepted.duplicate,
        created_at: accepted.created_at,
    };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

fn idempotency_key(headers: &HeaderMap, id: Option<ClientName>) -> Result<Option<ClientName>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(id);
    };
    let text = value
        .to_str()
        .map_err(|_| Problem::bad_request("Idempotency-Key cannot be read"))?;
    let name = ClientName::new(text.trim_matches('"'))
        .map_err(|error| Problem::bad_request(format!("Idempotency-Key {error}")))?;
    match id {
        Some(id) if id != name => Err(Problem::bad_request("id and Idempotency-Key differ")),
        _ => Ok(Some(name)),
    }
}
