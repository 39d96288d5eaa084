//! The floor: a bare axum relay, run as `bench-floor` by `bench` alone. It does a suite's work without sessions, tokens, limits or
//! resume, so a ratio to it says what those cost, on any machine.
//!
//! | route | work |
//! |---|---|
//! | `/echo` | sends back what comes |
//! | `/query` | stores the question, asks the provider, stores the answer, sends it whole |
//! | `/stream` | the same, and sends each token as it comes |
//!
//! Rows are stored as the server's are: two writers take what waits, in one statement and one commit. Refuses to be a server for
//! anybody: loopback, one run, and nothing that it is asked is checked.

mod relay;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;

use self::relay::Relay;
use self::writer::Writer;
use super::rows::Rows;
use crate::cli::FloorArgs;
use crate::http::listen;

/// What all connections share.
#[derive(Debug)]
struct Floor {
    relay: Relay,
    writer: Writer,
    sessions: AtomicI64,
}

/// Serves until it is killed.
///
/// # Errors
/// When the database cannot be reached or no port be had.
pub async fn serve(arguments: FloorArgs) -> anyhow::Result<()> {
    let mut rows = Rows::connect(&arguments.database).await?;
    rows.create_floor().await?;
    let floor = Arc::new(Floor {
        relay: Relay::new(arguments.provider),
        writer: Writer::start(&arguments.database).await?,
        sessions: AtomicI64::new(0),
    });
    let router = axum::Router::new()
        .route("/echo", get(echo))
        .route("/query", get(query))
        .route("/stream", get(stream))
        .with_state(floor);
    let listener = listen::bind("127.0.0.1:0".parse()?)?;
    say_address(listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // Without it answers wait for the other side's acknowledgement; a refusal shows in the figures.
        drop(stream.set_nodelay(true));
    });
    Ok(axum::serve(listener, router).await?)
}

/// In the words of the server's log, which `bench` waits for.
#[expect(clippy::print_stderr, reason = "the floor has no log")]
fn say_address(address: std::net::SocketAddr) {
    eprintln!("{{\"fields\":{{\"message\":\"serving\",\"address\":\"{address}\"}}}}");
}

/// Small buffers, as the server's: else they are most of a connection's memory.
fn small(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.read_buffer_size(4096).write_buffer_size(0)
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    small(upgrade).on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            let sent = match message {
                Message::Text(_) | Message::Binary(_) => socket.send(message).await,
                _ => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    })
}

async fn query(upgrade: WebSocketUpgrade, State(floor): State<Arc<Floor>>) -> Response {
    small(upgrade).on_upgrade(move |socket| converse(socket, floor, false))
}

async fn stream(upgrade: WebSocketUpgrade, State(floor): State<Arc<Floor>>) -> Response {
    small(upgrade).on_upgrade(move |socket| converse(socket, floor, true))
}

/// A client that goes away is no fault; another one is seen by its missing answer.
async fn converse(socket: WebSocket, floor: Arc<Floor>, token_by_token: bool) {
    if let Err(error) = relay::converse(socket, &floor, token_by_token).await {
        tracing::debug!(%error, "a connection to the floor ended");
    }
}

impl Floor {
    fn new_session(&self) -> i64 {
        self.sessions.fetch_add(1, Ordering::Relaxed) + 1
    }
}
