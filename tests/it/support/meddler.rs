//! Proxies with the vices that are met in front of a WebSocket: one that gathers what the server sends, one that cuts what is
//! silent, one that drops the upgrade.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What a proxy does to connections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vice {
    /// Passes what the server sends on only when the server has been quiet for so long.
    Gathers(Duration),
    /// Ends a connection on which the server has been quiet for so long.
    CutsIdle(Duration),
    /// Does not pass the header `Upgrade` on.
    DropsUpgrade,
}

/// The proxy; dropping it ends everything.
pub(crate) struct Meddler {
    /// Where clients connect.
    pub(crate) base: String,
    _serving: JoinSet<()>,
}

impl Meddler {
    pub(crate) async fn start(node: &str, vice: Vice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let mut serving = JoinSet::new();
        let node = node.to_owned();
        serving.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&node).await.unwrap();
                carried.spawn(carry(client, server, vice));
            }
        });
        Self {
            base,
            _serving: serving,
        }
    }
}

async fn carry(client: TcpStream, server: TcpStream, vice: Vice) {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    tokio::select! {
        () = async {
            match vice {
                Vice::DropsUpgrade => without_upgrade(&mut from_client, &mut to_server).await,
                Vice::Gathers(_) | Vice::CutsIdle(_) => drop(copy(&mut from_client, &mut to_server).await),
            }
        } => {}
        () = back(from_server, to_client, vice) => {}
    }
}

/// Carries what the server says.
async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, vice: Vice) {
    let mut gathered = Vec::new();
    let patience = match vice {
        Vice::Gathers(quiet) | Vice::CutsIdle(quiet) => quiet,
        Vice::DropsUpgrade => Duration::from_mins(10),
    };
    loop {
        match timeout(patience, from.read_buf(&mut gathered)).await {
            Ok(Ok(0) | Err(_)) => {
                let _ = to.write_all(&gathered).await;
                return;
            }
            Ok(Ok(_)) if matches!(vice, Vice::Gathers(_)) => continue,
            Err(_) if matches!(vice, Vice::CutsIdle(_)) => return,
            Ok(Ok(_)) | Err(_) => {}
        }
        if to.write_all(&gathered).await.is_err() {
            return;
        }
        gathered.clear();
    }
}

/// Carries what the client says; the header's name becomes one that nobody knows, of the same length.
async fn without_upgrade(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let text =
            String::from_utf8_lossy(&bytes[..read]).replace("Upgrade: websocket", "X-Other: websocket");
        if to.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
