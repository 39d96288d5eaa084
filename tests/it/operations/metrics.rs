//! docs/metrics.md against a real node, and the numbers that a conversation leaves behind.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::json;

use crate::support::eventually;
use crate::support::http::request;
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};
use crate::support::tool;
use crate::tidy::read;

/// What a scraper is told about a metric.
#[derive(Debug)]
struct Metric {
    name: String,
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// The metrics of a text in the older format.
fn metrics(text: &str) -> Vec<Metric> {
    let mut found: Vec<Metric> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            found.push(Metric {
                name: name.to_owned(),
                kind: String::new(),
                help: help.to_owned(),
                labels: BTreeSet::new(),
            });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let metric = found.last_mut().unwrap();
            assert_eq!(metric.name, name, "TYPE follows HELP");
            kind.clone_into(&mut metric.kind);
        } else if let Some((_, rest)) = line.split_once('{') {
            let (labels, _) = rest.rsplit_once('}').unwrap();
            let names = labels.split("\",").map(|label| label.split('=').next().unwrap());
            found
                .last_mut()
                .unwrap()
                .labels
                .extend(names.filter(|name| *name != "le").map(str::to_owned));
        }
    }
    found
}

/// Names of the series under which a text's numbers stand.
pub(super) fn series(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned)
        .collect()
}

/// What a node shows to a scraper that asks for nothing in particular.
pub(super) async fn scrape(node: &TestNode) -> String {
    let reply = request(&node.admin, "GET", "/metrics", &[], None).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    reply.body
}

/// The number of a series.
fn value(text: &str, series: &str) -> f64 {
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    number
        .unwrap_or_else(|| panic!("no {series} in {text}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn the_page_about_metrics_lists_every_one_with_its_kind_and_meaning() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in metrics(&scrape(&node).await) {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind,
            labels.join(", "),
            metric.help
        );
    }
    let page = read("docs/metrics.md");
    let shown = page
        .split_once("<!-- metrics -->\n\n")
        .and_then(|(_, rest)| rest.split_once("\n<!-- /metrics -->"))
        .map(|(table, _)| table);
    assert_eq!(
        shown,
        Some(table.as_str()),
        "put this between the marks in docs/metrics.md:\n\n{table}"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn no_label_has_a_value_that_a_user_can_choose() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let before = labelled(&scrape(&node).await);
    provider.then(Script::answer("Hello."));
    let mut client = node.connect("mallory").await;
    client.live().await;
    client.ask("q1", "a question").await;
    client.command("no_such_command", json!({})).await;
    client.send_text("no JSON").await;
    client.until(|frame| frame["type"] == "error").await;
    let refused = request(
        &node.base,
        "GET",
        "/v1/sessions",
        &[("authorization", "Bearer x")],
        None,
    )
    .await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        labelled(&scrape(&node).await),
        before,
        "series are there from the start"
    );
    client.cut();
    node.shut_down().await;
}

/// Every series with its labels, without the numbers.
fn labelled(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[tokio::test]
async fn a_conversation_leaves_its_numbers() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    provider.then(
        Script::new()
            .head()
            .text("Hello, ")
            .text("world.")
            .finish("stop")
            .usage(12, 3, 0.5)
            .done(),
    );
    let mut client = node.connect("alice").await;
    client.live().await;
    client.ask("q1", "Say hello").await;
    provider.then(Script::status(402, "{}"));
    client.ask("q2", "And now?").await;
    let session = client.session.clone();
    client.cut();
    let mut again = node.resume("alice", &session, 1).await;
    again.live().await;
    let text = scrape(&node).await;
    let name = |rest: &str| format!("agent_websocket_{rest}");
    for (series, number) in [
        ("resumes_total{outcome=\"new\"}", 1.0),
        ("resumes_total{outcome=\"replayed\"}", 1.0),
        ("resume_depth_messages_sum", 3.0),
        ("runs_ended_total{state=\"complete\"}", 1.0),
        ("runs_ended_total{state=\"failed\"}", 1.0),
        ("provider_errors_total{kind=\"refused\"}", 1.0),
        ("time_to_first_token_seconds_count", 1.0),
        ("run_duration_seconds_count", 2.0),
        ("tokens_total{direction=\"input\"}", 12.0),
        ("tokens_total{direction=\"output\"}", 3.0),
        ("cost_usd_total", 0.5),
        ("append_batch_rows_sum", 4.0),
        ("runs_running", 0.0),
        ("draining", 0.0),
        ("rooms", 1.0),
    ] {
        assert!(
            (value(&text, &name(series)) - number).abs() < 1e-9,
            "{series}: {text}"
        );
    }
    assert!(value(&text, &name("frames_total{direction=\"in\"}")) >= 2.0);
    assert!(value(&text, &name("frames_total{direction=\"out\"}")) >= 10.0);
    assert!(value(&text, &name("replay_bytes_sum")) >= 21.0);
    assert!(value(&text, &name("hint_round_trip_seconds_count")) >= 1.0);
    assert!(value(&text, &name("database_connections_max")) >= 1.0);
    // The socket that was cut ends as soon as its node notices.
    eventually("the cut is counted", || async {
        value(
            &scrape(&node).await,
            &name("connections_ended_total{reason=\"gone\"}"),
        ) >= 1.0
    })
    .await;
    again.cut();
    node.shut_down().await;
}

#[tokio::test]
async fn what_waits_is_counted_over_all_nodes() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    provider.on(
        "hold",
        Script::new()
            .head()
            .text("Hm")
            .wait_for("gate")
            .finish("stop")
            .done(),
    );
    let mut client = node.connect("alice").await;
    client.live().await;
    client.query("q1", "hold").await;
    client.query("q2", "then this").await;
    eventually("the second query is seen to wait", || async {
        let text = scrape(&node).await;
        value(&text, "agent_websocket_runs_waiting") >= 1.0
            && value(&text, "agent_websocket_oldest_waiting_run_seconds") > 0.0
            && value(&text, "agent_websocket_runs_running") >= 1.0
    })
    .await;
    provider.open("gate");
    client.cut();
    node.shut_down().await;
}

#[tokio::test]
async fn prometheus_gets_openmetrics_and_promtool_finds_nothing_to_complain_about() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let reply = request(&node.admin, "GET", "/metrics", &[("accept", accept)], None).await;
    assert!(
        reply
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(reply.body.ends_with("# EOF\n"));
    let text = scrape(&node).await;
    node.shut_down().await;
    if let Some(promtool) = tool::find("promtool") {
        let said = tool::run(Command::new(promtool).args(["check", "metrics"]), &text);
        assert_eq!(said, "", "promtool check metrics");
    }
}
