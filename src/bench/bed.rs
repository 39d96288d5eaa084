//! The private deployment that is measured: a Postgres, the scripted provider, and in turn the server and its floor.
//!
//! Owns every process that it starts and removes all of it. The server is this very program as it is deployed, with `serve` and its
//! limits on, only so high that a load from one address passes. Refuses anything but loopback. Called by `run`.

mod child;
mod cores;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::task::JoinSet;

pub(super) use self::child::Child;
use self::cores::Pair;
use super::gauge;
use super::load::{Client, Tally, Target};
use super::provider::{Provider, Script};
use super::rows::Rows;
use crate::config;
use crate::postgres::{Cluster, Installation};
use crate::secret::Secret;
use crate::store::Store;

/// Who is being measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contestant {
    /// `agent-websocket serve`.
    Service,
    /// A bare relay for the same work.
    Floor,
}

impl Contestant {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Floor => "floor",
        }
    }
}

/// In what form a contestant comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formation<'a> {
    /// Processes, over one database.
    pub(super) nodes: usize,
    pub(super) cores: Cores,
    pub(super) database_settings: &'a [(&'a str, &'a str)],
    /// Questions of each of some users before anything is measured: on tables that it knows nothing of, Postgres plans for the
    /// first minute as no deployment's does.
    pub(super) asked_before: usize,
    /// On which route of the floor.
    pub(super) asked_at: &'static str,
}

/// Where the processes run when they are pinned; the load is on the second core.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cores {
    /// All on the first.
    First,
    /// One after the other.
    InTurn,
}

impl Formation<'_> {
    /// One process.
    pub(super) const ONE: Self = Self {
        nodes: 1,
        cores: Cores::First,
        database_settings: &[],
        asked_before: 40,
        asked_at: "/query",
    };
}

/// Who asks before: users that no suite has.
const ASK_BEFORE: usize = 16;
const FIRST_BEFORE: usize = 1_000_000;

/// Everything comes from one address and a few users, as fast as it can: limits on, and out of the way.
const LIMITS: [(&str, &str); 9] = [
    ("RATE_LIMIT_PER_MINUTE", "1000000"),
    ("RATE_LIMIT_BURST", "1000000"),
    ("FRAMES_PER_SECOND", "100000"),
    ("INBOUND_BYTES_PER_SECOND", "100000000"),
    ("CONNECTIONS_PER_MINUTE_PER_ADDRESS", "1000000"),
    ("COMMANDS_PER_MINUTE", "1000000"),
    ("MAX_CONNECTIONS_PER_USER", "10000"),
    ("MAX_SESSIONS_PER_USER", "1000000"),
    ("MAX_RUNS_PER_NODE", "4096"),
];

/// Signs the tokens of this run and of no other.
fn fresh_secret() -> Secret {
    Secret::new(&format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4()))
}

/// What all measurements of a run share.
#[derive(Debug)]
pub(super) struct Bed {
    cluster: Cluster,
    directory: PathBuf,
    provider: Provider,
    program: PathBuf,
    secret: Secret,
    pinned: Option<Pair>,
    databases: std::sync::atomic::AtomicUsize,
}

/// A contestant at work on a database of its own.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) contestant: Contestant,
    pub(super) nodes: Vec<Child>,
    pub(super) database: String,
    pub(super) secret: Option<Secret>,
    pub(super) postmaster: Option<u32>,
    /// Messages that were there before what is measured.
    pub(super) stored_before: usize,
    name: String,
}

impl Bed {
    /// Starts Postgres and the provider; with `pin` this process then moves to the core of the load.
    pub(super) async fn start(pin: bool) -> anyhow::Result<Self> {
        let pinned = pin.then(Pair::allowed).transpose()?;
        let installation = Installation::locate(&config::environment)?;
        let directory = std::env::temp_dir().join(format!("agent-ws-bench-{:08x}", rand::random::<u32>()));
        let cluster = Cluster::durable(&installation, &directory).await?;
        // After Postgres, which is to float.
        if let Some(cores) = pinned {
            cores.move_this_process().await?;
        }
        Ok(Self {
            cluster,
            directory,
            provider: Provider::start()?,
            program: std::env::current_exe().context("where is this program?")?,
            secret: fresh_secret(),
            pinned,
            databases: std::sync::atomic::AtomicUsize::new(0),
        })
    }

    /// Starts a contestant, fresh, on an empty database.
    pub(super) async fn enter(
        &self,
        contestant: Contestant,
        formation: Formation<'_>,
    ) -> anyhow::Result<Running> {
        let number = self.databases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("bench{number}");
        self.cluster.create_database_if_missing(&name).await?;
        let database = self.cluster.url(&name);
        let mut rows = Rows::connect(&database).await?;
        for (setting, value) in formation.database_settings {
            rows.set_for_all(&name, setting, value).await?;
        }
        drop(rows);
        let mut running = Running {
            contestant,
            nodes: Vec::new(),
            database,
            secret: (contestant == Contestant::Service).then(|| self.secret.clone()),
            postmaster: self.postmaster(),
            stored_before: 0,
            name,
        };
        // The floor, too: one of its routes writes the service's rows.
        let store = Store::connect(&running.database, 1).await?;
        store.migrate().await?;
        store.close().await;
        for node in 0..formation.nodes {
            let core = self.pinned.map(|cores| match formation.cores {
                Cores::InTurn if node % 2 == 1 => cores.load,
                Cores::First | Cores::InTurn => cores.server,
            });
            let child = match contestant {
                Contestant::Service => self.server(&running.database, core).await?,
                Contestant::Floor => self.floor(&running.database, core).await?,
            };
            running.nodes.push(child);
        }
        running
            .warm_up(formation.asked_at, formation.asked_before)
            .await?;
        Ok(running)
    }

