//! Several `serve` processes on one database, each behind a proxy of its own to Postgres, with devices that roam between
//! them; and what must hold of all of it at rest. The first of them has one core, and so one thread; the others have all.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, PoisonError};

use sqlx::PgPool;
use tokio::task::JoinSet;

use super::chaos::ChaosProxy;
use super::database::TestDatabase;
use super::device::{Addresses, Device};
use super::eventually;
use super::node::{token, values};
use super::process::{ServeProcess, post};
use super::provider::ScriptedProvider;
use super::seeds::Blame;

/// A place for a node: its way to Postgres stays when the process goes.
struct Slot {
    proxy: ChaosProxy,
    process: Option<ServeProcess>,
    /// Starts of it so far.
    starts: usize,
}

/// The nodes and who is connected to them.
pub(crate) struct Fleet {
    pub(crate) database: TestDatabase,
    pub(crate) devices: Vec<Device>,
    provider_url: String,
    changes: Vec<(String, String)>,
    slots: Vec<Slot>,
    /// Nodes that were told to end.
    leaving: Vec<ServeProcess>,
    addresses: Addresses,
    tasks: JoinSet<()>,
}

impl Fleet {
    /// Nodes on a new database.
    pub(crate) async fn start(n_nodes: usize, provider: &ScriptedProvider, changes: &[(&str, &str)]) -> Self {
        let database = TestDatabase::new().await;
        let slots = (0..n_nodes)
            .map(|_| Slot {
                proxy: ChaosProxy::start(&database.server_url),
                process: None,
                starts: 0,
            })
            .collect();
        let mut fleet = Self {
            database,
            devices: Vec::new(),
            provider_url: provider.base_url(),
            changes: changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            slots,
            leaving: Vec::new(),
            addresses: Arc::default(),
            tasks: JoinSet::new(),
        };
        fleet.addresses().resize(n_nodes, None);
        for node in 0..n_nodes {
            fleet.start_node(node).await;
        }
        fleet
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, Vec<Option<String>>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a node in its place.
    pub(crate) async fn start_node(&mut self, node: usize) {
        let changes: Vec<(&str, &str)> = self
            .changes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let slot = &mut self.slots[node];
        slot.proxy.restore();
        slot.starts += 1;
        let settings = values(&self.provider_url, &slot.proxy.url, &changes);
        let name = format!("node {node}, start {}", slot.starts);
        let process = match node {
            0 => ServeProcess::start_on_one_core(&name, settings).await,
            _ => ServeProcess::start(&name, settings).await,
        };
        let base = process.base.clone();
        slot.process = Some(process);
        self.addresses()[node] = Some(base);
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.slots[node].process.is_some()
    }

    pub(crate) fn proxy(&self, node: usize) -> &ChaosProxy {
        &self.slots[node].proxy
    }

    pub(crate) fn node(&self, node: usize) -> &ServeProcess {
        self.slots[node].process.as_ref().expect("a node that runs")
    }

    /// Takes a node out of its place; devices find it no more.
    pub(crate) fn take(&mut self, node: usize) -> ServeProcess {
        self.addresses()[node] = None;
        self.slots[node].process.take().expect("a node that runs")
    }

    /// Tells a node to end; it drains while its successor may start.
    pub(crate) fn terminate(&mut self, node: usize) {
        let leaving = self.take(node);
        leaving.process.terminate();
        self.leaving.push(leaving);
    }

    /// Makes all well again: every node runs and reaches Postgres. What was told to end has ended as it should.
    pub(crate) async fn heal(&mut self) {
        for node in 0..self.slots.len() {
            self.proxy(node).restore();
            if !self.is_up(node) {
                self.start_node(node).await;
            }
        }
        for leaving in &mut self.leaving {
            leaving.ended().await;
        }
        self.leaving.clear();
    }

    /// Opens a new session of a user at the first node that runs.
    pub(crate) async fn session(&self, user: &str) -> String {
        let base = self.addresses().iter().flatten().next().unwrap().clone();
        post(&base, "/v1/sessions", &token(user)).await["session_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Connects a device.
    pub(crate) fn device(&mut self, user: &str, session: &str, first_node: usize) {
        let name = format!("device {} of {user}", self.devices.len());
        let device = Device::start(
            &name,
            (user, session),
            first_node,
            &self.addresses,
            &mut self.tasks,
        );
        self.devices.push(device);
    }

    /// Fails when a device has failed: its own message says why.
    pub(crate) fn check_devices(&mut self) {
        if let Some(ended) = self.tasks.try_join_next() {
            ended.expect("a device found a breach of the contract");
        }
    }

    /// Waits until every device is connected and every query acknowledged.
    pub(crate) async fn acknowledged(&mut self) {
        let devices = self.devices.clone();
        eventually("every query is acknowledged", || {
            self.check_devices();
            std::future::ready(devices.iter().all(Device::is_settled))
        })
        .await;
    }

    /// Waits until nothing runs or waits, and every device has seen everything.
    pub(crate) async fn rest(&mut self) {
        self.acknowledged().await;
        let progress = Progress {
            devices: self.devices.clone(),
            heads: RefCell::default(),
        };
        let _blame = Blame(&progress);
        let pool = self.database.pool.clone();
        // Together: a copy of a query that was under way on a connection since cut may still begin a run.
        eventually("no run is left and every device has seen everything", || {
            self.check_devices();
            async { open_runs(&pool).await == 0 && progress.is_complete(heads(&pool).await) }
        })
        .await;
    }

    /// What must hold at rest: nothing accepted is lost or doubled, every run ended once, everybody saw the same.
    pub(crate) async fn verify(&self) -> Verdict {
        let pool = &self.database.pool;
        let log = log(pool).await;
        let mut verdict = Verdict::default();
        for device in &self.devices {
            let memory = device.memory();
            let session = &log[&device.session];
            assert!(
                session
                    .iter()
                    .map(|message| message.0)
                    .eq(1..=i64::try_from(session.len()).unwrap()),
                "seq has a gap: {session:?}"
            );
            let seen: Vec<_> = memory
                .transcript
                .messages
                .iter()
                .map(|(seq, (kind, content))| (*seq, kind.clone(), content.clone()))
                .collect();
            let stored: Vec<_> = session
                .iter()
                .map(|(seq, role, content, _)| (*seq, role.clone(), content.clone()))
                .collect();
            assert_eq!(
                seen, stored,
                "{} holds something else than the table",
                device.name
            );
            let times = |id: &String| {
                session
                    .iter()
                    .filter(|message| message.3.as_ref() == Some(id))
                    .count()
            };
            verdict.accepted += memory.accepted.len();
            verdict.lost += memory.accepted.iter().filter(|id| times(id) == 0).count();
            verdict.doubled += memory.accepted.iter().filter(|id| times(id) > 1).count();
            for id in &memory.refused {
                assert_eq!(times(id), 0, "{id} was refused and is stored");
            }
        }
        assert_eq!((verdict.lost, verdict.doubled), (0, 0), "lost, doubled");
        assert_eq!(
            broken_runs(pool).await,
            0,
            "runs without exactly one terminal message"
        );
        assert_eq!(held_sessions(pool).await, 0, "sessions that a run still holds");
        verdict
    }

    /// Disconnects all and ends every node as a signal does.
    pub(crate) async fn shut_down(mut self) {
        self.tasks.abort_all();
        for slot in &mut self.slots {
            if let Some(node) = &mut slot.process {
                node.process.terminate();
            }
        }
        for slot in &mut self.slots {
            if let Some(node) = &mut slot.process {
                node.ended().await;
            }
        }
    }
}

/// How far each device has come in its session.
struct Progress {
    devices: Vec<Device>,
    heads: RefCell<HashMap<String, i64>>,
}

impl Progress {
    fn is_complete(&self, heads: HashMap<String, i64>) -> bool {
        self.heads.replace(heads);
        let heads = self.heads.borrow();
        self.devices
            .iter()
            .all(|device| device.memory().transcript.cursor == heads[&device.session])
    }
}

impl Display for Progress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let heads = self.heads.borrow();
        for device in &self.devices {
            let memory = device.memory();
            let (name, seen) = (&device.name, memory.transcript.cursor);
            let (head, state) = (
                heads.get(&device.session),
                if memory.connected { "connected" } else { "away" },
            );
            writeln!(f, "{name}, {state}, has seen {seen} of {head:?}")?;
        }
        Ok(())
    }
}

/// What was counted at rest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) accepted: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
}

