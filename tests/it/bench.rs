//! `agent-websocket bench`, the real program: that a run measures, reports and counts, and when it fails. Never how fast.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::node::{SECRET, TestNode};
use crate::support::provider::ScriptedProvider;

/// Runs it to its end.
async fn bench(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-websocket"));
    command.arg("bench").args(arguments);
    command
        .env_remove("DATABASE_URL")
        .env_remove("JWT_SECRET")
        .envs(settings.iter().copied().collect::<HashMap<_, _>>());
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

fn manifest(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn a_run_reports_each_suite_beside_its_floor_and_a_worse_ratio_than_published_fails_the_next() {
    let directory = TempDir::new().unwrap();
    let (json, html) = (path(&directory, "b.json"), path(&directory, "b.html"));
    let quick = ["--scale", "0.01", "--rounds", "1"];
    let suites = [
        "--suite",
        "query64,rows64,storm,fan500",
        "--json",
        &json,
        "--html",
        &html,
    ];
    let ran = bench(&[&quick[..], &suites[..]].concat(), &[]).await;
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));

    let mut published = manifest(&json);
    let tables = published["suites"].as_array_mut().unwrap();
    let names: Vec<&str> = tables
        .iter()
        .filter_map(|table| table["suite"].as_str())
        .collect();
    assert_eq!(names, ["query64", "rows64", "storm", "fan500"]);
    for table in tables.iter_mut() {
        assert_eq!(
            (&table["lost"], &table["doubled"]),
            (&Value::from(0), &Value::from(0))
        );
        let line = &mut table["lines"][0];
        assert!(line["ratio"].as_f64().unwrap() > 0.0, "{line}");
        assert!(text(&ran.stdout).contains(table["title"].as_str().unwrap()));
    }
    assert!(std::fs::read_to_string(&html).unwrap().contains("<polyline"));

    // Nothing is a thousand times as fast as it was.
    tables.truncate(1);
    tables[0]["lines"][0]["ratio"] = Value::from(1e6);
    std::fs::write(&json, published.to_string()).unwrap();
    let ran = bench(&[&quick[..], &["--check", &json]].concat(), &[]).await;
    assert!(!ran.status.success());
    let said = text(&ran.stderr);
    assert!(
        said.contains("worse than published") && said.contains("query64, queries/s"),
        "{said}"
    );
}

#[tokio::test]
async fn a_deployment_is_asked_and_every_message_is_seen_again_on_the_return() {
    let provider = ScriptedProvider::start().await;
    let node = TestNode::start(&provider, &[]).await;
    let address = node.base.as_str();
    let arguments = [
        "--target",
        address,
        "--connections",
        "3",
        "--questions",
        "2",
        "--rounds",
        "1",
    ];
    let ran = bench(&arguments, &[("JWT_SECRET", SECRET)]).await;
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
    assert!(text(&ran.stdout).contains("lost 0, doubled 0"));
    let stored = node.database.count("SELECT count(*) FROM agent.messages").await;
    assert_eq!(stored, 12);

    let without = bench(&["--target", address], &[]).await;
    assert!(!without.status.success() && text(&without.stderr).contains("JWT_SECRET"));
}

#[test]
fn the_published_figures_name_the_command_that_measures_them_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let published = manifest(root.join("docs/performance.json").to_str().unwrap());
    for table in published["suites"].as_array().unwrap() {
        let command = table["circumstances"]["command"].as_str().unwrap();
        let begins = format!(
            "agent-websocket bench --suite {} ",
            table["suite"].as_str().unwrap()
        );
        assert!(command.starts_with(&begins), "{command}");
    }
}