    async fn server(&self, database: &str, core: Option<usize>) -> anyhow::Result<Child> {
        let provider = format!("http://{}/api/v1", self.provider.address);
        let secret = self.secret.expose();
        let own = [
            ("DATABASE_URL", database),
            ("OPENROUTER_BASE_URL", &provider),
            ("JWT_SECRET", secret),
            ("BIND_ADDR", "127.0.0.1:0"),
            ("ADMIN_BIND_ADDR", "127.0.0.1:0"),
            ("LOG_FORMAT", "json"),
            ("DRAIN_SECONDS", "1"),
        ];
        let environment: BTreeMap<&str, &str> = own.into_iter().chain(LIMITS).collect();
        Child::start(&self.program, &["serve"], &environment, core).await
    }

    async fn floor(&self, database: &str, core: Option<usize>) -> anyhow::Result<Child> {
        let provider = self.provider.address.to_string();
        let arguments = ["bench-floor", "--provider", &provider, "--database", database];
        Child::start(&self.program, &arguments, &BTreeMap::new(), core).await
    }

    /// Ends a contestant and removes its database.
    pub(super) async fn leave(&self, running: Running) -> anyhow::Result<()> {
        for node in running.nodes {
            node.stop().await?;
        }
        Rows::connect(&self.cluster.url("postgres"))
            .await?
            .drop_database(&running.name)
            .await
    }

    /// What the figures come from: version and durability of Postgres.
    pub(super) async fn describe(&self) -> anyhow::Result<String> {
        Rows::connect(&self.cluster.url("postgres"))
            .await?
            .describe()
            .await
    }

    /// CPU time of everything that a measurement started, and of itself, in seconds.
    pub(super) fn cpu(&self) -> Option<f64> {
        gauge::cpu_seconds(&[std::process::id(), self.postmaster()?])
    }

    fn postmaster(&self) -> Option<u32> {
        gauge::postmaster(&self.cluster.data_dir().join("cluster"))
    }

    /// Ends Postgres and removes everything.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        // Not below the directory asked for where the server's account could not reach that.
        let data = self.cluster.data_dir().to_owned();
        self.cluster.stop().await?;
        remove(&data)?;
        remove(&self.directory)
    }
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

impl Running {
    /// Some users ask on the first node; then Postgres looks at its tables.
    async fn warm_up(&mut self, floor: &'static str, questions: usize) -> anyhow::Result<()> {
        if questions == 0 {
            return Ok(());
        }
        let target = self.target(floor)?;
        let mut asking = JoinSet::new();
        for number in FIRST_BEFORE..FIRST_BEFORE + ASK_BEFORE {
            let mut client = Client::open(&target, number).await?;
            asking.spawn(async move {
                for _ in 0..questions {
                    client.ask(&Script::AT_ONCE, &mut Tally::default()).await?;
                }
                anyhow::Ok(client.socket.cut()?)
            });
        }
        while let Some(asked) = asking.join_next().await {
            asked??;
        }
        let mut rows = Rows::connect(&self.database).await?;
        rows.analyze().await?;
        self.stored_before = rows.stored(self.contestant).await?;
        Ok(())
    }

    /// Where the load goes: a route of the floor, or the server's one.
    pub(super) fn target(&self, floor: &'static str) -> anyhow::Result<Target> {
        self.targets(floor).into_iter().next().context("nothing runs")
    }

    /// The same for each node.
    pub(super) fn targets(&self, floor: &'static str) -> Vec<Target> {
        let target = |node: &Child| Target {
            address: node.address,
            path: match self.contestant {
                Contestant::Service => "/v1/ws",
                Contestant::Floor => floor,
            },
            secret: self.secret.clone(),
            run: self.name.clone(),
        };
        self.nodes.iter().map(target).collect()
    }

    /// CPU time of the contestant's processes until now, and of Postgres.
    pub(super) fn cpu(&self) -> (Option<f64>, Option<f64>) {
        let nodes: Vec<u32> = self.nodes.iter().map(|node| node.pid).collect();
        let postgres = self.postmaster.and_then(|pid| gauge::cpu_seconds(&[pid]));
        (gauge::cpu_seconds(&nodes), postgres)
    }

    /// Memory of the contestant's process.
    pub(super) fn resident_kib(&self) -> Option<f64> {
        self.nodes.first().and_then(|node| gauge::resident_kib(node.pid))
    }
}
