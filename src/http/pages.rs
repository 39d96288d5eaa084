//! The two pages: the console for users and the inspector for operators, from `console/dist`, which is part of the program.
//!
//! Owns what is served under which name, how long a browser may keep it, and what a browser is told to refuse: scripts, styles
//! and connections from anywhere but here, markup made of text, frames of strangers. Holds nobody's data: a page brings its
//! token itself.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use sha2::{Digest, Sha256};
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::service::Service;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const ICON: &str = "image/svg+xml";

/// For ever: the address holds the content's hash.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Kept, and asked about each time: the pages themselves, and what an older page asks a newer server for.
const ASK_AGAIN: &str = "no-cache";

/// Nothing from elsewhere, nothing inline, no form that goes anywhere, and no way from a text to markup or script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// What the page has no use for.
const NO_DEVICES: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The page for users. Only pages of `allowed_origins` may show it in a frame; they are trusted with users' tokens already.
pub(super) fn console(allowed_origins: &[String]) -> Router<Arc<Service>> {
    let ancestors = if allowed_origins.is_empty() {
        "'none'".to_owned()
    } else {
        allowed_origins.join(" ")
    };
    pages(
        include_bytes!("../../console/dist/index.html"),
        "/assets/console.js",
        include_bytes!("../../console/dist/console.js"),
        &ancestors,
    )
}

/// The page for operators.
pub(super) fn inspector() -> Router<Arc<Service>> {
    pages(
        include_bytes!("../../console/dist/inspector.html"),
        "/assets/inspector.js",
        include_bytes!("../../console/dist/inspector.js"),
        "'none'",
    )
}

fn pages(
    page: &'static [u8],
    script_path: &'static str,
    script: &'static [u8],
    ancestors: &str,
) -> Router<Arc<Service>> {
    let style = include_bytes!("../../console/dist/style.css");
    let icon = include_bytes!("../../console/dist/icon.svg");
    let policy = format!("{POLICY}; frame-ancestors {ancestors}");
    // Origins were read as such by the settings; without a policy no page is served rather than an open one.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let headers = ServiceBuilder::new()
        .layer(header_layer("content-security-policy", policy))
        .layer(fixed_header("referrer-policy", "no-referrer"))
        .layer(fixed_header("permissions-policy", NO_DEVICES))
        .layer(fixed_header("cross-origin-opener-policy", "same-origin"))
        .layer(fixed_header("cross-origin-resource-policy", "same-origin"))
        .layer(fixed_header("x-content-type-options", "nosniff"));
    Router::new()
        .route("/", asset(HTML, page))
        .route(script_path, asset(SCRIPT, script))
        .route("/assets/style.css", asset(STYLE, style))
        .route("/assets/icon.svg", asset(ICON, icon))
        .layer(headers)
}

fn header_layer(name: &'static str, value: HeaderValue) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(HeaderName::from_static(name), value)
}

fn fixed_header(name: &'static str, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    header_layer(name, HeaderValue::from_static(value))
}

/// One file, under its hash.
pub(super) fn asset(kind: &'static str, content: &'static [u8]) -> axum::routing::MethodRouter<Arc<Service>> {
    let tag = tag(content);
    get(async move |RawQuery(query): RawQuery, headers: HeaderMap| {
        let wanted = query.as_deref().and_then(|query| query.strip_prefix("v="));
        let kept = if wanted == Some(tag.as_str()) {
            IMMUTABLE
        } else {
            ASK_AGAIN
        };
        let etag = format!("\"{tag}\"");
        let known = is_known(&headers, &etag);
        let caching = [(header::CACHE_CONTROL, kept.to_owned()), (header::ETAG, etag)];
        if known {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        let kind = [(header::CONTENT_TYPE, kind)];
        (caching, kind, Bytes::from_static(content)).into_response()
    })
}

/// The beginning of a content's hash, as `console/build.mjs` writes it into the pages.
fn tag(content: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(content)
        .iter()
        .take(8)
        .fold(String::with_capacity(16), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Whether the browser has this content already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == etag)
}
