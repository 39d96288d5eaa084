//! The group commit: one writer, one connection, everything that waits in one statement.
//!
//! Queries and answers from every connection and run of this process come through one bounded queue. The writer takes
//! what waits, at most `MAX_BATCH` rows and each session at most once, and stores it in one round trip: a lone append goes
//! at once, a busy node pays one commit for many. There is no timer, since waiting only made it worse (measured: 150 k
//! appends a second without, 90 k with 200 µs). What was committed is told, in the order of commit, to one function before
//! the caller is answered, so a caller that has gone away loses nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::chunks::PromptRecord;
use super::line::Line;
use super::{Store, StoreError};
use crate::ids::{ClientName, MessageId, NodeId, RunId, SessionKey};
use crate::log::{AnswerState, Claimed, Message};
use crate::metrics::Appends;
use crate::protocol::client::{OnBusy, Priority};
use crate::protocol::error::ErrorCode;
use crate::protocol::server::Usage;
use crate::protocol::text::Timestamp;
use crate::trace::Parent;

/// How many appends may wait for the writer before callers wait in turn.
const QUEUE: usize = 4096;

/// How long one try may take: a connection that is stalled, not broken, never answers.
const TRY_WITHIN: Duration = Duration::from_secs(5);

/// How long an append is tried again while the database is away.
const PATIENCE: Duration = Duration::from_secs(15);

/// A query to be stored.
#[derive(Debug)]
pub struct NewQuery {
    /// Whose session.
    pub key: SessionKey,
    /// The message.
    pub message_id: MessageId,
    /// The client's own id.
    pub client_id: Option<ClientName>,
    /// The question.
    pub content: Arc<str>,
    /// The client's own data.
    pub metadata: Option<Value>,
    /// The run that will answer it.
    pub run_id: RunId,
    /// The answer to come.
    pub answer_id: MessageId,
    /// The model asked for.
    pub model: Option<String>,
    /// Its place among waiting ones.
    pub priority: Priority,
    /// What to do when a run is in progress.
    pub on_busy: OnBusy,
    /// The trace that it belongs to, for the run if that begins at once.
    pub parent: Option<Parent>,
    /// A free place for the run on this process: without one the query waits.
    pub place: Option<OwnedSemaphorePermit>,
}

/// What became of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryOutcome {
    /// Stored, or stored before under the same id.
    Accepted(Accepted),
    /// The id was used with other content.
    Conflict,
    /// A run is in progress and the client did not want to wait.
    Busy,
    /// Too many wait.
    QueueFull,
    /// No such session.
    Missing,
}

/// A stored query.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Its place.
    pub seq: crate::ids::Seq,
    /// Its message.
    pub message_id: MessageId,
    /// The run that answers it.
    pub run_id: RunId,
    /// 0 = running.
    pub queue_position: u32,
    /// When it was stored.
    pub created_at: Timestamp,
    /// It had been stored before.
    pub duplicate: bool,
}

