//! The conformance runner: against this server, which must pass, and against servers that cheat, which must not.

mod cheat;

use std::collections::BTreeSet;
use std::time::Duration;

use agent_websocket::app::Node;
use agent_websocket::conformance::{Options, Report, Verdict, catalogue, run};
use agent_websocket::llm::Provider;
use agent_websocket::secret::Secret;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use self::cheat::{Cheat, Tamper, change, double, lose, swap, tamper};
use crate::support::PATIENCE;
use crate::support::database::TestDatabase;
use crate::support::node::{TestNode, parts, settings, token, token_with};
use crate::support::process::program;
use crate::tidy::read;

/// Limits that are met by who provokes them, and by nobody else.
const LIMITS: [(&str, &str); 4] = [
    ("RATE_LIMIT_PER_MINUTE", "600"),
    ("RATE_LIMIT_BURST", "30"),
    ("FRAMES_PER_SECOND", "30"),
    ("MAX_RUNS_PER_USER", "0"),
];

/// A node with the built-in model.
async fn node() -> TestNode {
    let database = TestDatabase::new().await;
    let settings = settings("http://127.0.0.1:9", &database.server_url, &LIMITS);
    let mut parts = parts(settings, &database.server_url, &database.server_url);
    parts.provider = Provider::offline();
    let admin = parts.admin.as_ref().unwrap().local_addr().unwrap().to_string();
    let node = Node::start(parts).await.unwrap();
    let base = node.address().to_string();
    TestNode {
        node: Some(node),
        database,
        base,
        admin,
    }
}

fn options(base: &str, token: &str, only: Option<&str>) -> Options {
    Options {
        address: base.parse().unwrap(),
        token: Secret::new(token),
        patience: PATIENCE,
        short_question: "Grüße! [[words=8]] [[delay=5]]".to_owned(),
        long_question: "Many words. [[words=120]] [[delay=30]]".to_owned(),
        only: only.map(str::to_owned),
    }
}

