//! How the process ends: a soft signal (drain), a hard one (stop now), and every task accounted for.
//!
//! Owns the two signals and the tracker of named tasks; the only caller of `tokio::spawn`. Refuses to know what the
//! tasks do. `app` builds it; whoever starts a task is handed a [`Tasks`].

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Starts tasks and remembers them, so that the end can wait for each.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Tasks {
    /// No tasks yet, no signal given.
    pub fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Starts a task that is expected to end by itself.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(
            self.tracker
                .track_future(task.instrument(tracing::info_span!(parent: None, "task", task = name))),
        );
    }

    /// Starts a task that must live as long as the server: if it ends before the stop, even by a panic, the whole
    /// server stops, since a node without its listener or its writer is worse than no node.
    pub fn spawn_vital<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            // Dropped on every way out, a panic included.
            let guard = stop.clone().drop_guard();
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => tracing::error!(task = name, "a vital task ended; the server stops"),
            }
            drop(guard);
        });
    }

    /// Counts a task that somebody else starts: axum spawns the one of an upgraded socket by itself.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tracker.track_future(task)
    }

    /// Given when the server should drain: no new work, clients told to come back.
    pub fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// Given when every task should end now.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// How many tasks are still alive.
    pub fn alive(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until every task has ended. Give the stop signal first.
    pub async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

/// SIGTERM and SIGINT, heard from the moment at which this was made; before that they end the process where it stands.
/// So it is made first: a server that has said it serves must not be killed by the signal that should drain it.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from here on.
    ///
    /// # Errors
    /// When the process may not install a signal handler.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal. One that came before is not lost.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
