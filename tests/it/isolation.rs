//! One user and another: what belongs to somebody else looks exactly like what is not there.

mod property;
mod verbs;

use serde_json::{Value, json};

use crate::support::client::TestClient;
use crate::support::http::Api;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};

/// A frame that names a foreign thing: of the command, the field, and the id.
type Frame<'a> = &'a dyn Fn(&str, &str, &str) -> Value;

/// What alice has, and bob would like to reach.
struct Treasure {
    session: String,
    query: String,
    answer: String,
    run: String,
    running: String,
    waiting: String,
    waiting_run: String,
    notification: String,
}

impl Treasure {
    /// All ids of hers.
    fn ids(&self) -> Vec<String> {
        [
            &self.session,
            &self.query,
            &self.answer,
            &self.run,
            &self.running,
            &self.waiting,
            &self.waiting_run,
            &self.notification,
        ]
        .map(String::clone)
        .to_vec()
    }
}

/// Alice's session: a turn, a run in progress, a query that waits, a notification.
async fn treasure(node: &TestNode, provider: &ScriptedProvider) -> (TestClient, Treasure) {
    provider.on(
        "slow",
        Script::new().text("x").wait_for("go").finish("stop").done(),
    );
    let notification: uuid::Uuid = sqlx::query_scalar(
        "INSERT INTO agent.notifications (user_id, content) VALUES ('alice', 'hers: marigold') RETURNING notification_id",
    )
    .fetch_one(&node.database.pool)
    .await
    .unwrap();
    let mut alice = node.connect("alice").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let asked = alice.query("q1", "Hello, marigold?").await;
    let answer = alice.until(|frame| frame["type"] == "response").await;
    let running = alice.query("q2", "slow").await;
    alice
        .until(|frame| frame["type"] == "delta" && frame["run_id"] == running["run_id"])
        .await;
    let waiting = alice.query("q3", "waits for marigold").await;
    let treasure = Treasure {
        session: alice.session.clone(),
        query: text(&asked["message_id"]),
        answer: text(&answer["message_id"]),
        run: text(&asked["run_id"]),
        running: text(&running["run_id"]),
        waiting: text(&waiting["message_id"]),
        waiting_run: text(&waiting["run_id"]),
        notification: notification.to_string(),
    };
    (alice, treasure)
}

/// Checks that nothing of alice's was touched: her run goes on, her queue stands, her data is as it was.
async fn assert_untouched(
    node: &TestNode,
    provider: &ScriptedProvider,
    alice: &mut TestClient,
    treasure: &Treasure,
) {
    let tables = [
        ("SELECT count(*) FROM agent.feedback", 0),
        ("SELECT count(*) FROM agent.messages WHERE user_id = 'alice'", 4),
        (
            "SELECT count(*) FROM agent.sessions WHERE user_id = 'alice' AND title = 'hers'",
            1,
        ),
        (
            "SELECT count(*) FROM agent.notifications WHERE acknowledged_at IS NULL",
            1,
        ),
    ];
    for (sql, expected) in tables {
        assert_eq!(node.database.count(sql).await, expected, "{sql}");
    }
    assert_goes_on(provider, alice, treasure).await;
}

/// Checks that alice's answer is written to its end, and then the one that waited for it.
async fn assert_goes_on(provider: &ScriptedProvider, alice: &mut TestClient, treasure: &Treasure) {
    provider.open("go");
    let response = alice
        .until(|frame| frame["type"] == "response" && frame["run_id"] == treasure.running)
        .await;
    assert_eq!(response["state"], "complete");
    let response = alice
        .until(|frame| frame["type"] == "response" && frame["run_id"] == treasure.waiting_run)
        .await;
    assert_eq!(response["state"], "complete");
}

/// What answers a frame, without what differs from one time to the next: the moment and the ids that were asked for.
async fn answer(client: &mut TestClient, frame: &Value, id: &str) -> String {
    let mut frame = frame.clone();
    frame["id"] = json!("probe");
    client.send(&frame).await;
    let mut answer = client.until(|frame| frame["re"] == "probe").await;
    answer.as_object_mut().unwrap().remove("timestamp");
    answer.to_string().replace(id, "ID")
}

#[tokio::test]
async fn foreign_ids_on_the_socket_look_like_missing_ones() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let (mut alice, hers) = treasure(&node, &provider).await;
    alice.command("rename", json!({ "title": "hers" })).await;
    let mut bob = node.connect("bob").await;

    let command = |name: &str, field: &str, id: &str| {
        let id = if field == "notification_ids" {
            json!([id])
        } else {
            json!(id)
        };
        json!({ "type": "command", "content": name, "args": { field: id } })
    };
    let feedback =
        |_: &str, _: &str, id: &str| json!({ "type": "human_feedback", "message_id": id, "rating": 1 });
    let probes: [(&str, &str, &str, Frame<'_>); 12] = [
        ("resume", "session_id", &hers.session, &command),
        ("delete", "session_id", &hers.session, &command),
        ("sessions", "before", &hers.session, &command),
        ("cancel", "run_id", &hers.run, &command),
        ("cancel", "run_id", &hers.running, &command),
        ("cancel", "run_id", &hers.waiting_run, &command),
        ("regenerate", "message_id", &hers.query, &command),
        ("regenerate", "message_id", &hers.answer, &command),
        ("unqueue", "message_id", &hers.waiting, &command),
        ("ack", "notification_ids", &hers.notification, &command),
        ("human_feedback", "message_id", &hers.answer, &feedback),
        ("human_feedback", "message_id", &hers.query, &feedback),
    ];
    for (name, field, foreign, frame) in probes {
        let missing = uuid::Uuid::now_v7().to_string();
        let theirs = answer(&mut bob, &frame(name, field, foreign), foreign).await;
        let nobodys = answer(&mut bob, &frame(name, field, &missing), &missing).await;
        assert_eq!(theirs, nobodys, "{name} {field}");
        let expected = match name {
            "sessions" => r#""sessions":[]"#,
            "ack" => r#""notification_ids":[]"#,
            _ => r#""code":"not_found""#,
        };
        assert!(theirs.contains(expected), "{name} {field}: {theirs}");
    }
    assert_untouched(&node, &provider, &mut alice, &hers).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_foreign_session_in_the_first_frame_looks_like_a_missing_one() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let alice = node.connect("alice").await;
    let mut told = Vec::new();
    for id in [alice.session.clone(), uuid::Uuid::now_v7().to_string()] {
        let mut bob = TestClient::open(&node.base, "/v1/ws", &[]).await.unwrap();
        let auth = json!({ "type": "command", "content": "auth",
            "args": { "token": token("bob"), "session_id": id } });
        let answer = answer(&mut bob, &auth, &id).await;
        told.push((answer, bob.closed().await, bob.frames.len()));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].1.0, 4504);
    node.shut_down().await;
}

