//! deploy/prometheus and deploy/grafana: Prometheus's own tool reads and tries the rules, every expression of the dashboard is
//! one that it understands, and both ask only for what a node shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::file;
use super::metrics::{scrape, series};
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;
use crate::support::tool;
use crate::tidy::blocks::blocks;
use crate::tidy::read;

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const DASHBOARD: &str = "deploy/grafana/agent-websocket.json";

/// The metrics that a text of expressions names: ours, and those of the process.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .filter(|word| word.starts_with("agent_websocket_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// Every expression of the dashboard with the title of its panel.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap();
    let mut found = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((
                panel["title"].as_str().unwrap().to_owned(),
                target["expr"].as_str().unwrap().to_owned(),
            ));
        }
    }
    found
}

#[test]
fn the_alerts_are_rules_and_fire_when_they_should() {
    let Some(promtool) = tool::find("promtool") else {
        return;
    };
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&promtool);
        tool::run(command.current_dir(file("deploy/prometheus")).args(arguments), "")
    };
    run(&["check", "rules", "alerts.yml"]);
    run(&["test", "rules", "alerts.test.yml"]);
    run(&["check", "config", "--syntax-only", "prometheus.yml"]);
}

#[test]
fn every_alert_is_tried_and_has_its_section_in_the_runbook() {
    let alerts: BTreeSet<String> = read(ALERTS)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .map(str::to_owned)
        .collect();
    assert!(alerts.len() > 10);
    let tried = read("deploy/prometheus/alerts.test.yml");
    let runbook = read("docs/operations.md");
    for alert in &alerts {
        assert!(
            tried.contains(&format!("alertname: {alert} ")),
            "{alert}: is silent when all is well"
        );
        assert!(
            tried.contains(&format!("alertname=\"{alert}\"")),
            "{alert}: fires"
        );
        let section = format!("\n### {alert}\n");
        assert!(runbook.contains(&section), "docs/operations.md has no {section}");
        let link = format!("runbook: docs/operations.md#{}\n", alert.to_lowercase());
        assert!(read(ALERTS).contains(&link), "{link}");
    }
}

/// Has Prometheus's own tool read expressions.
fn check_expressions(promtool: &Path, expressions: impl IntoIterator<Item = String>) {
    let mut rules = String::from("groups:\n- name: expressions\n  rules:\n");
    for (index, expression) in expressions.into_iter().enumerate() {
        let expression = expression.trim().replace('\n', "\n      ");
        let _ = write!(
            rules,
            "  - record: number_{index}\n    expr: |\n      {expression}\n"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    std::fs::write(&path, rules).unwrap();
    tool::run(Command::new(promtool).args(["check", "rules"]).arg(path), "");
}

#[test]
fn prometheus_understands_every_expression_of_the_dashboard() {
    let Some(promtool) = tool::find("promtool") else {
        return;
    };
    // Grafana fills these in.
    let filled = expressions(&dashboard()).into_iter().map(|(_, expression)| {
        let expression = expression
            .replace("$__rate_interval", "5m")
            .replace("$job", "agent-websocket")
            .replace("$instance", ".*");
        assert!(!expression.contains('$'), "{expression}");
        expression
    });
    check_expressions(&promtool, filled);
}

#[tokio::test]
async fn the_expressions_on_the_page_about_metrics_are_understood_and_ask_for_what_a_node_shows() {
    let page = blocks("docs/metrics.md", &read("docs/metrics.md"));
    let page = page.iter().find(|block| block.language == "promql").unwrap();
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let shown = series(&scrape(&node).await);
    node.shut_down().await;
    for name in named(&page.code) {
        assert!(shown.contains(&name), "docs/metrics.md asks for {name}");
    }
    let expressions: Vec<String> = page.code.split("\n\n").map(str::to_owned).collect();
    assert!(expressions.len() > 2);
    if let Some(promtool) = tool::find("promtool") {
        check_expressions(&promtool, expressions);
    }
}

#[tokio::test]
async fn the_alerts_and_the_dashboard_ask_for_what_a_node_shows() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let shown = series(&scrape(&node).await);
    node.shut_down().await;
    let expressions: String = expressions(&dashboard())
        .iter()
        .flat_map(|(_, expression)| [expression.as_str(), "\n"])
        .collect();
    for (document, text) in [(ALERTS, read(ALERTS)), (DASHBOARD, expressions)] {
        let named = named(&text);
        assert!(named.len() > 10, "{document}: the metrics were not found");
        let unknown: Vec<_> = named.difference(&shown).collect();
        assert!(unknown.is_empty(), "{document} asks for {unknown:?}");
    }
}

#[test]
fn the_dashboards_panels_are_told_apart_and_do_not_overlap() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is another's"
        );
        let place = &panel["gridPos"];
        let at = |name: &str| place[name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title}: too wide");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{title}: overlaps at {x},{y}");
            }
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}
