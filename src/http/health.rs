//! Whether the process lives, and whether it should be sent work.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::protocol::body::{Alive, Readiness};
use crate::service::Service;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process lives. Says nothing of what it depends on, since a restart would not mend that.
pub(super) async fn alive() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// `GET /readyz`: 200 when it can serve; `degraded` when it hears no NOTIFY and polls; 503 when it cannot serve.
pub(super) async fn ready(State(service): State<Arc<Service>>) -> Response {
    let database = matches!(timeout(PATIENCE, service.store.ping()).await, Ok(Ok(())));
    let notify = service.listener.is_listening();
    let keys = service.auth.is_ready();
    let draining = service.tasks.drain().is_cancelled();
    let (status, word) = match (database && keys && !draining, notify) {
        (true, true) => (StatusCode::OK, "ready"),
        (true, false) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let body = Readiness {
        status: word,
        database: word_of(database),
        notify: word_of(notify),
        token_keys: word_of(keys),
        draining,
    };
    (status, Json(body)).into_response()
}

fn word_of(works: bool) -> &'static str {
    if works { "ok" } else { "unavailable" }
}