/// Runs the checks, and returns what was found and what was printed.
async fn judge(options: Options) -> (Report, String) {
    let mut out = Vec::new();
    let report = run(options, &mut out).await.unwrap();
    (report, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn this_server_keeps_the_contract_and_nothing_is_left_of_the_run() {
    let mut node = node().await;
    let token = token_with("alice", Duration::from_mins(30), Some("agent:notify"));
    let (report, printed) = judge(options(&node.base, &token, None)).await;
    let passed = report.lines.iter().all(|line| line.verdict == Verdict::Passed);
    assert!(passed, "{printed}");
    assert_eq!(report.lines.len(), catalogue().len());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM agent.sessions")
        .fetch_one(&node.database.pool)
        .await
        .unwrap();
    assert_eq!(left, 0, "{printed}");
    node.shut_down().await;
}

#[tokio::test]
async fn without_the_scope_notifications_are_skipped_with_the_reason() {
    let mut node = node().await;
    let (report, printed) = judge(options(&node.base, &token("alice"), Some("notification"))).await;
    let skipped = matches!(&report.lines[0].verdict, Verdict::Skipped(why) if why.contains("agent:notify"));
    assert!(skipped, "{printed}");
    assert!(printed.contains("Close codes that did not come up"), "{printed}");
    node.shut_down().await;
}

fn is_response(frame: &Value) -> bool {
    frame["type"] == "response"
}

fn is_first_delta(frame: &Value) -> bool {
    frame["type"] == "delta" && frame["offset"] == 0
}

fn is_accepted(frame: &Value) -> bool {
    frame["event"] == "accepted"
}

/// Sets a field of the frames that have it.
fn set(field: &'static str, value: Value) -> Tamper {
    change(move |frame| {
        if let Some(field) = frame.get_mut(field) {
            *field = value.clone();
        }
    })
}

/// Takes a field out of every frame.
fn without(field: &'static str) -> Tamper {
    change(move |frame| drop(frame.as_object_mut().unwrap().remove(field)))
}

/// Ways to cheat, each with the check that provokes it and those that must fail by it.
#[rustfmt::skip]
fn cheats() -> Vec<(&'static str, Tamper, &'static [&'static str])> {
    let doubled_offsets = change(|frame| {
        if let Some(offset) = frame["offset"].as_i64() {
            frame["offset"] = json!(offset * 2);
        }
    });
    let before_welcome = tamper(|frame| match frame["event"].as_str() {
        Some("welcome") => vec![json!({ "type": "status", "event": "heartbeat" }), frame],
        _ => vec![frame],
    });
    vec![
        ("run-outlives-socket", lose(is_first_delta), &["every-offset"]),
        ("turn", double(is_response), &["every-seq", "every-turn"]),
        ("turn", double(is_accepted), &["every-seq", "every-reply"]),
        ("turn", swap(|frame| frame["event"] == "thinking"), &["every-turn"]),
        ("turn", lose(|frame| frame["event"] == "thinking"), &["turn", "every-turn"]),
        ("turn", lose(|frame| frame["event"] == "live"), &["turn"]),
        ("turn", set("sha256", json!("0".repeat(64))), &["every-answer"]),
        ("turn", set("length", json!(1)), &["every-answer"]),
        ("turn", change(|frame| if is_response(frame) { frame["content"] = json!("Other") }), &["every-answer"]),
        ("run-outlives-socket", doubled_offsets, &["every-offset"]),
        ("turn", without("timestamp"), &["every-schema"]),
        ("resume-from-0", without("replay"), &["resume-from-0", "every-catch-up"]),
        ("resume-from-0", lose(|frame| frame["replay"] == true && frame["seq"] == 2), &["resume-from-0", "every-seq"]),
        ("resume-from-0", lose(|frame| frame["replay"] == true && frame["seq"] == 4), &["resume-from-0", "every-head"]),
        ("resume-from-0", change(|frame| if frame["replay"] == true { frame["timestamp"] = json!("2026-01-01T00:00:00.000Z") }), &["resume-from-0"]),
        ("same-id", set("duplicate", json!(false)), &["same-id", "every-seq"]),
        ("no-json", set("code", json!("internal")), &["no-json"]),
        ("command-answers", without("re"), &["command-answers"]),
        ("token-in-header", before_welcome, &["every-opening", "every-schema"]),
        ("no-session-close", set("close", json!(4500)), &["no-session-close"]),
        ("in-order", lose(|frame| frame["re"] == "order-3"), &["in-order"]),
    ]
}

#[tokio::test]
async fn a_server_that_loses_doubles_or_changes_frames_fails_the_checks_that_are_about_it() {
    let mut node = node().await;
    let cases = cheats()
        .into_iter()
        .enumerate()
        .map(|(number, (only, tamper, expected))| {
            let node = node.base.clone();
            async move {
                let cheat = Cheat::before(&node, tamper).await;
                let user = format!("user-{number}");
                let patient = options(&cheat.base, &token(&user), Some(only));
                // What does not come is waited for this long. What comes late on a busy machine fails another check, and not this one.
                let options = Options {
                    patience: Duration::from_secs(4),
                    ..patient
                };
                let (report, printed) = judge(options).await;
                let missed: Vec<_> = expected
                    .iter()
                    .filter(|name| !report.failed().contains(*name))
                    .collect();
                assert!(missed.is_empty(), "{number}: {missed:?} did not fail:\n{printed}");
            }
        });
    // A few at a time: a run takes little of the machine, and most of its time waits.
    stream::iter(cases).buffer_unordered(4).collect::<Vec<()>>().await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_server_with_more_than_the_contract_passes() {
    let mut node = node().await;
    let more = tamper(|mut frame| {
        frame["surely_new"] = json!({ "a": 1 });
        vec![json!({ "type": "surely_new" }), frame]
    });
    let cheat = Cheat::before(&node.base, more).await;
    let (report, printed) = judge(options(&cheat.base, &token("alice"), Some("same-id"))).await;
    assert!(report.failed().is_empty(), "{printed}");
    assert!(
        printed.contains("does not know, which is no fault: surely_new"),
        "{printed}"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn the_program_prints_a_table_and_fails_when_a_check_did() {
    let mut node = node().await;
    let token = token("alice");
    let run = async |base: &str| {
        let arguments = [
            "conformance",
            "--url",
            base,
            "--token",
            &token,
            "--only",
            "no-json",
            "--patience",
            "20",
        ];
        program("", &arguments).await
    };
    let good = run(&node.base).await;
    let printed = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(
        good.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&good.stderr)
    );
    assert!(printed.contains("pass  no-json "), "{printed}");
    assert!(
        printed.contains("[Frames]") && printed.contains(" 0 failed"),
        "{printed}"
    );

    let cheat = Cheat::before(&node.base, set("code", json!("internal"))).await;
    let bad = run(&cheat.base).await;
    let printed = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert_eq!(bad.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("FAIL  no-json ") && printed.contains("\"internal\""),
        "{printed}"
    );
    assert!(String::from_utf8_lossy(&bad.stderr).contains("1 checks failed"));
    node.shut_down().await;
}

#[test]
fn every_check_has_a_name_of_its_own_and_stands_under_a_heading_of_the_contract() {
    let protocol = read("PROTOCOL.md");
    let headings: BTreeSet<&str> = protocol
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim())
        .collect();
    let all = catalogue();
    let names: BTreeSet<&str> = all.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len(), all.len());
    for (name, section, must) in all {
        assert!(
            headings.contains(section),
            "{name}: PROTOCOL.md has no heading {section}"
        );
        assert!(must.len() > 20 && !must.ends_with('.'), "{name}: {must}");
    }
}
