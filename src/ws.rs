//! The WebSocket: who may open one, and the task that serves it.
//!
//! Everything that can be decided before the upgrade is, while an HTTP status can still say so; a client that speaks
//! `agentws.v1` learns the same by an error frame and a close code, since a browser cannot see the status. `http` routes
//! the two paths here.

mod ai_sdk;
mod commands;
mod connection;
pub mod credentials;
mod dialect;
#[doc(hidden)]
pub mod echo;
mod frames;
pub mod keepalive;
pub mod partial;
mod seat;
mod socket;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::auth::{AuthError, Principal};
use crate::feed::Opened;
use crate::http::address::ClientAddress;
use crate::http::meter::InboundBytes;
use crate::http::problem::Problem;
use crate::http::trace::traceparent;
use crate::ids::ClientName;
use crate::protocol::BEARER_PREFIX;
use crate::protocol::client::SessionRef;
use crate::protocol::close::CloseReason;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{ErrorFrame, ServerFrame};
use crate::service::Service;
use connection::{Connection, Offer, close_for};
use credentials::{Credentials, InUrl};
use dialect::Dialect;
use seat::Seat;
use socket::{Socket, Timing};

/// Read buffer of a socket, in bytes. Every connection has one all the time; a message that is longer takes more reads.
const READ_BUFFER_BYTES: usize = 1024;

/// Frames are collected up to this before they are written, in bytes.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// The most that may wait to be written, in bytes. Without it a client that pings and never reads fills the memory (1.2 GB
/// in 8 s, measured). An answer of 512 KiB, every character escaped, still fits into one frame.
const MAX_WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Query parameters of the upgrade.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct Parameters {
    /// Resumes this session; absent: a new one; `latest`: the most recently active one, or a new one.
    #[serde(default)]
    session_id: Option<String>,
    /// The last `seq` that the client has applied.
    #[serde(default)]
    after: Option<String>,
    /// The client's stable name for itself, 1 to 64 of `[A-Za-z0-9_-]`.
    #[serde(default)]
    device_id: Option<String>,
    /// Instead of a token: good once, within 30 seconds of its making.
    #[serde(default)]
    ticket: Option<String>,
    /// The token, only where the operator switched it on.
    #[serde(default)]
    access_token: Option<String>,
}

/// Opens a WebSocket: `GET /v1/ws` and the original path.
pub async fn upgrade(State(service): State<Arc<Service>>, parts: Parts) -> Response {
    Box::pin(upgrade_to(service, parts, Dialect::Own)).await
}

/// Opens a WebSocket for the AI SDK's transport: `GET /v1/ai-sdk`.
pub async fn upgrade_ai_sdk(State(service): State<Arc<Service>>, parts: Parts) -> Response {
    Box::pin(upgrade_to(service, parts, Dialect::AiSdk)).await
}

async fn upgrade_to(service: Arc<Service>, mut parts: Parts, dialect: Dialect) -> Response {
    if !wants_upgrade(&parts.headers) {
        return Problem::bad_request("Expected WebSocket request").into_response();
    }
    if !credentials::origin_allowed(&parts.headers, &service.settings.server.allowed_origins) {
        let refusal = Refusal::new(ErrorCode::Forbidden, "This origin is not allowed");
        return Problem::from(refusal).into_response();
    }
    let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
    let admitted = admit(&service, address);
    let Ok(Query(parameters)) = Query::<Parameters>::from_request_parts(&mut parts, &()).await else {
        return Problem::bad_request("The query string cannot be read").into_response();
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Problem::bad_request(rejection.body_text()).into_response(),
    };
    let inbound = parts
        .extensions
        .get::<InboundBytes>()
        .cloned()
        .unwrap_or_default();
    let offer = match offer(&parameters, &parts.headers, dialect) {
        Ok(offer) => Offer {
            address,
            inbound,
            ..offer
        },
        Err(refusal) => return Problem::from(refusal).into_response(),
    };
    let upgrade = configure(upgrade, &service, &offer);
    if let Err(refusal) = admitted {
        return refuse(&service, upgrade, &offer, refusal);
    }
    let given = |text: &String| !text.is_empty();
    let in_url = InUrl {
        ticket: parameters.ticket.filter(given),
        token: parameters
            .access_token
            .filter(|_| service.settings.socket.allow_access_token_in_url),
    };
    let credentials = credentials::find(&parts.headers, dialect.subprotocol(), in_url);
    if matches!(credentials, Credentials::ProtocolWithoutOurs) {
        let what = format!("Offer {} beside agentws.bearer.<token>", dialect.subprotocol());
        return Problem::bad_request(what).into_response();
    }
    Box::pin(open(service, upgrade, offer, credentials)).await
}

/// Whether the request asks for a WebSocket at all.
fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Whether there is room now, and the rates of this address, before anything costs more.
fn admit(service: &Service, address: Option<IpAddr>) -> Result<(), Refusal> {
    if service.tasks.drain().is_cancelled() {
        return Err(Refusal::new(ErrorCode::Internal, "The server restarts").after(Duration::from_secs(1)));
    }
    if let Some(address) = address {
        service
            .limiter
            .check_connection(address)
            .map_err(|limit| service.limited(&limit))?;
        service
            .limiter
            .check_auth_failure(address)
            .map_err(|limit| service.limited(&limit))?;
    }
    Ok(())
}

