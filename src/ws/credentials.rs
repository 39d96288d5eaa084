//! What a handshake brings: a token, the sub-protocol, an origin. Reads headers, checks nothing that needs a key.

use axum::http::{HeaderMap, header};

use crate::protocol::BEARER_PREFIX;

/// The token of a handshake, from the first place that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A token.
    Token(String),
    /// What stands in for one.
    Ticket(String),
    /// A token's sub-protocol without ours: we could select neither, and a browser would drop the connection.
    ProtocolWithoutOurs,
    /// None: the first frame must bring it.
    None,
}

/// What the query string brings.
#[derive(Clone, Debug, Default)]
pub struct InUrl {
    /// A ticket.
    pub ticket: Option<String>,
    /// A token, where the operator allowed that.
    pub token: Option<String>,
}

/// Finds the first that is present: `Authorization`, the sub-protocols, a ticket, a token in the URL.
/// `ours` is the sub-protocol that the server would select.
pub fn find(headers: &HeaderMap, ours: &str, in_url: InUrl) -> Credentials {
    if let Some(token) = bearer(headers) {
        return Credentials::Token(token.to_owned());
    }
    if let Some(token) = protocols(headers).find_map(|name| name.strip_prefix(BEARER_PREFIX)) {
        if !offers(headers, ours) {
            return Credentials::ProtocolWithoutOurs;
        }
        return Credentials::Token(token.to_owned());
    }
    match in_url {
        InUrl {
            ticket: Some(ticket), ..
        } => Credentials::Ticket(ticket),
        InUrl {
            token: Some(token), ..
        } => Credentials::Token(token),
        InUrl { .. } => Credentials::None,
    }
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the client offered a sub-protocol.
pub fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    protocols(headers).any(|name| name == protocol)
}

/// The sub-protocols offered, in any number of headers.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Whether a page of this origin may connect: the server's own, or one that the operator named. Programs send none.
pub fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    let Some(origin) = origins.next() else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    if origins.next().is_some() {
        return false;
    }
    allowed.iter().any(|known| known == origin) || is_own(origin, headers)
}

/// Whether an origin is the host that the request itself was sent to. The scheme is the proxy's business.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}
