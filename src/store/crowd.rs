//! Requests that come together and are served by one statement.
//!
//! A restart, or a lesson that begins, brings a crowd of clients at once. There is no timer: who comes alone is served at
//! once, and while one statement is under way the next one's requests gather. `sessions` creates and opens sessions this
//! way, `quota` sums up what users keep. Refuses to know what is asked for.

use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// The most requests in one statement.
const MAX_BATCH: usize = 256;

/// How many may wait before those who ask wait in turn.
const QUEUE: usize = 1024;

type Reply<A> = oneshot::Sender<Result<A, StoreError>>;

/// The way into a crowd: asks `Q`, is answered `A`.
#[derive(Debug)]
pub(super) struct Crowd<Q, A>(mpsc::Sender<(Q, Reply<A>)>);

impl<Q, A> Clone for Crowd<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Those who wait.
#[derive(Debug)]
pub(super) struct Waiting<Q, A>(mpsc::Receiver<(Q, Reply<A>)>);

/// The replies to a batch, in its order.
#[derive(Debug)]
pub(super) struct Replies<A>(Vec<Reply<A>>);

/// A crowd, and those who wait in it.
pub(super) fn gather<Q, A>() -> (Crowd<Q, A>, Waiting<Q, A>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Crowd(sender), Waiting(receiver))
}

impl<Q, A> Crowd<Q, A> {
    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, asked: Q) -> Result<A, StoreError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send((asked, reply)).await;
        sent.map_err(|_| StoreError::Stopping)?;
        answer.await.map_err(|_| StoreError::Stopping)?
    }
}

impl<Q, A> Waiting<Q, A> {
    /// All who wait now, once there is one; `None` when nobody can ask any more.
    pub(super) async fn next(&mut self) -> Option<(Vec<Q>, Replies<A>)> {
        let mut batch = Vec::new();
        if self.0.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return None;
        }
        let (asked, replies) = batch.into_iter().unzip();
        Some((asked, Replies(replies)))
    }
}

impl<A> Replies<A> {
    /// Answers everybody: each with his own, or all with the failure. Who has gone away hears nothing.
    pub(super) fn settle(self, answers: Result<Vec<A>, StoreError>) {
        match answers {
            Ok(answers) => {
                for (reply, answer) in self.0.into_iter().zip(answers) {
                    drop(reply.send(Ok(answer)));
                }
            }
            Err(error) => {
                for reply in self.0 {
                    drop(reply.send(Err(error.for_another())));
                }
            }
        }
    }
}
