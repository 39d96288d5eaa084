//! `/v1/models`: what a client may name.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::identity::Identity;
use crate::protocol::body::Models;
use crate::service::Service;

/// `GET /v1/models`: the models that a query or a session may name, and the one that answers otherwise.
pub(super) async fn list(State(service): State<Arc<Service>>, _: Identity) -> Response {
    let agent = &service.settings.agent;
    Json(Models {
        models: &agent.allowed_models,
        default: &agent.model,
    })
    .into_response()
}
