//! Who may ask at all: the name by which the server was reached, and the page that asks, before anything is looked at.
//!
//! Refuses to know users: a stranger is turned away here whatever token it brings. `http` lays these around its routes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::host::{HostName, is_address_or_localhost};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::service::Service;
use crate::ws::credentials::origin_allowed;

/// What load balancers ask by address; it holds nothing of anybody's.
const FOR_ANYBODY: [&str; 2] = ["/healthz", "/readyz"];

/// Lets through what was sent to one of the names that the operator gave this server.
pub(super) async fn known_host(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let known = &service.settings.server.allowed_hosts;
    let named = |host: &str| known.iter().any(|name| name.is(host));
    let path = request.uri().path();
    if known.is_empty() || FOR_ANYBODY.contains(&path) || hosts_all(&request, named) {
        return next.run(request).await;
    }
    Problem::misdirected().into_response()
}

/// The same for operators, who come by address as often as by name.
pub(super) async fn known_host_or_address(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let server = &service.settings.server;
    let known: &[HostName] = &server.allowed_hosts;
    let named = |host: &str| is_address_or_localhost(host) || known.iter().any(|name| name.is(host));
    // Whoever serves everybody's conversations says by which names.
    let any = known.is_empty() && !server.inspector;
    if any || hosts_all(&request, named) {
        return next.run(request).await;
    }
    Problem::misdirected().into_response()
}

/// Whether a request names a host, and a condition holds for each place where it does.
fn hosts_all(request: &Request, condition: impl Fn(&str) -> bool) -> bool {
    let mut hosts = hosts(request.headers(), request.uri()).peekable();
    hosts.peek().is_some() && hosts.all(|host| host.is_some_and(&condition))
}

/// The hosts that a request names: in its `Host` headers, and in a target that is a whole URL. `None`: one that is no text.
fn hosts<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> impl Iterator<Item = Option<&'a str>> {
    let in_headers = headers.get_all(header::HOST).into_iter();
    let in_target = uri.authority().map(|authority| Some(authority.as_str()));
    in_headers.map(|host| host.to_str().ok()).chain(in_target)
}

/// Lets through what no page asks for, and what a page asks for whose origin may connect: the same rule as for sockets.
pub(super) async fn known_origin(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    if origin_allowed(request.headers(), &service.settings.server.allowed_origins) {
        return next.run(request).await;
    }
    let refusal = Refusal::new(ErrorCode::Forbidden, "This origin is not allowed");
    Problem::from(refusal).into_response()
}
