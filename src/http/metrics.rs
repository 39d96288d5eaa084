//! `/metrics`, for operators only.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::metrics::CONTENT_TYPE;
use crate::service::Service;

/// `GET /metrics`.
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let text = service.metrics.text(service.hub.count_connections());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}
