//! Answers in the making. A run belongs to its session and to no socket; it ends in exactly one durable message.
//!
//! ```text
//!              append (the session is idle and there is room)
//!      ┌──────────────────────────────────────────────────────────┐
//!      │                                                          ▼
//!  (query) ── append ──► queued ── claim, or the chain ──────► running ── answer ──► complete
//!                          │ ▲      after an answer               │ │                cancelled
//!                          │ │                                    │ │                incomplete (some text, then a fault)
//!                          │ └──── release (nothing was shown) ───┘ │                failed     (no text)
//!                          │                                        │
//!                          └── unqueue ──► cancelled                └─ take over (the owner's lease ran out): the same
//!                                                                      run under a higher fence, then answer or release
//! ```
//!
//! Each arrow is one short transaction in `store`. Every claim raises the session's fence and every later write carries
//! it, so a process that was given up for dead cannot write; the first terminal state stands. `execute` carries a run
//! through, `conclude` decides how it ends, `scribe` writes its text behind, `dispatch` claims what waits, `lease` keeps
//! this process's claims alive, `recover` takes over those of dead ones, `reconcile` asks what aborted answers cost, `trace` tells
//! a run to a collector, and `arriving` knows the trace of one before its row does.

mod arriving;
mod conclude;
mod dispatch;
mod execute;
mod lease;
mod observe;
mod prepare;
mod reconcile;
mod recover;
mod scribe;
mod trace;

pub use arriving::Arrival;
pub use dispatch::Dispatcher;
pub use lease::Lease;
pub use reconcile::Reconciler;
pub use scribe::Scribe;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::clock::Clock;
use crate::feed::Feed;
use crate::ids::{Fence, NodeId, RunId, SessionId, SessionKey, UserId};
use crate::llm::Provider;
use crate::log::{Claim, Claimed};
use crate::metrics::Metrics;
use crate::notify::hub::Hub;
use crate::notify::notifier::{Hint, Notifier};
use crate::otlp::Spans;
use crate::secret::Secret;
use crate::shutdown::Tasks;
use crate::store::Store;
use crate::store::append::Appender;
use trace::RunTrace;

/// Why a run is told to stop before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// It is another process's by now, or its session is gone.
    Lost,
    /// This process ends.
    Ending,
}

/// A run's ear for being stopped. The first reason stands.
#[derive(Clone, Debug, Default)]
struct StopSignal {
    token: CancellationToken,
    reason: Arc<OnceLock<Stop>>,
}

impl StopSignal {
    fn stop(&self, reason: Stop) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    async fn stopped(&self) -> Stop {
        self.token.cancelled().await;
        self.reason.get().copied().unwrap_or(Stop::Ending)
    }
}

/// What holds for every run.
#[derive(Clone, Debug)]
pub struct RunPolicy {
    /// What the agent is called.
    pub agent: String,
    /// The model where neither the query nor the session names one.
    pub model: String,
    /// Models that a client may have chosen, this one among them.
    pub allowed_models: Vec<String>,
    /// Models to ask when it fails.
    pub fallbacks: Vec<String>,
    /// How freely the model writes.
    pub temperature: f64,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// What of the log it sees.
    pub window: crate::prompt::Window,
    /// How often a run may be started.
    pub max_attempts: u32,
    /// Runs a user, on all processes; 0 = no limit.
    pub max_runs_per_user: u32,
    /// Runs on this process; 0 = no limit.
    pub max_runs_per_node: u32,
    /// How often text is stored while it is written.
    pub chunk_flush: Duration,
    /// How long this process may be silent before its runs are taken over.
    pub lease: Duration,
    /// How often dead processes' runs are looked for.
    pub reaper_interval: Duration,
    /// How often to look for work without a hint.
    pub poll: Duration,
    /// Makes the name of a user towards the provider: nobody without it can tell who is meant.
    pub user_pepper: Secret,
}

/// What runs need of the process.
#[derive(Debug)]
pub struct RunContext {
    /// The database.
    pub store: Store,
    /// The way into the log.
    pub appender: Appender,
    /// The rooms.
    pub hub: Arc<Hub>,
    /// Keeps rooms in step.
    pub feed: Feed,
    /// Tells other processes.
    pub notifier: Notifier,
    /// The model's provider.
    pub provider: Provider,
    /// This process.
    pub node: NodeId,
    /// The time.
    pub clock: Clock,
    /// What operators watch.
    pub metrics: Metrics,
    /// The way to a collector of traces; `None` where none is named.
    pub spans: Option<Spans>,
    /// Starts tasks.
    pub tasks: Tasks,
}

#[derive(Debug)]
struct Running {
    key: SessionKey,
    fence: Fence,
    stop: StopSignal,
}

/// A run that counts as this process's for as long as this lives, whatever ends its task.
#[derive(Debug)]
struct Mark {
    runs: Arc<Runs>,
    claim: Claim,
    stop: StopSignal,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut running = self.runs.running();
        if running
            .get(&self.claim.run_id)
            .is_some_and(|now| now.fence == self.claim.fence)
        {
            running.remove(&self.claim.run_id);
        }
    }
}

/// The runs of this process.
#[derive(Debug)]
pub struct Runs {
    context: RunContext,
    policy: RunPolicy,
    places: Arc<Semaphore>,
    running: Mutex<HashMap<RunId, Running>>,
    scribe: scribe::Desk,
    arriving: arriving::Arriving,
    work: Notify,
    /// Others wait for a place here: a run that ends gives its place back instead of keeping it for its session.
    crowded: AtomicBool,
    draining: AtomicBool,
    /// Dead processes' runs are being recovered.
    recovering: Arc<tokio::sync::Mutex<()>>,
}

