//! A proxy in front of Postgres that carries everything but notifications: what a pooler in transaction mode does to a
//! connection that listens. It speaks just enough of the protocol to tell one message of the server from another.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::detour::{Detour, listen};

/// The type of a `NotificationResponse`.
const NOTIFICATION: u8 = b'A';

/// The proxy; dropping it closes everything.
pub(crate) struct Pooler {
    /// The database behind it, through it.
    pub(crate) url: String,
    carries_all: watch::Sender<bool>,
    swallowed: watch::Receiver<u64>,
    _serving: JoinSet<()>,
    _directory: TempDir,
}

impl Pooler {
    /// A pooler in front of a database on a Unix socket.
    pub(crate) fn start(database_url: &str) -> Self {
        let detour = Detour::to(database_url);
        let listener = listen(&detour.listen_at).unwrap();
        let (carries_all, seen) = watch::channel(false);
        let (swallows, swallowed) = watch::channel(0);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, detour.server, seen, swallows));
        Self {
            url: detour.url,
            carries_all,
            swallowed,
            _serving: serving,
            _directory: detour.directory,
        }
    }

    /// Carries notifications too, as a direct connection.
    pub(crate) fn go_direct(&self) {
        self.carries_all.send_replace(true);
    }

    /// How many notifications were left out.
    pub(crate) fn swallowed(&self) -> u64 {
        *self.swallowed.borrow()
    }
}

async fn serve(
    listener: UnixListener,
    server: PathBuf,
    carries_all: watch::Receiver<bool>,
    swallows: watch::Sender<u64>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.unwrap();
                let (server, carries_all, swallows) = (server.clone(), carries_all.clone(), swallows.clone());
                connections.spawn(async move {
                    let server = UnixStream::connect(server).await.unwrap();
                    let (mut from_client, to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    tokio::select! {
                        _ = copy(&mut from_client, &mut to_server) => {}
                        () = filter(from_server, to_client, carries_all, swallows) => {}
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries what the server says, message by message, until one of the ends closes.
async fn filter(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    carries_all: watch::Receiver<bool>,
    swallows: watch::Sender<u64>,
) {
    let mut head = [0; 5];
    while from.read_exact(&mut head).await.is_ok() {
        let [kind, length @ ..] = head;
        // The length counts itself and not the type.
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
        if from.read_exact(&mut message).await.is_err() {
            return;
        }
        if kind == NOTIFICATION && !*carries_all.borrow() {
            swallows.send_modify(|n| *n += 1);
            continue;
        }
        message.splice(0..0, head);
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}