async fn open_runs(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM agent.runs WHERE state IN ('queued', 'running')")
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn held_sessions(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM agent.sessions WHERE active_run_id IS NOT NULL")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Runs whose answer is not there exactly once in the state in which the run ended, and queries without a run.
async fn broken_runs(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM agent.runs AS r WHERE 1 <> (
             SELECT count(*) FROM agent.messages AS m
             WHERE m.user_id = r.user_id AND m.session_id = r.session_id AND m.run_id = r.run_id
               AND m.role = 'assistant' AND m.message_id = r.answer_message_id AND m.state = r.state))
         + (SELECT count(*) FROM agent.messages AS m WHERE m.role = 'user' AND 1 <> (
             SELECT count(*) FROM agent.runs AS r
             WHERE r.user_id = m.user_id AND r.session_id = m.session_id AND r.query_message_id = m.message_id))
         + (SELECT count(*) FROM agent.messages AS m WHERE m.role = 'assistant' AND NOT EXISTS (
             SELECT 1 FROM agent.runs AS r
             WHERE r.user_id = m.user_id AND r.session_id = m.session_id AND r.run_id = m.run_id))",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

async fn heads(pool: &PgPool) -> HashMap<String, i64> {
    sqlx::query_as("SELECT session_id::text, last_seq FROM agent.sessions")
        .fetch_all(pool)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

/// A stored message: seq, role, content, the client's id.
type Stored = (i64, String, String, Option<String>);

/// The log by session.
async fn log(pool: &PgPool) -> BTreeMap<String, Vec<Stored>> {
    let rows: Vec<(String, i64, String, String, Option<String>)> = sqlx::query_as(
        "SELECT s.session_id::text, m.seq, m.role, m.content, m.client_id
         FROM agent.sessions AS s
         JOIN agent.messages AS m ON m.user_id = s.user_id AND m.session_id = s.session_id
         ORDER BY m.session_id, m.seq",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut log: BTreeMap<String, Vec<Stored>> = heads(pool)
        .await
        .into_keys()
        .map(|session| (session, Vec::new()))
        .collect();
    for (session, seq, role, content, client_id) in rows {
        log.get_mut(&session)
            .unwrap()
            .push((seq, role, content, client_id));
    }
    log
}
