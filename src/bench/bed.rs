//! The private deployment that is measured: a Postgres, the scripted provider, and in turn the server and its floor.
//!
//! Owns every process that it starts and removes all of it. The server is this very program as it is deployed, with `serve` and its
//! limits on, only so high that a load from one address passes. Refuses anything but loopback. Called by `run`.

mod child;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

pub(super) use self::child::Child;
use super::gauge;
use super::load::Target;
use super::provider::Provider;
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
    pin: bool,
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
    name: String,
}

impl Bed {
    /// Starts Postgres and the provider; with `pin` this process then moves to the second core.
    pub(super) async fn start(pin: bool) -> anyhow::Result<Self> {
        let installation = Installation::locate(&config::environment)?;
        let directory = std::env::temp_dir().join(format!("agent-ws-bench-{:08x}", rand::random::<u32>()));
        let cluster = Cluster::durable(&installation, &directory).await?;
        // After Postgres, which is to float.
        if pin {
            child::pin_this_process().await?;
        }
        Ok(Self {
            cluster,
            directory,
            provider: Provider::start()?,
            program: std::env::current_exe().context("where is this program?")?,
            secret: fresh_secret(),
            pin,
            databases: std::sync::atomic::AtomicUsize::new(0),
        })
    }

    /// Starts a contestant, fresh, on an empty database.
    pub(super) async fn enter(&self, contestant: Contestant) -> anyhow::Result<Running> {
        self.enter_with(contestant, 1, &[]).await
    }

    /// The same with several nodes of the server, or other settings.
    pub(super) async fn enter_with(
        &self,
        contestant: Contestant,
        nodes: usize,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Running> {
        let number = self.databases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("bench{number}");
        self.cluster.create_database_if_missing(&name).await?;
        let database = self.cluster.url(&name);
        let mut running = Running {
            contestant,
            nodes: Vec::new(),
            database,
            secret: (contestant == Contestant::Service).then(|| self.secret.clone()),
            postmaster: gauge::postmaster(&self.cluster.data_dir().join("cluster")),
            name,
        };
        if contestant == Contestant::Service {
            let store = Store::connect(&running.database, 1).await?;
            store.migrate().await?;
            store.close().await;
        }
        for node in 0..nodes {
            let child = match contestant {
                Contestant::Service => self.server(&running.database, node, settings).await?,
                Contestant::Floor => self.floor(&running.database).await?,
            };
            running.nodes.push(child);
        }
        Ok(running)
    }

    async fn server(&self, database: &str, node: usize, settings: &[(&str, &str)]) -> anyhow::Result<Child> {
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
        let environment: BTreeMap<&str, &str> = own
            .into_iter()
            .chain(LIMITS)
            .chain(settings.iter().copied())
            .collect();
        Child::start(&self.program, &["serve"], &environment, self.core_of(node)).await
    }

    async fn floor(&self, database: &str) -> anyhow::Result<Child> {
        let provider = self.provider.address.to_string();
        let arguments = ["bench-floor", "--provider", &provider, "--database", database];
        Child::start(&self.program, &arguments, &BTreeMap::new(), self.core_of(0)).await
    }

    /// The first core is the contestant's, the second the load's; further nodes take turns on both.
    fn core_of(&self, node: usize) -> Option<usize> {
        self.pin.then_some(node % 2)
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
    /// Where the load goes: a route of the floor, or the server's one.
    pub(super) fn target(&self, floor: &'static str) -> anyhow::Result<Target> {
        self.target_at(0, floor)
    }

    /// The same at one of several nodes.
    pub(super) fn target_at(&self, node: usize, floor: &'static str) -> anyhow::Result<Target> {
        Ok(Target {
            address: self.address(node)?,
            path: match self.contestant {
                Contestant::Service => "/v1/ws",
                Contestant::Floor => floor,
            },
            secret: self.secret.clone(),
            run: self.name.clone(),
        })
    }

    fn address(&self, node: usize) -> anyhow::Result<SocketAddr> {
        Ok(self.nodes.get(node).context("no such node")?.address)
    }

    /// CPU time of the contestant's processes until now, and of Postgres.
    pub(super) fn cpu(&self) -> (Option<f64>, Option<f64>) {
        let own = self
            .nodes
            .iter()
            .map(|node| gauge::cpu_seconds(node.pid))
            .sum::<Option<f64>>();
        (own, self.postmaster.and_then(gauge::cpu_seconds))
    }

    /// Memory of the contestant's process.
    pub(super) fn resident_kib(&self) -> Option<f64> {
        self.nodes.first().and_then(|node| gauge::resident_kib(node.pid))
    }
}
