//! The floor's fan-out: one connection hears by LISTEN, everybody gets the same bytes. Called by `floor`.

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::bench::rows::Ear;

/// Messages that a slow client may be behind.
const BEHIND: usize = 1024;

/// Where what was heard comes from.
#[derive(Debug)]
pub(super) struct Fan {
    heard: broadcast::Sender<Utf8Bytes>,
    _ear: JoinSet<anyhow::Result<()>>,
}

impl Fan {
    pub(super) async fn start(database: &str) -> anyhow::Result<Self> {
        let (heard, _) = broadcast::channel(BEHIND);
        let mut ear = Ear::listen(database).await?;
        let tell = heard.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                // Nobody there is no fault.
                tell.send(Utf8Bytes::from(ear.next().await?)).ok();
            }
        });
        Ok(Self { heard, _ear: tasks })
    }

    /// Serves one client to its end.
    pub(super) async fn serve(&self, mut socket: WebSocket) -> anyhow::Result<()> {
        let mut heard = self.heard.subscribe();
        let live = "{\"type\":\"status\",\"event\":\"live\",\"content\":\"Live\"}";
        socket.send(Message::Text(live.into())).await?;
        loop {
            tokio::select! {
                text = heard.recv() => socket.send(Message::Text(text?)).await?,
                Some(_) = socket.recv() => {}
                else => return Ok(()),
            }
        }
    }
}
