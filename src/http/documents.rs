//! `/openapi.json` and `/asyncapi.json`: the committed documents, which a test holds against the types.
//!
//! For anybody, from any page: they say nothing that is not published anyway.

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use tower_http::set_header::SetResponseHeaderLayer;

use super::pages::asset;
use crate::service::Service;

const JSON: &str = "application/json";

/// An hour: they change with the program only.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=3600");

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route(
            "/openapi.json",
            asset(JSON, include_bytes!("../../spec/openapi.json")),
        )
        .route(
            "/asyncapi.json",
            asset(JSON, include_bytes!("../../spec/asyncapi.json")),
        )
        .layer(SetResponseHeaderLayer::overriding(CACHE_CONTROL, KEPT))
        .layer(SetResponseHeaderLayer::overriding(
            ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        ))
}
