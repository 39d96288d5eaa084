//! A server that says back whatever it hears, on the socket that the real one has: what a suite for WebSockets in general,
//! such as Autobahn's, can talk to.
//!
//! Refuses to be part of the product: no route of it leads here, no user and no limit of rate is known. `examples/echo.rs`
//! serves it for `scripts/autobahn`.

use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;

use super::bounded;
use super::socket::{End, Received, Socket, Timing};
use crate::http::meter::InboundBytes;
use crate::protocol::close::CloseReason;

/// The largest message, in bytes: the suite's largest.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// A message of that size has to fit, whole, while the one before it may not have gone out.
const MAX_WRITE_BUFFER_BYTES: usize = 3 * MAX_MESSAGE_BYTES;

/// How long things may take: the suite reads 16 MiB in more seconds than a client of ours has for its frames.
const TIMING: Timing = Timing {
    write: Duration::from_mins(1),
    message: Duration::from_mins(1),
};

/// The one route.
pub fn router() -> Router {
    Router::new().route("/", any(open))
}

async fn open(Extension(inbound): Extension<InboundBytes>, upgrade: WebSocketUpgrade) -> Response {
    bounded(upgrade, MAX_MESSAGE_BYTES, MAX_WRITE_BUFFER_BYTES)
        .on_upgrade(move |socket| serve(Socket::new(socket, TIMING, inbound)))
}

async fn serve(mut socket: Socket) {
    let end = loop {
        if let Err(end) = echo(&mut socket).await {
            break end;
        }
    };
    if let End::Close(reason) = end {
        socket.close(reason).await;
    }
}

/// Says one message back.
async fn echo(socket: &mut Socket) -> Result<(), End> {
    let message = match socket.receive().await? {
        Received::Text(text) => Message::Text(text),
        Received::Binary(bytes) => Message::Binary(bytes),
        Received::Life => return Ok(()),
        Received::Unfinished => return Err(End::Close(CloseReason::Flooding)),
    };
    socket.feed(message).await?;
    socket.flush().await
}
