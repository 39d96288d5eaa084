//! The floor: a bare axum relay, run as `bench-floor` by `bench` alone. It does a suite's work without sessions, tokens, limits or
//! resume, so a ratio to it says what those cost, on any machine.
//!
//! | route | work |
//! |---|---|
//! | `/echo` | sends back what comes |
//! | `/query` | stores the question, asks the provider, stores the answer, sends it whole |
//! | `/each` | the same with a commit for each row |
//! | `/rows` | the same with the service's rows and frames, nothing decided |
//! | `/stream` | the same as `/query`, and sends each token as it comes |
//! | `/resume` | sends a session's stored rows |
//! | `/fan` | sends what it hears by LISTEN to everybody |
//!
//! Rows are stored as the server's are: two writers take what waits, in one statement and one commit. Refuses to be a server for
//! anybody: loopback, one run, and nothing that it is asked is checked.

mod fan;
mod relay;
mod turns;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use serde::Deserialize;

use self::fan::Fan;
use self::relay::{Relay, Way};
use self::writer::{Row, Writer};
use super::rows::{Part, Pool, Rows};
use crate::cli::FloorArgs;
use crate::http::listen;

/// What all connections share.
#[derive(Debug)]
struct Floor {
    relay: Relay,
    writer: Writer<Row>,
    parts: Writer<Part>,
    pool: Pool,
    fan: Fan,
    sessions: AtomicI64,
}

/// Connections for what is read, and for rows that are stored one by one: what a server's pool usually has.
const POOL: u32 = 16;

/// Serves until it is killed.
///
/// # Errors
/// When the database cannot be reached or no port be had.
pub async fn serve(arguments: FloorArgs) -> anyhow::Result<()> {
    let mut rows = Rows::connect(&arguments.database).await?;
    rows.create_floor().await?;
    rows.create_turns().await?;
    let floor = Arc::new(Floor {
        relay: Relay::new(arguments.provider),
        writer: Writer::start(&arguments.database).await?,
        parts: Writer::start(&arguments.database).await?,
        pool: Pool::connect(&arguments.database, POOL).await?,
        fan: Fan::start(&arguments.database).await?,
        sessions: AtomicI64::new(0),
    });
    let router = axum::Router::new()
        .route("/echo", get(echo))
        .route("/query", get(query))
        .route("/each", get(each))
        .route("/rows", get(rows_of_the_service))
        .route("/stream", get(stream))
        .route("/resume", get(resume))
        .route("/fan", get(hear))
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
    small(upgrade).on_upgrade(move |socket| converse(socket, floor, Way::Whole))
}

async fn each(upgrade: WebSocketUpgrade, State(floor): State<Arc<Floor>>) -> Response {
    small(upgrade).on_upgrade(move |socket| converse(socket, floor, Way::RowByRow))
}

async fn rows_of_the_service(upgrade: WebSocketUpgrade, State(floor): State<Arc<Floor>>) -> Response {
    small(upgrade).on_upgrade(move |socket| async move { ended(turns::converse(socket, &floor).await) })
}

async fn stream(upgrade: WebSocketUpgrade, State(floor): State<Arc<Floor>>) -> Response {
    small(upgrade).on_upgrade(move |socket| converse(socket, floor, Way::TokenByToken))
}

/// Which rows a client has missed.
#[derive(Deserialize)]
struct Missed {
    session_id: i64,
    after: i64,
}

async fn resume(
    upgrade: WebSocketUpgrade,
    State(floor): State<Arc<Floor>>,
    Query(missed): Query<Missed>,
) -> Response {
    small(upgrade)
        .on_upgrade(move |socket| async move { ended(relay::replay(socket, &floor.pool, &missed).await) })
}

async fn hear(upgrade: WebSocketUpgrade, State(floor): State<Arc<Floor>>) -> Response {
    small(upgrade).on_upgrade(move |socket| async move { ended(floor.fan.serve(socket).await) })
}

async fn converse(socket: WebSocket, floor: Arc<Floor>, way: Way) {
    ended(relay::converse(socket, &floor, way).await);
}

/// A client that goes away is no fault; another one is seen by its missing answer.
fn ended(served: anyhow::Result<()>) {
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the floor ended");
    }
}

impl Floor {
    fn new_session(&self) -> i64 {
        self.sessions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Stores a row; it is durable when this returns.
    async fn store(&self, way: Way, session: i64, role: &'static str, content: &str) -> anyhow::Result<()> {
        match way {
            Way::RowByRow => self.pool.append_one(session, role, content).await,
            Way::Whole | Way::TokenByToken => {
                let content = content.to_owned();
                self.writer
                    .append(Row {
                        session,
                        role,
                        content,
                    })
                    .await
            }
        }
    }
}
