//! The HTTP surface: the router, its layers, and one file for each resource.
//!
//! Refuses to hold any rule of its own: a handler reads a request, calls `service`, and writes the result. `app` serves it.

pub mod address;
mod body;
mod documents;
mod export;
mod guard;
mod health;
mod identity;
mod inspector;
mod linger;
pub mod listen;
mod messages;
pub mod meter;
mod metrics;
mod model_names;
mod notifications;
mod pages;
pub mod problem;
mod search;
mod sessions;
mod stall;
mod tickets;
pub(crate) mod trace;
mod users;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{any, delete, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::service::Service;
use crate::ws;
use body::MAX_BODY_BYTES;
use problem::Problem;

/// How long a request may take: longer than anything that it waits for gives up by itself.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// How long a browser may remember what CORS allows.
const CORS_MAX_AGE: Duration = Duration::from_mins(10);

/// The routes that users reach.
pub fn router(service: Arc<Service>) -> Router {
    let cors = cors(&service.settings.server.allowed_origins);
    let v1 = Router::new()
        .route("/v1/sessions", get(sessions::list).post(sessions::create))
        .route(
            "/v1/sessions/{id}",
            get(sessions::get).patch(sessions::patch).delete(sessions::delete),
        )
        .route(
            "/v1/sessions/{id}/messages",
            get(messages::page).post(messages::send),
        )
        .route("/v1/sessions/{id}/export", get(export::export))
        .route("/v1/search", get(search::search))
        .route("/v1/models", get(model_names::list))
        .route("/v1/tickets", post(tickets::make))
        .route("/v1/usage", get(users::usage))
        .route("/v1/users/me", delete(users::erase))
        .route(
            "/v1/notifications",
            get(notifications::list).post(notifications::post),
        )
        .route("/v1/notifications/ack", post(notifications::acknowledge))
        .route(
            "/functions/v1/notify_websocket",
            post(notifications::notify_session),
        )
        // Here already, under the layer: else the fallback would answer a browser's preflight.
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_WITHIN,
        ))
        // Within CORS, which answers preflights: what a page then sends is looked at here.
        .layer(from_fn_with_state(Arc::clone(&service), guard::known_origin))
        .layer(cors);
    let server = &service.settings.server;
    let pages = if server.console {
        pages::console(&server.allowed_origins)
    } else {
        Router::new()
    };
    Router::new()
        .merge(pages)
        // Whatever the method: what is no upgrade is told that one was expected.
        .route("/v1/ws", any(ws::upgrade))
        .route("/functions/v1/agent_websocket", any(ws::upgrade))
        .route("/v1/ai-sdk", any(ws::upgrade_ai_sdk))
        .merge(v1)
        .merge(documents::routes())
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(async || Problem::not_found("resource"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(Arc::clone(&service), guard::known_host))
        .layer(SetResponseHeaderLayer::if_not_present(
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"),
        ))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal().into_http()
        }))
        .with_state(service)
}

fn cors(allowed: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = allowed
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers([header::RETRY_AFTER])
        .max_age(CORS_MAX_AGE)
}

/// The routes for operators, on a listener of their own.
pub fn admin_router(service: Arc<Service>) -> Router {
    let inspector = if service.settings.server.inspector {
        inspector::routes()
    } else {
        Router::new()
    };
    Router::new()
        .merge(inspector)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .fallback(async || Problem::not_found("resource"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_WITHIN,
        ))
        .layer(from_fn_with_state(
            Arc::clone(&service),
            guard::known_host_or_address,
        ))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal().into_http()
        }))
        .with_state(service)
}
