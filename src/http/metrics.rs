//! `/metrics`, for operators only.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::auth::AuthError;
use crate::metrics::{Format, Readings};
use crate::service::Service;

/// `GET /metrics`.
pub(super) async fn metrics(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    // Each reason is shown before it first occurs; the counters themselves know none.
    service
        .metrics
        .refusals
        .reasons_for_tokens(AuthError::ALL.iter().map(|reason| reason.label()));
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let format = Format::wanted(accept);
    let text = service.metrics.text(readings(&service), format);
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}

/// How things are now. Asks memory only: a database that is away must not take the metrics with it.
fn readings(service: &Service) -> Readings {
    let pool = service.store.pool_use();
    Readings {
        connections: service.hub.count_connections(),
        rooms: service.hub.count_rooms(),
        runs: service.runs.count(),
        append_queue: service.appender.waiting(),
        pool_used: pool.used,
        pool_idle: pool.idle,
        pool_max: pool.max,
        rate_keys: service.limiter.n_keys(),
        draining: service.tasks.drain().is_cancelled(),
    }
}
