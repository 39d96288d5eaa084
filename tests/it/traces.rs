//! Runs as an OpenTelemetry collector is told of them: in whose trace, what is said of them, and what a collector that is in
//! trouble costs.

mod context;
mod said;
mod trouble;

use agent_websocket::metrics::{Format, Metrics, Readings};

use crate::support::client::TestClient;
use crate::support::collector::Collector;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;

/// What a run's own span is called.
const RUN: &str = "invoke_agent agent_websocket";

/// What the call of the model in it is called.
const CHAT: &str = "chat test/model";

/// What the storing of its answer is called.
const STORE: &str = "store answer";

/// As many spans as a run has that calls the model and is stored.
const SPANS: usize = 3;

/// A client's own span, in whichever of its traces.
const PARENT: &str = "00f067aa0ba902b7";

/// The trace of a client, by a number.
fn trace(number: u8) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e47{number:02x}")
}

/// What a client says of its trace that is recorded.
fn sampled(trace: &str) -> String {
    format!("00-{trace}-{PARENT}-01")
}

/// A node that tells this collector, and that soon.
async fn node(provider: &ScriptedProvider, collector: &Collector, changes: &[(&str, &str)]) -> TestNode {
    node_on(TestDatabase::new().await, provider, collector, changes).await
}

/// The same on a database.
async fn node_on(
    database: TestDatabase,
    provider: &ScriptedProvider,
    collector: &Collector,
    changes: &[(&str, &str)],
) -> TestNode {
    let mut all = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    all.extend_from_slice(changes);
    TestNode::start_on(database, provider, &all).await
}

/// A client of alice's that says this of its trace, in a session of its own or another's.
async fn connect(node: &TestNode, session: Option<&str>, traceparent: &str) -> TestClient {
    let path = session.map_or_else(String::new, |session| format!("?session_id={session}&after=0"));
    let authorization = format!("Bearer {}", token("alice"));
    let headers = [
        ("authorization", authorization.as_str()),
        ("traceparent", traceparent),
    ];
    let opened = TestClient::open(&node.base, &format!("/v1/ws{path}"), &headers).await;
    let mut client = opened.unwrap_or_else(|refused| panic!("the handshake failed: {refused:?}"));
    client.welcome().await;
    client.live().await;
    client
}

/// What the rows of all runs say of their traces, oldest first.
async fn rows(node: &TestNode) -> Vec<(Option<String>, Option<String>)> {
    sqlx::query_as("SELECT trace_id, traceparent FROM agent.runs ORDER BY queued_at, run_id")
        .fetch_all(&node.database.pool)
        .await
        .unwrap()
}

/// Waits until the rows say this, oldest first: they are written beside the run.
async fn rows_become(node: &TestNode, traces: &[Option<&str>]) {
    eventually("the runs' rows name their traces", || async {
        let rows = rows(node).await;
        rows.iter()
            .map(|(trace, _)| trace.as_deref())
            .eq(traces.iter().copied())
    })
    .await;
}

/// How many spans of a node were taken, lost since the collector did not take them, and lost for want of room.
fn counted(metrics: &Metrics) -> [u64; 3] {
    let text = metrics.text(Readings::default(), Format::Prometheus);
    [
        "spans_exported_total",
        "spans_dropped_total{reason=\"not_taken\"}",
        "spans_dropped_total{reason=\"queue_full\"}",
    ]
    .map(|series| {
        let series = format!("agent_websocket_{series} ");
        let number = text.lines().find_map(|line| line.strip_prefix(series.as_str()));
        number.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    })
}

/// What a node counts, also after its end.
fn metrics(node: &TestNode) -> Metrics {
    node.node().service().metrics.clone()
}