/// The places for runs on a process; 0 = as many as are asked for.
fn places(max_runs_per_node: u32) -> Arc<Semaphore> {
    let places = if max_runs_per_node == 0 {
        Semaphore::MAX_PERMITS
    } else {
        max_runs_per_node as usize
    };
    Arc::new(Semaphore::new(places))
}

impl Runs {
    /// No runs yet, and the task that stores their text.
    pub fn new(context: RunContext, policy: RunPolicy) -> (Arc<Self>, Scribe) {
        let (desk, receiver) = scribe::desk();
        let places = places(policy.max_runs_per_node);
        let runs = Arc::new(Self {
            context,
            policy,
            places,
            running: Mutex::default(),
            scribe: desk,
            arriving: arriving::Arriving::default(),
            work: Notify::new(),
            crowded: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            recovering: Arc::default(),
        });
        (Arc::clone(&runs), Scribe::new(runs, receiver))
    }

    fn running(&self) -> MutexGuard<'_, HashMap<RunId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more run, if there is one and the process takes more.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        if self.draining.load(Ordering::Relaxed) {
            return None;
        }
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Starts a claimed run.
    pub fn start(self: &Arc<Self>, run: Claimed, place: OwnedSemaphorePermit) {
        let mark = self.mark_running(&run);
        // Before the task is: whoever is about to be told of the query is told of its run in the same write.
        let room = execute::begin(self, &run);
        let runs = Arc::clone(self);
        self.context.tasks.spawn("run", async move {
            let trace = trace::begin(&runs, &run).await;
            let span = trace.as_ref().map_or_else(Span::none, RunTrace::log_span);
            execute::execute(&runs, run, &room, place, mark.stop.clone(), trace)
                .instrument(span)
                .await;
            drop(mark);
            // A process that ends takes nothing more: others may.
            if runs.draining.load(Ordering::Relaxed) {
                runs.offer_work();
            } else {
                runs.look_for_work();
            }
        });
    }

    /// Counts a run as this process's until the mark is dropped. An earlier claim of this process that was lost, and has not
    /// noticed yet, ends.
    fn mark_running(self: &Arc<Self>, run: &Claimed) -> Mark {
        let stop = StopSignal::default();
        let running = Running {
            key: run.key.clone(),
            fence: run.fence,
            stop: stop.clone(),
        };
        if let Some(lost) = self.running().insert(run.run_id, running) {
            lost.stop.stop(Stop::Lost);
        }
        Mark {
            runs: Arc::clone(self),
            claim: run.claim(),
            stop,
        }
    }

    /// Stops a run of this process. `false` when it is not (any more) here.
    pub fn stop(&self, run: RunId, reason: Stop) -> bool {
        self.running()
            .get(&run)
            .map(|running| running.stop.stop(reason))
            .is_some()
    }

    /// Stops a run of this process that goes on under this claim.
    fn stop_claim(&self, claim: Claim, reason: Stop) {
        if let Some(running) = self
            .running()
            .get(&claim.run_id)
            .filter(|now| now.fence == claim.fence)
        {
            running.stop.stop(reason);
        }
    }

    /// Stops the run of a session, if it is here: the session is gone.
    pub fn stop_session(&self, key: &SessionKey) {
        for running in self.running().values().filter(|running| running.key == *key) {
            running.stop.stop(Stop::Lost);
        }
    }

    /// Whether a run is executed here.
    pub fn is_running(&self, run: RunId) -> bool {
        self.running().contains_key(&run)
    }

    /// The runs that are executed here.
    fn executing(&self) -> Vec<RunId> {
        self.running().keys().copied().collect()
    }

    /// How many runs there are here.
    pub fn count(&self) -> usize {
        self.running().len()
    }

    /// Something may wait for a place here.
    pub fn look_for_work(&self) {
        self.work.notify_one();
    }

    /// Something waits and there is no place here: others may have one.
    pub fn offer_work(&self) {
        self.work.notify_one();
        self.context.notifier.send(Hint::Work);
    }

    /// A hint, or the poll for one that was lost: somebody may have cancelled a run of this session here, or removed the
    /// session under it. `None`: of any session.
    pub async fn look_for_cancellation(&self, session: Option<SessionId>) {
        let executing: Vec<(SessionKey, RunId)> = self
            .running()
            .iter()
            .filter(|(_, running)| session.is_none_or(|session| running.key.session_id == session))
            .map(|(run, running)| (running.key.clone(), *run))
            .collect();
        if executing.is_empty() {
            return;
        }
        match self.context.store.runs_to_stop(&executing).await {
            Ok(runs) => {
                for run in runs {
                    let reason = if run.is_gone { Stop::Lost } else { Stop::Cancelled };
                    self.stop(run.run_id, reason);
                }
            }
            Err(error) => tracing::warn!(error = %error, "cancellations could not be looked for"),
        }
    }

    /// A user was erased: nobody is left to read what is being written.
    pub fn stop_user(&self, user: &UserId) {
        let keys: Vec<SessionKey> = self
            .running()
            .values()
            .filter(|run| run.key.user_id == *user)
            .map(|run| run.key.clone())
            .collect();
        for key in keys {
            self.stop_session(&key);
        }
    }

    /// How many ends of runs of this process were refused, since they came after somebody else's.
    pub fn late_writes_refused(&self) -> u64 {
        self.context.metrics.answers.late_writes_refused()
    }

    /// No new runs from here on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Ends every run: those that showed nothing go back to the queue, the others end with what they have.
    pub fn end_all(&self) {
        for running in self.running().values() {
            running.stop.stop(Stop::Ending);
        }
    }
}