fn offer(parameters: &Parameters, headers: &HeaderMap, dialect: Dialect) -> Result<Offer, Refusal> {
    let invalid = |what: &'static str| Refusal::new(ErrorCode::InvalidMessage, what);
    let session = match parameters.session_id.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => match SessionRef::try_from(text.to_owned()) {
            Ok(session) => Some(session),
            // What is no id cannot be a session of anybody.
            Err(_) => Some(SessionRef::Id(crate::ids::SessionId(uuid::Uuid::nil()))),
        },
        None => None,
    };
    let after = match parameters.after.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => Some(text.parse().map_err(|_| invalid("after must be a number"))?),
        None => None,
    };
    let device = match parameters.device_id.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => {
            Some(ClientName::new(text).map_err(|_| invalid("device_id must be 1 to 64 of A-Z a-z 0-9 _ -"))?)
        }
        None => None,
    };
    Ok(Offer {
        dialect,
        speaks_protocol: credentials::offers(headers, dialect.subprotocol()),
        device,
        session,
        after,
        parent: traceparent(headers),
        ..Offer::default()
    })
}

/// Bounds what a socket may hold, whoever is at its other end.
fn bounded(upgrade: WebSocketUpgrade, max_message: usize, max_write_buffer: usize) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(max_write_buffer)
        .max_message_size(max_message)
        .max_frame_size(max_message)
}

fn configure(upgrade: WebSocketUpgrade, service: &Service, offer: &Offer) -> WebSocketUpgrade {
    let socket = &service.settings.socket;
    let max = match offer.dialect {
        Dialect::Own => socket.max_message_bytes,
        Dialect::AiSdk => socket.ai_sdk_max_message_bytes,
    };
    let upgrade = bounded(upgrade, max, MAX_WRITE_BUFFER_BYTES);
    // Selected only if it was offered; the token's protocol never is.
    if offer.speaks_protocol {
        upgrade.protocols([offer.dialect.subprotocol()])
    } else {
        upgrade
    }
}

/// Checks the token or the ticket, takes the user's place, opens the session: then upgrades.
async fn open(
    service: Arc<Service>,
    upgrade: WebSocketUpgrade,
    offer: Offer,
    credentials: Credentials,
) -> Response {
    let identified = match &credentials {
        Credentials::Token(token) => service.auth.verify(token).await,
        Credentials::Ticket(ticket) => service.use_ticket(ticket).await,
        Credentials::None | Credentials::ProtocolWithoutOurs => return await_auth(service, upgrade, offer),
    };
    match enter(&service, &offer, identified).await {
        Ok((seat, principal, opened)) => {
            let tasks = service.tasks.clone();
            upgrade.on_upgrade(move |socket| {
                let socket = Socket::new(socket, timing(&service), offer.inbound.clone());
                let connection =
                    Connection::awaiting_auth(service, socket, seat, offer).authenticated(principal);
                tasks.track(Box::pin(Box::new(connection).run(opened)))
            })
        }
        Err(refusal) => refuse(&service, upgrade, &offer, refusal),
    }
}

async fn enter(
    service: &Arc<Service>,
    offer: &Offer,
    identified: Result<Principal, AuthError>,
) -> Result<(Seat, Principal, Option<Opened>), Refusal> {
    let principal = identified.map_err(|error| {
        offer.record_auth_failure(service, error);
        service.refuse_token(error)
    })?;
    let mut seat = Seat::new(Arc::clone(&service.hub), service.presence.clone());
    if !seat.enter_user(&principal.user_id, service.max_connections()) {
        return Err(service.too_many_connections());
    }
    let opened = match offer.dialect {
        Dialect::Own => Some(
            service
                .open(&principal.user_id, offer.session, offer.after)
                .await?,
        ),
        // Its frames name their chats.
        Dialect::AiSdk => None,
    };
    Ok((seat, principal, opened))
}

/// No credentials: the first frame must bring them.
fn await_auth(service: Arc<Service>, upgrade: WebSocketUpgrade, offer: Offer) -> Response {
    let tasks = service.tasks.clone();
    upgrade.on_upgrade(move |socket| {
        let socket = Socket::new(socket, timing(&service), offer.inbound.clone());
        let seat = Seat::new(Arc::clone(&service.hub), service.presence.clone());
        tasks.track(Box::pin(
            Box::new(Connection::awaiting_auth(service, socket, seat, offer)).run(None),
        ))
    })
}

/// Says no: by status, or after the upgrade to those who could not see it.
fn refuse(service: &Arc<Service>, upgrade: WebSocketUpgrade, offer: &Offer, refusal: Refusal) -> Response {
    if !offer.speaks_protocol {
        return Problem::from(refusal).into_response();
    }
    let reason = close_for(&refusal);
    // The AI SDK's transport takes a frame that answers no request for a fault, and would hide the close code behind it.
    let told = (offer.dialect == Dialect::Own)
        .then(|| ServerFrame::Error(ErrorFrame::of(refusal, None, service.now())).encode());
    let (timing, inbound) = (timing(service), offer.inbound.clone());
    let tasks = service.tasks.clone();
    upgrade.on_upgrade(move |socket| {
        let socket = Socket::new(socket, timing, inbound);
        tasks.track(reject(socket, told, reason))
    })
}

fn timing(service: &Service) -> Timing {
    Timing {
        write: service.settings.socket.write_timeout,
        message: service.settings.socket.message_timeout,
    }
}

async fn reject(mut socket: Socket, told: Option<String>, reason: CloseReason) {
    if let Some(text) = told
        && socket.feed_text(text).await.is_err()
    {
        return;
    }
    socket.close(reason).await;
}

/// The sub-protocol under which a browser sends its token.
pub fn bearer_protocol(token: &str) -> String {
    format!("{BEARER_PREFIX}{token}")
}
