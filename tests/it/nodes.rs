//! Several nodes on one database: by NOTIFY, by polling, and services' notifications over both.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{TestClient, Transcript};
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};

/// So long that a test which needs a poll fails.
const NO_POLL: [(&str, &str); 2] = [
    ("POLL_INTERVAL_MS", "3600000"),
    ("NOTIFICATION_POLL_MS", "3600000"),
];

/// Two nodes that have nothing but NOTIFY.
async fn two_without_polling(provider: &ScriptedProvider) -> (TestNode, TestNode) {
    let first = TestNode::start(provider, &NO_POLL).await;
    let second = TestNode::start_on(first.database.clone(), provider, &NO_POLL).await;
    first.listening().await;
    second.listening().await;
    (first, second)
}

/// Two nodes that cannot listen.
async fn two_without_notify(provider: &ScriptedProvider) -> (TestNode, TestNode) {
    let database = TestDatabase::new().await;
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let nowhere = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
        let changes = [("POLL_INTERVAL_MS", "50"), ("NOTIFICATION_POLL_MS", "50")];
        nodes.push(TestNode::start_with(database.clone(), nowhere, provider, &changes).await);
    }
    let second = nodes.pop().unwrap();
    (nodes.pop().unwrap(), second)
}

async fn shut_down(nodes: (TestNode, TestNode)) {
    let (mut first, mut second) = nodes;
    first.shut_down().await;
    second.shut_down().await;
}

/// Everything that one node's devices are to be told of what happens on another.
pub(crate) async fn everything_reaches_the_other_node(
    first: &TestNode,
    second: &TestNode,
    provider: &ScriptedProvider,
) {
    let own = HashMap::from([
        ("q1".to_owned(), "Count".to_owned()),
        ("q2".to_owned(), "Endless".to_owned()),
    ]);
    let mut phone = first.connect("alice").await;
    phone.live().await;
    let mut laptop = second.resume("alice", &phone.session, 0).await;
    laptop.live().await;

    an_answer_shows_while_it_is_written(&mut phone, &mut laptop, provider).await;
    a_cancel_ends_the_answer_for_both(&mut phone, &mut laptop, provider).await;
    laptop
        .command("rename", json!({ "title": "Another title" }))
        .await;
    phone
        .until(|frame| frame["event"] == "session" && frame["title"] == "Another title")
        .await;
    first.database.notify("alice", "Build finished").await;
    phone.notified("Build finished").await;
    laptop.notified("Build finished").await;

    for client in [&phone, &laptop] {
        let mut transcript = Transcript::default();
        transcript.apply(&client.frames, &own);
        assert_eq!(
            transcript.messages,
            first.database.transcript(&client.session).await
        );
        assert_eq!(transcript.messages.len(), 4);
    }
    let session = phone.session.clone();
    phone.command("delete", json!({ "session_id": session })).await;
    assert_eq!(laptop.closed().await.0, 4509);
}

async fn an_answer_shows_while_it_is_written(
    phone: &mut TestClient,
    laptop: &mut TestClient,
    provider: &ScriptedProvider,
) {
    let script = Script::new().text("One ").wait_for("two").text("two");
    provider.on("Count", script.finish("stop").done());
    phone.query("q1", "Count").await;
    laptop.until(|frame| frame["type"] == "query").await;
    laptop.until(|frame| frame["event"] == "thinking").await;
    laptop
        .until(|frame| frame["type"] == "delta" && frame["content"] == "One ")
        .await;
    provider.open("two");
    laptop
        .until(|frame| frame["type"] == "response" && frame["content"] == "One two")
        .await;
}

async fn a_cancel_ends_the_answer_for_both(
    phone: &mut TestClient,
    laptop: &mut TestClient,
    provider: &ScriptedProvider,
) {
    provider.on("Endless", Script::new().text("On and ").stall());
    let run = phone.query("q2", "Endless").await["run_id"].clone();
    laptop
        .until(|frame| frame["type"] == "delta" && frame["run_id"] == run)
        .await;
    laptop.command("cancel", json!({})).await;
    for device in [phone, laptop] {
        let response = device
            .until(|frame| frame["type"] == "response" && frame["run_id"] == run)
            .await;
        assert_eq!(
            (&response["state"], &response["content"]),
            (&json!("cancelled"), &json!("On and "))
        );
    }
}

