//! Hears other processes and inserting services: the only LISTEN connection of this process.
//!
//! A notification is a hint, so the order is always: LISTEN, then look, then live. With sqlx's listener an error and `None`
//! both mean that something may have been missed, and after a failed reconnect it gives no further sign; so both tear the
//! connection down, a new one is made, and everybody looks again. A half-open connection never errs, so a probe makes the
//! round trip through our own channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::Instant;
use uuid::Uuid;

use super::notifier::{
    Hint, NOTIFICATIONS_CHANNEL, Notifier, REVOCATIONS_CHANNEL, WORK_CHANNEL, node_channel,
};
use crate::ids::{NodeId, SessionId};
use crate::metrics::Metrics;

/// How often the listener is probed.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// How long a probe may take before the connection counts as dead.
const PROBE_WITHIN: Duration = Duration::from_secs(3);

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This session changed.
    Session(SessionId),
    /// A run of this session may have been cancelled.
    Cancel(SessionId),
    /// A connection of this process may have to end.
    Connections,
    /// Rows were inserted into `agent.notifications`.
    Notifications,
    /// A run waits for somebody with room.
    Work,
    /// Something was revoked.
    Revocations,
    /// Anything may have been missed: look at everything.
    Everything,
}

/// Whether the listener hears.
#[derive(Clone, Debug)]
pub struct ListenerState {
    listening: Arc<AtomicBool>,
    metrics: Metrics,
}

impl ListenerState {
    /// Nothing heard yet.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            listening: Arc::default(),
            metrics,
        }
    }

    /// Whether a round trip through our own channel worked lately.
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    fn set(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
        if listening {
            self.metrics.deliveries.listener_is_up();
        } else {
            self.metrics.deliveries.listener_is_down();
        }
    }
}

/// The listener's task.
pub struct Listener<F> {
    /// A direct connection: a transaction-mode pooler delivers nothing.
    pub url: String,
    /// This process.
    pub node: NodeId,
    /// For the probe.
    pub notifier: Notifier,
    /// Told to `/readyz`.
    pub state: ListenerState,
    /// Called for what is heard; must not block, or the whole instance's queue stalls.
    pub heard: F,
}

impl<F: Fn(Heard) + Send> Listener<F> {
    /// Listens until the task is dropped.
    pub async fn run(self) {
        let mut wait = Duration::from_millis(100);
        loop {
            let began = Instant::now();
            let error = self.listen().await;
            self.state.set(false);
            tracing::warn!(error = %error, "the listener lost its connection; polling until it is back");
            (self.heard)(Heard::Everything);
            if began.elapsed() > Duration::from_secs(30) {
                wait = Duration::from_millis(100);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    }

    /// One connection's life. Returns why it ended.
    async fn listen(&self) -> sqlx::Error {
        let channel = node_channel(self.node);
        let mut listener = match PgListener::connect(&self.url).await {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        if let Err(error) = listener
            .listen_all([
                channel.as_str(),
                NOTIFICATIONS_CHANNEL,
                WORK_CHANNEL,
                REVOCATIONS_CHANNEL,
            ])
            .await
        {
            return error;
        }
        (self.heard)(Heard::Everything);
        let mut probe_due = Instant::now();
        let mut probe_sent: Option<Instant> = None;
        loop {
            let deadline = probe_sent.map_or(probe_due, |sent| sent + PROBE_WITHIN);
            tokio::select! {
                received = listener.try_recv() => match received {
                    Ok(Some(notification)) => {
                        if self.hear(notification.channel(), notification.payload(), &channel) {
                            if let Some(sent) = probe_sent.take() {
                                self.state.metrics.deliveries.heard_after(sent.elapsed());
                            }
                            self.state.set(true);
                        }
                    }
                    Ok(None) => return sqlx::Error::WorkerCrashed,
                    Err(error) => return error,
                },
                () = tokio::time::sleep_until(deadline) => {
                    if probe_sent.is_some() {
                        return sqlx::Error::PoolTimedOut;
                    }
                    self.notifier.send(Hint::Probe(self.node));
                    probe_sent = Some(Instant::now());
                    probe_due = Instant::now() + PROBE_EVERY;
                }
            }
        }
    }

    /// Tells what a notification means. Payloads are untrusted: any role of the database may send one. Returns whether it
    /// was our probe.
    fn hear(&self, channel: &str, payload: &str, own: &str) -> bool {
        match channel {
            NOTIFICATIONS_CHANNEL => (self.heard)(Heard::Notifications),
            WORK_CHANNEL => (self.heard)(Heard::Work),
            REVOCATIONS_CHANNEL => (self.heard)(Heard::Revocations),
            _ if channel == own => {
                let mut probe = false;
                for word in payload.split(',') {
                    match word.split_at_checked(1) {
                        Some(("p", "")) => probe = true,
                        Some(("n", "")) => (self.heard)(Heard::Connections),
                        Some(("s", id)) => self.heard_session(id, Heard::Session),
                        Some(("c", id)) => self.heard_session(id, Heard::Cancel),
                        _ => {}
                    }
                }
                return probe;
            }
            _ => {}
        }
        false
    }

    fn heard_session(&self, id: &str, heard: impl Fn(SessionId) -> Heard) {
        if let Ok(id) = Uuid::parse_str(id) {
            (self.heard)(heard(SessionId(id)));
        }
    }
}
