//! Requests that come together and are served by one statement.
//!
//! A restart, or a lesson that begins, brings a crowd of clients at once. There is no timer: who comes alone is served at
//! once, and while one statement is under way the next one's requests gather. `sessions` creates and opens sessions this
//! way, `quota` sums up what users keep. Refuses to know what is asked for.

use tokio::sync::{mpsc, oneshot};

use super::{StoreError, in_time};

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
    /// Answers those who wait until nobody can ask any more: all who wait at a time by one call of `answer`, which gives an answer
    /// to each in their order and has as long as a statement may take. A failure is told to `failed`, then to all of them.
    pub(super) async fn serve<F: Future<Output = Result<Vec<A>, StoreError>>>(
        mut self,
        answer: impl Fn(Vec<Q>) -> F,
        failed: impl Fn(&StoreError),
    ) {
        let mut batch = Vec::new();
        while self.0.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let (asked, replies): (Vec<Q>, Vec<Reply<A>>) = batch.drain(..).unzip();
            let answers = in_time(answer(asked)).await;
            if let Err(error) = &answers {
                failed(error);
            }
            settle(replies, answers);
        }
    }
}

/// Answers everybody: each with his own, or all with the failure. Who has gone away hears nothing.
fn settle<A>(replies: Vec<Reply<A>>, answers: Result<Vec<A>, StoreError>) {
    match answers {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                drop(reply.send(Ok(answer)));
            }
        }
        Err(error) => {
            for reply in replies {
                drop(reply.send(Err(error.for_another())));
            }
        }
    }
}