#[tokio::test]
async fn notify_alone_brings_everything() {
    let provider = ScriptedProvider::start().await;
    let nodes = two_without_polling(&provider).await;
    everything_reaches_the_other_node(&nodes.0, &nodes.1, &provider).await;
    assert_eq!(readiness(&nodes.0).await["status"], "ready");
    shut_down(nodes).await;
}

#[tokio::test]
async fn polling_alone_brings_everything() {
    let provider = ScriptedProvider::start().await;
    let nodes = two_without_notify(&provider).await;
    everything_reaches_the_other_node(&nodes.0, &nodes.1, &provider).await;
    let readiness = readiness(&nodes.0).await;
    assert_eq!(readiness["status"], "degraded");
    assert_eq!(
        (&readiness["database"], &readiness["notify"]),
        (&json!("ok"), &json!("unavailable"))
    );
    shut_down(nodes).await;
}

/// What `/readyz` says; it must be 200.
async fn readiness(node: &TestNode) -> Value {
    let mut stream = TcpStream::connect(&node.base).await.unwrap();
    let request = format!(
        "GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        node.base
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn a_listener_that_loses_its_connection_comes_back_and_misses_nothing() {
    let provider = ScriptedProvider::start().await;
    let nodes = two_without_polling(&provider).await;
    let database = &nodes.0.database;
    let mut phone = nodes.0.connect("alice").await;
    let mut laptop = nodes.1.resume("alice", &phone.session, 0).await;
    laptop.live().await;
    for round in 0..3 {
        assert_eq!(database.kill_listeners().await, 2);
        // Right away, so that what happens falls into the time in which nobody listens.
        let content = format!("In round {round}");
        database.notify("alice", &content).await;
        let response = phone.ask(&format!("q{round}"), &content).await;
        laptop
            .until(|frame| frame["type"] == "response" && frame["seq"] == response["seq"])
            .await;
        for device in [&mut phone, &mut laptop] {
            if !device
                .frames
                .iter()
                .any(|frame| frame["event"] == "message" && frame["content"] == content)
            {
                device.notified(&content).await;
            }
        }
        nodes.0.listening().await;
        nodes.1.listening().await;
        wait_for_listeners(database).await;
    }
    let mut transcript = Transcript::default();
    transcript.apply(&laptop.frames, &HashMap::new());
    assert_eq!(transcript.messages, database.transcript(&laptop.session).await);
    shut_down(nodes).await;
}

async fn wait_for_listeners(database: &TestDatabase) {
    eventually("both listen again", || async {
        let listening = database
            .count(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND query ILIKE 'LISTEN %' AND pid <> pg_backend_pid()",
            )
            .await;
        listening == 2
    })
    .await;
}

#[tokio::test]
async fn a_query_that_finds_its_node_full_runs_on_another() {
    let provider = ScriptedProvider::start().await;
    provider.on("Endless", Script::new().text("On and ").stall());
    let changes = [NO_POLL[0], NO_POLL[1], ("MAX_RUNS_PER_NODE", "1")];
    let mut first = TestNode::start(&provider, &changes).await;
    let mut second = TestNode::start_on(first.database.clone(), &provider, &changes).await;
    first.listening().await;
    second.listening().await;
    let mut busy = first.connect("alice").await;
    busy.query("q", "Endless").await;
    let mut waiting = first.connect("bob").await;
    let response = waiting.ask("q", "Anybody there?").await;
    assert_eq!(response["state"], "complete");
    assert_eq!(first.node().service().runs.count(), 1, "the first is still full");
    busy.command("cancel", json!({})).await;
    busy.until(|frame| frame["type"] == "response").await;
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_run_on_a_node_where_nobody_watched_shows_to_those_who_come() {
    let provider = ScriptedProvider::start().await;
    provider.on("Endless", Script::new().text("On and ").stall());
    let script = Script::new().text("Half 🌍 ").wait_for("end").text("whole");
    provider.on("Half", script.finish("stop").done());
    let changes = [NO_POLL[0], NO_POLL[1], ("MAX_RUNS_PER_NODE", "1")];
    let mut first = TestNode::start(&provider, &changes).await;
    let mut second = TestNode::start_on(first.database.clone(), &provider, &changes).await;
    first.listening().await;
    second.listening().await;
    let mut busy = first.connect("alice").await;
    busy.query("q", "Endless").await;
    let mut phone = first.connect("bob").await;
    phone.query("q", "Half").await;
    phone.until(|frame| frame["type"] == "delta").await;

    let mut laptop = second.resume("bob", &phone.session, 0).await;
    laptop.live().await;
    let delta = laptop
        .frames
        .iter()
        .find(|frame| frame["type"] == "delta")
        .unwrap();
    assert_eq!(
        (&delta["content"], &delta["offset"]),
        (&json!("Half 🌍 "), &json!(0))
    );
    provider.open("end");
    for device in [&mut phone, &mut laptop] {
        let response = device.until(|frame| frame["type"] == "response").await;
        assert_eq!(response["content"], "Half 🌍 whole");
        let mut transcript = Transcript::default();
        transcript.apply(
            &device.frames,
            &HashMap::from([("q".to_owned(), "Half".to_owned())]),
        );
        assert_eq!(
            transcript.messages,
            first.database.transcript(&device.session).await
        );
    }
    busy.command("cancel", json!({})).await;
    busy.until(|frame| frame["type"] == "response").await;
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn an_acknowledgement_clears_the_devices_of_every_node() {
    let provider = ScriptedProvider::start().await;
    let nodes = two_without_polling(&provider).await;
    let mut phone = nodes.0.connect("alice").await;
    let mut laptop = nodes.1.connect("alice").await;
    phone.live().await;
    laptop.live().await;
    nodes.0.database.notify("alice", "Seen?").await;
    let id = phone.notified("Seen?").await["notification_id"].clone();
    laptop.notified("Seen?").await;
    phone.command("ack", json!({ "notification_ids": [id] })).await;
    let cleared = laptop.until(|frame| frame["event"] == "cleared").await;
    assert_eq!(cleared["notification_ids"], json!([id]));
    shut_down(nodes).await;
}

#[tokio::test]
async fn a_notification_reaches_its_user_on_every_node_and_nobody_else() {
    let provider = ScriptedProvider::start().await;
    let nodes = two_without_polling(&provider).await;
    let mut phone = nodes.0.connect("alice").await;
    let mut laptop = nodes.1.connect("alice").await;
    let mut stranger = nodes.0.connect("bob").await;
    for client in [&mut phone, &mut laptop, &mut stranger] {
        client.live().await;
    }
    let sql = "INSERT INTO agent.notifications (user_id, content, title, kind, data, priority)
               VALUES ('alice', 'Build finished 🎉', 'CI', 'build.done', '{\"ok\": true}', 'high')";
    sqlx::query(sql).execute(&nodes.0.database.pool).await.unwrap();
    for device in [&mut phone, &mut laptop] {
        let frame = device.notified("Build finished 🎉").await;
        assert_eq!(frame["type"], "notification");
        assert_eq!(
            (&frame["title"], &frame["kind"]),
            (&json!("CI"), &json!("build.done"))
        );
        assert_eq!(
            (&frame["data"], &frame["priority"]),
            (&json!({ "ok": true }), &json!("high"))
        );
        assert_eq!(frame.get("replay"), None, "it came live");
        assert_eq!(frame.get("seq"), None);
    }
    nodes.0.database.notify("bob", "Yours").await;
    stranger.notified("Yours").await;
    assert!(
        stranger
            .frames
            .iter()
            .all(|frame| frame["content"] != "Build finished 🎉")
    );
    shut_down(nodes).await;
}

#[tokio::test]
async fn what_is_pending_comes_before_live_by_priority_and_age_until_it_is_acknowledged() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let sql = "INSERT INTO agent.notifications (user_id, content, priority, created_at)
               SELECT 'alice', priority || ' ' || age, priority, now() - age * interval '1 minute'
               FROM unnest(ARRAY['low', 'normal', 'high']) AS priority, generate_series(1, 2) AS age";
    sqlx::query(sql).execute(&node.database.pool).await.unwrap();
    let mut phone = node.connect("alice").await;
    let mut tablet = node.connect("alice").await;
    let order = ["high 2", "high 1", "normal 2", "normal 1", "low 2", "low 1"];
    for device in [&mut phone, &mut tablet] {
        device.live().await;
        assert_eq!(device.told(), order);
        let replayed = device
            .frames
            .iter()
            .filter(|frame| frame["replay"] == true)
            .count();
        assert_eq!(replayed, 6);
    }
    let ids: Vec<Value> = phone
        .frames
        .iter()
        .filter(|frame| frame["event"] == "message")
        .map(|frame| frame["notification_id"].clone())
        .collect();

    let done = phone
        .command("ack", json!({ "notification_ids": ids[..2] }))
        .await;

    assert_eq!(done["data"]["notification_ids"].as_array().unwrap().len(), 2);
    let cleared = tablet.until(|frame| frame["event"] == "cleared").await;
    let as_set = |value: &Value| -> BTreeSet<String> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(as_set(&cleared["notification_ids"]), as_set(&json!(ids[..2])));
    let mut again = node.connect("alice").await;
    again.live().await;
    assert_eq!(again.told(), order[2..]);
    phone.command("ack", json!({ "all": true })).await;
    let cleared = tablet.until(|frame| frame["event"] == "cleared").await;
    assert_eq!(as_set(&cleared["notification_ids"]), as_set(&json!(ids[2..])));
    let mut last = node.connect("alice").await;
    last.live().await;
    assert!(last.told().is_empty());
    let sql = "SELECT count(*) FROM agent.notifications WHERE acknowledged_at IS NULL";
    assert_eq!(node.database.count(sql).await, 0);
    assert!(
        phone.frames.iter().all(|frame| frame["event"] != "cleared"),
        "the one who did it is not told"
    );
    node.shut_down().await;
}

/// A row whose transaction stays open while later ones commit.
async fn a_late_commit_arrives(node: &TestNode) {
    let database = &node.database;
    let mut client = node.connect("alice").await;
    client.live().await;
    let mut late = database.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ('alice', 'Late')")
        .execute(&mut *late)
        .await
        .unwrap();
    for n in 0..10 {
        let content = format!("Early {n}");
        database.notify("alice", &content).await;
        client.notified(&content).await;
    }
    late.commit().await.unwrap();
    client.notified("Late").await;
    let mut seen = client.told();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 11);
    assert_eq!(client.told().len(), 11, "each once");
}

#[tokio::test]
async fn a_notification_that_commits_late_is_not_passed_over() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    a_late_commit_arrives(&node).await;
    node.shut_down().await;
    let nodes = two_without_notify(&provider).await;
    a_late_commit_arrives(&nodes.0).await;
    shut_down(nodes).await;
}

#[tokio::test]
async fn ten_thousand_notifications_of_one_statement_all_arrive() {
    const ROWS: usize = 10_000;
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &NO_POLL).await;
    node.listening().await;
    let mut client = node.connect("alice").await;
    client.live().await;
    let sql = "INSERT INTO agent.notifications (user_id, content)
               SELECT CASE WHEN n % 10 = 0 THEN 'bob' ELSE 'alice' END, n::text FROM generate_series(1, 20000) AS n
               WHERE n % 10 = 0 OR n <= 11111";
    sqlx::query(sql).execute(&node.database.pool).await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < ROWS {
        let frame = client.until(|frame| frame["event"] == "message").await;
        assert!(
            seen.insert(frame["notification_id"].to_string()),
            "twice: {frame}"
        );
    }
    assert_eq!(client.told().len(), ROWS);
    let mut again = node.connect("alice").await;
    again.live().await;
    assert_eq!(again.told().len(), 200, "at most 200 before live");
    let done = client.command("ack", json!({ "all": true })).await;
    let acknowledged = done["data"]["notification_ids"].as_array();
    assert_eq!(acknowledged.map(Vec::len), Some(ROWS), "{}", done["content"]);
    // The other device was in the middle of its share: what it is told of last is that all are seen.
    again.until(|frame| frame["event"] == "cleared").await;
    let pong = tokio::time::timeout(Duration::from_secs(10), again.command("ping", json!({}))).await;
    assert_eq!(pong.unwrap()["event"], "ping");
    node.shut_down().await;
}

#[tokio::test]
async fn a_node_connects_as_a_login_that_is_the_app_and_no_more() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    node.connect("alice").await.ask("q", "Hello").await;
    let logins: Vec<(String, bool)> = sqlx::query_as(
        "SELECT DISTINCT a.usename::text, r.rolsuper FROM pg_stat_activity AS a JOIN pg_roles AS r ON r.rolname = a.usename
         WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.application_name = 'agent-websocket'
            OR a.datname = current_database() AND a.query ILIKE 'LISTEN %'",
    )
    .fetch_all(&node.database.pool)
    .await
    .unwrap();
    assert_eq!(logins, [("agent_server".to_owned(), false)]);
    node.shut_down().await;
}
