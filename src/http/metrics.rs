//! `/metrics`, for operators only.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::auth::AuthError;
use crate::metrics::CONTENT_TYPE;
use crate::service::Service;

/// `GET /metrics`.
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    // Each reason is shown before it first occurs; the counters themselves know none.
    service
        .metrics
        .reasons_for_refusal(AuthError::ALL.iter().map(|reason| reason.label()));
    let text = service.metrics.text(service.hub.count_connections());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}