/// The end of a run, to be stored.
#[derive(Debug)]
pub struct NewAnswer {
    /// The run.
    pub run: Claimed,
    /// The answer.
    pub content: Arc<str>,
    /// How it ended.
    pub state: AnswerState,
    /// Who wrote it.
    pub model: Option<String>,
    /// The provider's reason for the end.
    pub finish_reason: Option<String>,
    /// Why it is not complete.
    pub error: Option<ErrorCode>,
    /// The provider's handle on the generation.
    pub generation_id: Option<String>,
    /// What it took.
    pub usage: Option<Usage>,
    /// What the model saw.
    pub prompt: Option<PromptRecord>,
    /// When the first text came.
    pub first_token_at: Option<Timestamp>,
    /// The run's place: the session's next waiting run may have it at once.
    pub place: Option<OwnedSemaphorePermit>,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerOutcome {
    /// Stored.
    Stored(Arc<Message>),
    /// The run is somebody else's by now: nothing was stored.
    Fenced,
    /// The session is gone.
    Missing,
}

/// Something was committed. Told in the order of commit.
#[derive(Debug)]
pub struct Commit {
    /// Whose session.
    pub key: SessionKey,
    /// The new message.
    pub message: Arc<Message>,
    /// Processes that show the session.
    pub watchers: Vec<NodeId>,
    /// A run of this process that begins now, with its place.
    pub start: Option<(Claimed, OwnedSemaphorePermit)>,
    /// The process whose run was told to stop.
    pub interrupted: Option<NodeId>,
}

pub(super) enum Item {
    Query(NewQuery, oneshot::Sender<Result<QueryOutcome, StoreError>>),
    Answer(NewAnswer, oneshot::Sender<Result<AnswerOutcome, StoreError>>),
}

impl Item {
    pub(super) fn key(&self) -> &SessionKey {
        match self {
            Self::Query(query, _) => &query.key,
            Self::Answer(answer, _) => &answer.run.key,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Query(query, _) => query.content.len(),
            Self::Answer(answer, _) => answer.content.len(),
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Self::Query(_, reply) => drop(reply.send(Err(error))),
            Self::Answer(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

/// The limits that an append checks under the session's lock.
#[derive(Clone, Copy, Debug)]
pub struct AppendLimits {
    /// Waiting queries a session; 0 = no limit.
    pub max_queue: u32,
    /// Running answers a user; 0 = no limit.
    pub max_runs_per_user: u32,
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub struct Appender {
    queue: mpsc::Sender<Item>,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Query(..) => "Query",
            Self::Answer(..) => "Answer",
        })
    }
}

impl Appender {
    /// Stores a query and, where it may, starts its run.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database stayed away; the query may be sent again under its id.
    pub async fn query(&self, query: NewQuery) -> Result<QueryOutcome, StoreError> {
        let (reply, outcome) = oneshot::channel();
        self.queue
            .send(Item::Query(query, reply))
            .await
            .map_err(|_| StoreError::Stopping)?;
        outcome.await.map_err(|_| StoreError::Stopping)?
    }

    /// How many appends wait for the writer.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Stores the end of a run and starts the session's next one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database stayed away.
    pub async fn answer(&self, answer: NewAnswer) -> Result<AnswerOutcome, StoreError> {
        let (reply, outcome) = oneshot::channel();
        self.queue
            .send(Item::Answer(answer, reply))
            .await
            .map_err(|_| StoreError::Stopping)?;
        outcome.await.map_err(|_| StoreError::Stopping)?
    }
}

/// The writer's loop. Ends when every [`Appender`] is gone and the queue is empty.
pub struct Writer<F> {
    queue: mpsc::Receiver<Item>,
    node: NodeId,
    limits: AppendLimits,
    committed: F,
    metrics: Appends,
    line: Line,
    /// Items that must wait for the next batch, in their order.
    held: VecDeque<Item>,
}

impl Store {
    /// A writer and the way to it. `committed` is called for each commit, in order, and must not block.
    pub fn writer<F>(
        &self,
        node: NodeId,
        limits: AppendLimits,
        metrics: Appends,
        committed: F,
    ) -> (Appender, Writer<F>)
    where
        F: Fn(Commit) + Send + 'static,
    {
        let (sender, queue) = mpsc::channel(QUEUE);
        let line = self.line();
        let writer = Writer {
            queue,
            node,
            limits,
            committed,
            metrics,
            line,
            held: VecDeque::new(),
        };
        (Appender { queue: sender }, writer)
    }
}

impl<F: Fn(Commit) + Send + 'static> Writer<F> {
    /// Stores what comes until nobody can send any more.
    pub async fn run(mut self) {
        self.prepare().await;
        loop {
            if self.held.is_empty() {
                match self.queue.recv().await {
                    Some(item) => self.held.push_back(item),
                    None => return,
                }
            }
            while self.held.len() < 2 * super::batch::MAX_BATCH {
                match self.queue.try_recv() {
                    Ok(item) => self.held.push_back(item),
                    Err(_) => break,
                }
            }
            let batch = super::batch::take(&mut self.held);
            self.store_batch(batch).await;
        }
    }

    /// Connects and has the statement prepared before anybody waits for it, by a batch of nothing: the first question after a
    /// start had its first token after 23 ms, and has it after 12. Where this fails, the first append connects.
    async fn prepare(&mut self) {
        if let Err(error) = self.try_batch(&[], false).await {
            tracing::debug!(error = %error, "the writer's statement could not be prepared");
        }
    }

    /// Stores a batch, again after a lost connection, until it is done or patience ends.
    async fn store_batch(&mut self, batch: Vec<Item>) {
        let began = tokio::time::Instant::now();
        let deadline = began + PATIENCE;
        let mut wait = Duration::from_millis(20);
        let mut repeated = false;
        loop {
            let error = match self.try_batch(&batch, repeated).await {
                Ok(results) => {
                    self.metrics.stored(batch.len(), began.elapsed());
                    return super::batch::settle(batch, results, &self.committed);
                }
                Err(error) => error,
            };
            if !error.is_retryable() {
                return Box::pin(self.divide(batch, error)).await;
            }
            tracing::warn!(error = %error, rows = batch.len(), "an append failed; trying again");
            // The connection broke with the batch under way: whether it was committed is unknown, so look first.
            repeated = true;
            self.metrics.repeated();
            if tokio::time::Instant::now() + wait > deadline {
                for item in batch {
                    item.fail(StoreError::too_late());
                }
                return;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    /// A row that the database refuses must not take the others with it: halves until it stands alone.
    async fn divide(&mut self, mut batch: Vec<Item>, error: StoreError) {
        if batch.len() <= 1 {
            tracing::error!(error = %error, "the database refused an append");
            for item in batch {
                item.fail(StoreError::Refused(sqlx::Error::RowNotFound));
            }
            return;
        }
        let second = batch.split_off(batch.len() / 2);
        self.store_batch(batch).await;
        self.store_batch(second).await;
    }

    /// Tries once, within [`TRY_WITHIN`].
    async fn try_batch(
        &mut self,
        batch: &[Item],
        repeated: bool,
    ) -> Result<Vec<super::batch::Row>, StoreError> {
        let trying = async {
            let mut connection = self.line.take().await?;
            let rows =
                super::batch::execute(&mut connection, self.node, self.limits, batch, repeated).await?;
            self.line.keep(connection);
            Ok(rows)
        };
        tokio::time::timeout(TRY_WITHIN, trying)
            .await
            .unwrap_or_else(|_| Err(StoreError::too_late()))
    }
}
