//! What is not counted but read off when somebody asks.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::Label;

/// How things are now, on this node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readings {
    /// Open sockets of users.
    pub connections: usize,
    /// Sessions in memory.
    pub rooms: usize,
    /// Answers being written.
    pub runs: usize,
    /// Appends that wait for the writer.
    pub append_queue: usize,
    /// The database's connections in use.
    pub pool_used: usize,
    /// Those that are free.
    pub pool_idle: usize,
    /// How many there may be.
    pub pool_max: usize,
    /// Users and addresses whose rates are in memory.
    pub rate_keys: usize,
    /// The node sends its clients away.
    pub draining: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Gauges {
    connections: Gauge,
    rooms: Gauge,
    runs: Gauge,
    runs_waiting: Gauge,
    oldest_wait: Gauge<f64, AtomicU64>,
    append_queue: Gauge,
    pool: Family<Label, Gauge>,
    pool_max: Gauge,
    rate_keys: Gauge,
    draining: Gauge,
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

impl Gauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let build = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        registry.register("build_info", "1, with the version as a label", build);
        let oldest_wait = Gauge::default();
        registry.register(
            "oldest_waiting_run_seconds",
            "How long the first of the waiting runs of all nodes has waited; 0 with none",
            oldest_wait.clone(),
        );
        let pool = Family::default();
        registry.register(
            "database_connections",
            "Connections of this node's pool to Postgres; the writer, the notifier, the listener and who looks for notifications have one each beside it",
            pool.clone(),
        );
        let gauges = Self {
            connections: gauge(registry, "connections", "Open sockets of this node"),
            rooms: gauge(registry, "rooms", "Sessions that this node has in memory"),
            runs: gauge(registry, "runs_running", "Answers that this node writes now"),
            runs_waiting: gauge(
                registry,
                "runs_waiting",
                "Queries of all nodes that wait for their turn or for a place: the same number on each node",
            ),
            oldest_wait,
            append_queue: gauge(
                registry,
                "append_queue_rows",
                "Queries and answers that wait for this node's writer; it takes 4096, then callers wait",
            ),
            pool,
            pool_max: gauge(
                registry,
                "database_connections_max",
                "Most connections of this node's pool: DATABASE_MAX_CONNECTIONS",
            ),
            rate_keys: gauge(
                registry,
                "rate_limit_keys",
                "Users and addresses whose rates are in memory",
            ),
            draining: gauge(
                registry,
                "draining",
                "1 while the node sends its clients away; connections and runs_running say how many are left",
            ),
        };
        gauges.set(Readings::default());
        gauges
    }

    pub(super) fn runs_wait(&self, waiting: u64, oldest_seconds: f64) {
        self.runs_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.oldest_wait.set(oldest_seconds);
    }

    pub(super) fn set(&self, now: Readings) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.connections.set(number(now.connections));
        self.rooms.set(number(now.rooms));
        self.runs.set(number(now.runs));
        self.append_queue.set(number(now.append_queue));
        self.pool
            .get_or_create(&[("state", "used")])
            .set(number(now.pool_used));
        self.pool
            .get_or_create(&[("state", "idle")])
            .set(number(now.pool_idle));
        self.pool_max.set(number(now.pool_max));
        self.rate_keys.set(number(now.rate_keys));
        self.draining.set(i64::from(now.draining));
    }
}
