//! Tells other processes to look again: one task, one connection, hints coalesced while one NOTIFY is under way.
//!
//! A NOTIFY in a transaction of its own flushes nothing and costs nothing; in the transaction that writes it took 64
//! writers from 29,500 to 5,000 inserts a second, since Postgres holds one lock of the whole instance through the flush. A
//! hint that is lost does no harm: the next one, or the poll, heals it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::mpsc;

use crate::ids::{NodeId, SessionId};

/// The channel on which services' inserts into `agent.notifications` are announced.
pub const NOTIFICATIONS_CHANNEL: &str = "agent_notifications";

/// The channel on which processes say that a run waits for somebody with room.
pub const WORK_CHANNEL: &str = "agent_work";

/// The channel on which inserts into `agent.revocations` are announced.
pub const REVOCATIONS_CHANNEL: &str = "agent_revocations";

/// How many hints may wait; more are dropped, since the poll heals that.
const QUEUE: usize = 8192;

/// Hints in one payload: 37 bytes each, under Postgres's 8,000.
const HINTS_PER_PAYLOAD: usize = 200;

/// A process's own channel.
pub fn node_channel(node: NodeId) -> String {
    format!("agent_node_{node}")
}

/// What to tell whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// A session changed.
    Session(NodeId, SessionId),
    /// A run of that process should look whether it was cancelled.
    Cancel(NodeId, SessionId),
    /// A connection of that process may have to end: replaced by its device, or beyond its user's limit.
    Connections(NodeId),
    /// A run waits.
    Work,
    /// Something happened to notifications.
    Notifications,
    /// Are you listening? To ourselves.
    Probe(NodeId),
}

/// The way to the notifier.
#[derive(Clone, Debug)]
pub struct Notifier {
    queue: mpsc::Sender<Hint>,
}

impl Notifier {
    /// A notifier's task and the way to it.
    pub fn new(options: PgConnectOptions) -> (Self, NotifierTask) {
        let (sender, queue) = mpsc::channel(QUEUE);
        (
            Self { queue: sender },
            NotifierTask {
                queue,
                options,
                connection: None,
            },
        )
    }

    /// Sends a hint. Never waits.
    pub fn send(&self, hint: Hint) {
        if self.queue.try_send(hint).is_err() {
            tracing::debug!("a hint was dropped; the poll will do");
        }
    }

    /// Tells processes, but for one, that a session changed.
    pub fn session(&self, watchers: &[NodeId], except: NodeId, session: SessionId) {
        for node in watchers.iter().filter(|node| **node != except) {
            self.send(Hint::Session(*node, session));
        }
    }
}

/// The task that sends the hints. It does not print: the options hold the database's password.
pub struct NotifierTask {
    queue: mpsc::Receiver<Hint>,
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl NotifierTask {
    /// Sends what comes until nobody can send any more.
    pub async fn run(mut self) {
        let mut hints = Vec::new();
        while self.queue.recv_many(&mut hints, QUEUE).await > 0 {
            let unique: HashSet<Hint> = hints.drain(..).collect();
            let (channels, payloads) = payloads(&unique);
            if let Err(error) = self.notify(&channels, &payloads).await {
                tracing::warn!(error = %error, "hints could not be sent; other processes will poll");
                self.connection = None;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    async fn notify(&mut self, channels: &[String], payloads: &[String]) -> Result<(), sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connect().await?);
        }
        if let Some(connection) = &mut self.connection {
            sqlx::query!(
                "SELECT pg_notify(c, p) FROM unnest($1::text[], $2::text[]) AS hints (c, p)",
                channels,
                payloads
            )
            .execute(connection)
            .await?;
        }
        Ok(())
    }
}

/// Groups hints by channel and cuts them to size.
fn payloads(hints: &HashSet<Hint>) -> (Vec<String>, Vec<String>) {
    let mut words: HashMap<String, Vec<String>> = HashMap::new();
    for hint in hints {
        let (channel, word) = match hint {
            Hint::Session(node, session) => (node_channel(*node), format!("s{session}")),
            Hint::Cancel(node, session) => (node_channel(*node), format!("c{session}")),
            Hint::Connections(node) => (node_channel(*node), "n".to_owned()),
            Hint::Work => (WORK_CHANNEL.to_owned(), String::new()),
            Hint::Notifications => (NOTIFICATIONS_CHANNEL.to_owned(), String::new()),
            Hint::Probe(node) => (node_channel(*node), "p".to_owned()),
        };
        words.entry(channel).or_default().push(word);
    }
    let mut channels = Vec::new();
    let mut payloads = Vec::new();
    for (channel, words) in words {
        for chunk in words.chunks(HINTS_PER_PAYLOAD) {
            channels.push(channel.clone());
            payloads.push(chunk.join(","));
        }
    }
    (channels, payloads)
}

#[cfg(test)]
mod tests;
