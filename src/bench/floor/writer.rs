//! The floor's group commit: two connections take what waits, up to a bound, and store it in one statement. Called by `floor`.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::bench::rows::{Part, Rows};

/// Rows in one statement, and writers: the best of those tried for a table without anything else.
const MAX_BATCH: usize = 256;
const WRITERS: usize = 2;

/// What is stored together with others of its kind.
pub(super) trait Stored: Send + Sync + Sized + 'static {
    /// Prepares a connection for it.
    fn prepare(rows: &mut Rows) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Stores all of them in one commit.
    fn store(rows: &mut Rows, all: &[Self]) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// A row of the floor's own table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) session: i64,
    pub(super) role: &'static str,
    pub(super) content: String,
}

impl Stored for Row {
    async fn prepare(_: &mut Rows) -> anyhow::Result<()> {
        Ok(())
    }

    async fn store(rows: &mut Rows, all: &[Self]) -> anyhow::Result<()> {
        let sessions: Vec<i64> = all.iter().map(|row| row.session).collect();
        let roles: Vec<&str> = all.iter().map(|row| row.role).collect();
        let contents: Vec<&str> = all.iter().map(|row| row.content.as_str()).collect();
        Ok(rows.append_floor(&sessions, &roles, &contents).await?)
    }
}

impl Stored for Part {
    async fn prepare(rows: &mut Rows) -> anyhow::Result<()> {
        rows.plan_by_key().await
    }

    async fn store(rows: &mut Rows, all: &[Self]) -> anyhow::Result<()> {
        Ok(rows.append_parts(all).await?)
    }
}

type Item<T> = (T, oneshot::Sender<()>);

/// Where rows are handed in.
#[derive(Debug)]
pub(super) struct Writer<T> {
    queue: mpsc::Sender<Item<T>>,
    _writers: JoinSet<anyhow::Result<()>>,
}

impl<T: Stored> Writer<T> {
    pub(super) async fn start(database: &str) -> anyhow::Result<Self> {
        let (queue, items) = mpsc::channel(4096);
        let items = Arc::new(Mutex::new(items));
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let mut rows = Rows::connect(database).await?;
            T::prepare(&mut rows).await?;
            writers.spawn(write(Arc::clone(&items), rows));
        }
        Ok(Self {
            queue,
            _writers: writers,
        })
    }

    /// Stores it; it is durable when this returns.
    pub(super) async fn append(&self, what: T) -> anyhow::Result<()> {
        let (stored, done) = oneshot::channel();
        let sent = self.queue.send((what, stored)).await;
        sent.map_err(|_| anyhow::anyhow!("the writers are gone"))?;
        done.await.context("a row was not stored")
    }
}

async fn write<T: Stored>(items: Arc<Mutex<mpsc::Receiver<Item<T>>>>, mut rows: Rows) -> anyhow::Result<()> {
    let mut batch: Vec<Item<T>> = Vec::with_capacity(MAX_BATCH);
    loop {
        if items.lock().await.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return Ok(());
        }
        let (all, replies): (Vec<T>, Vec<oneshot::Sender<()>>) = batch.drain(..).unzip();
        T::store(&mut rows, &all).await?;
        for reply in replies {
            // Whoever asked may be gone.
            reply.send(()).ok();
        }
    }
}
