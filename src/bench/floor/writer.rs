//! The floor's group commit: two connections take the rows that wait, up to a bound, and store them in one statement.
//! Called by `relay`.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::bench::rows::Rows;

/// Rows in one statement, and writers: the best of those tried for a table without anything else.
const MAX_BATCH: usize = 256;
const WRITERS: usize = 2;

struct Item {
    session: i64,
    role: &'static str,
    content: String,
    stored: oneshot::Sender<()>,
}

/// Where rows are handed in.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Item>,
    _writers: JoinSet<anyhow::Result<()>>,
}

impl Writer {
    pub(super) async fn start(database: &str) -> anyhow::Result<Self> {
        let (queue, items) = mpsc::channel(4096);
        let items = Arc::new(Mutex::new(items));
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            writers.spawn(write(Arc::clone(&items), Rows::connect(database).await?));
        }
        Ok(Self {
            queue,
            _writers: writers,
        })
    }

    /// Stores a row; it is durable when this returns.
    pub(super) async fn append(
        &self,
        session: i64,
        role: &'static str,
        content: String,
    ) -> anyhow::Result<()> {
        let (stored, done) = oneshot::channel();
        let item = Item {
            session,
            role,
            content,
            stored,
        };
        self.queue
            .send(item)
            .await
            .map_err(|_| anyhow::anyhow!("the writers are gone"))?;
        done.await.context("a row was not stored")
    }
}

async fn write(items: Arc<Mutex<mpsc::Receiver<Item>>>, mut rows: Rows) -> anyhow::Result<()> {
    let mut batch: Vec<Item> = Vec::with_capacity(MAX_BATCH);
    loop {
        if items.lock().await.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return Ok(());
        }
        let sessions: Vec<i64> = batch.iter().map(|item| item.session).collect();
        let roles: Vec<&str> = batch.iter().map(|item| item.role).collect();
        let contents: Vec<&str> = batch.iter().map(|item| item.content.as_str()).collect();
        rows.append_floor(&sessions, &roles, &contents).await?;
        for item in batch.drain(..) {
            // Whoever asked may be gone.
            item.stored.send(()).ok();
        }
    }
}