#[tokio::test]
async fn foreign_ids_over_http_look_like_missing_ones() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let (mut alice, hers) = treasure(&node, &provider).await;
    alice.command("rename", json!({ "title": "hers" })).await;
    let api = Api::new(&node.base, &token("bob"));
    let query = Some(json!({ "content": "mine now?", "id": "q1" }));
    let probes: [(&str, &str, Option<Value>); 7] = [
        ("GET", "/v1/sessions/ID", None),
        ("PATCH", "/v1/sessions/ID", Some(json!({ "title": "mine" }))),
        ("DELETE", "/v1/sessions/ID", None),
        ("GET", "/v1/sessions/ID/messages", None),
        ("GET", "/v1/sessions/ID/messages?after=0&limit=5", None),
        ("POST", "/v1/sessions/ID/messages", query),
        ("GET", "/v1/sessions/ID/export", None),
    ];
    for (method, path, body) in probes {
        let missing = uuid::Uuid::now_v7().to_string();
        let mut replies = Vec::new();
        for id in [hers.session.as_str(), &missing, "no-id-at-all"] {
            let mut reply = api.call(method, &path.replace("ID", id), body.clone()).await;
            reply.problem(404, "not_found");
            reply.headers.remove("date");
            replies.push((reply.headers, reply.body.replace(id, "ID")));
        }
        assert_eq!(replies[0], replies[1], "{method} {path}");
        assert_eq!(replies[0], replies[2], "{method} {path}");
    }
    let mine = api.call("GET", "/v1/sessions", None).await.json();
    assert_eq!(mine["sessions"], json!([]));
    for (path, field) in [("/v1/search?q=Hello", "matches"), ("/v1/usage", "usage")] {
        let found = api.call("GET", path, None).await.json();
        assert_eq!(found[field], json!([]), "{path}");
    }
    let receipt = api.call("DELETE", "/v1/users/me", None).await.json();
    assert_eq!(
        receipt["total"], 0,
        "nothing of anybody else's is erased: {receipt}"
    );
    let before = format!("/v1/sessions?before={}", hers.session);
    let page = api.call("GET", &before, None).await.json();
    assert_eq!(page["sessions"], json!([]));
    assert_untouched(&node, &provider, &mut alice, &hers).await;
    node.shut_down().await;
}

#[tokio::test]
async fn ids_of_ones_own_other_session_are_not_found_in_this_one() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let (mut alice, hers) = treasure(&node, &provider).await;
    alice.command("rename", json!({ "title": "hers" })).await;
    let mut elsewhere = node.connect("alice").await;
    for (name, args) in [
        ("cancel", json!({ "run_id": hers.running })),
        ("cancel", json!({ "run_id": hers.waiting_run })),
        ("regenerate", json!({ "message_id": hers.query })),
        ("unqueue", json!({ "message_id": hers.waiting })),
    ] {
        let answer = elsewhere.command(name, args).await;
        assert_eq!(answer["code"], "not_found", "{name}: {answer}");
    }
    let history = elsewhere.command("history", json!({})).await;
    assert_eq!(history["data"]["messages"], json!([]));
    assert_untouched(&node, &provider, &mut alice, &hers).await;
    node.shut_down().await;
}

#[tokio::test]
async fn two_users_may_use_the_same_names_without_meeting() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut alice = TestClient::connect(&node.base, &token("alice"), "?device_id=phone").await;
    let mut bob = TestClient::connect(&node.base, &token("bob"), "?device_id=phone").await;
    alice.live().await;
    bob.live().await;
    let hers = alice.ask("q1", "hers").await;
    let his = bob.ask("q1", "his").await;
    assert_eq!((&hers["seq"], &his["seq"]), (&json!(2), &json!(2)));
    alice.command("ping", json!({})).await;
    let latest = TestClient::connect(&node.base, &token("bob"), "?session_id=latest").await;
    assert_eq!(latest.session, bob.session, "latest is the user's own");
    for (client, other) in [(&alice, &bob), (&bob, &alice)] {
        for frame in &client.frames {
            let text = frame.to_string();
            assert!(!text.contains(&other.session), "a frame of another user: {text}");
        }
    }
    node.shut_down().await;
}
