//! A proxy in front of Postgres that cuts, refuses and stalls: what a network, a failover or a restart does.

use std::io;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::PATIENCE;
use super::detour::{Detour, listen};

/// What the proxy does to those who come through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weather {
    open: bool,
    stalled: bool,
    cuts: u64,
    /// How often everything that was open was stranded.
    strandings: u64,
}

/// The proxy; dropping it closes everything.
pub(crate) struct ChaosProxy {
    /// The database behind it, through it.
    pub(crate) url: String,
    weather: watch::Sender<Weather>,
    /// Connections accepted so far.
    knocks: watch::Receiver<u64>,
    _serving: JoinSet<()>,
    _directory: TempDir,
}

impl ChaosProxy {
    /// A proxy to a database on a Unix socket.
    pub(crate) fn start(database_url: &str) -> Self {
        let detour = Detour::to(database_url);
        let (weather, seen) = watch::channel(Weather {
            open: true,
            stalled: false,
            cuts: 0,
            strandings: 0,
        });
        let listener = listen(&detour.listen_at).unwrap();
        let (knocking, knocks) = watch::channel(0);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, detour.listen_at, detour.server, seen, knocking));
        Self {
            url: detour.url,
            weather,
            knocks,
            _serving: serving,
            _directory: detour.directory,
        }
    }

    /// Cuts every connection; new ones are let through.
    pub(crate) fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Cuts every connection and refuses new ones, as a server that is down.
    pub(crate) fn refuse(&self) {
        self.weather.send_modify(|weather| {
            weather.open = false;
            weather.cuts += 1;
        });
    }

    /// Keeps every connection and carries nothing, as a network that swallows packets.
    pub(crate) fn stall(&self) {
        self.weather.send_modify(|weather| weather.stalled = true);
    }

    /// Keeps every connection and carries nothing over it, for ever; new ones are let through. So a firewall does that has
    /// forgotten them.
    pub(crate) fn strand(&self) {
        self.weather.send_modify(|weather| weather.strandings += 1);
    }

    /// Waits until somebody has connected.
    pub(crate) async fn knocked(&self) {
        let mut knocks = self.knocks.clone();
        timeout(PATIENCE, knocks.wait_for(|n| *n > 0))
            .await
            .expect("somebody should connect")
            .expect("the proxy serves");
    }

    /// Good weather again.
    pub(crate) fn restore(&self) {
        self.weather.send_modify(|weather| {
            weather.open = true;
            weather.stalled = false;
        });
    }
}

async fn serve(
    listener: UnixListener,
    at: PathBuf,
    server: PathBuf,
    mut weather: watch::Receiver<Weather>,
    knocking: watch::Sender<u64>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut cuts = 0;
    loop {
        let now = *weather.borrow_and_update();
        if now.cuts != cuts {
            cuts = now.cuts;
            connections.abort_all();
        }
        // Dropping it leaves its name in the directory: connecting to that is refused.
        listener = listener.filter(|_| now.open);
        if now.open && listener.is_none() {
            listener = Some(listen(&at).unwrap());
        }
        tokio::select! {
            changed = weather.changed() => if changed.is_err() { return },
            accepted = accept(listener.as_ref()) => {
                knocking.send_modify(|n| *n += 1);
                connections.spawn(carry(accepted.unwrap(), server.clone(), weather.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&UnixListener>) -> io::Result<UnixStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// Carries one connection until one of its ends closes.
async fn carry(client: UnixStream, server: PathBuf, weather: watch::Receiver<Weather>) {
    let Ok(server) = UnixStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pipe(from_client, to_server, weather.clone()) => {}
        () = pipe(from_server, to_client, weather) => {}
    }
}

async fn pipe(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let strandings = weather.borrow().strandings;
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let carries = |weather: &Weather| !weather.stalled && weather.strandings == strandings;
        if weather.wait_for(carries).await.is_err() || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
