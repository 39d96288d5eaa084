//! How much a user may ask for, and what happens beyond it: nothing is stored, nothing is called, and waiting helps.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::TestClient;
use crate::support::http::Api;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};

/// One query at once, then one every four seconds: time enough to be refused, and not too much to wait out.
const SLOW: [(&str, &str); 2] = [("RATE_LIMIT_PER_MINUTE", "15"), ("RATE_LIMIT_BURST", "1")];

/// One query, and no second one within the test.
const ONCE: [(&str, &str); 2] = [("RATE_LIMIT_PER_MINUTE", "1"), ("RATE_LIMIT_BURST", "1")];

/// Sends a query that is expected to be refused, and gives the refusal.
async fn refused(client: &mut TestClient, id: &str, content: &str) -> Value {
    client
        .send(&json!({ "type": "query", "id": id, "content": content }))
        .await;
    let answer = client.until(|frame| frame["re"] == id).await;
    assert_eq!(answer["type"], "error", "{answer}");
    answer
}

#[tokio::test]
async fn a_query_too_many_is_refused_and_leaves_no_trace() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &SLOW).await;
    let mut client = node.connect("alice").await;
    client.ask("q1", "one").await;

    let refusal = refused(&mut client, "q2", "two").await;
    assert_eq!(
        (&refusal["code"], &refusal["retryable"]),
        (&json!("rate_limited"), &json!(true))
    );
    let wait = refusal["retry_after_ms"].as_u64().unwrap();
    assert!((1..=4000).contains(&wait), "{refusal}");
    assert_eq!(
        node.database.count("SELECT count(*) FROM agent.messages").await,
        2
    );
    assert_eq!(node.database.count("SELECT count(*) FROM agent.runs").await, 1);
    assert_eq!(provider.calls(), 1);

    let mut other = node.connect("bob").await;
    other.ask("q1", "another user is not concerned").await;

    provider.pause(Duration::from_millis(wait)).await;
    let response = client.ask("q2", "other words under the same id").await;
    assert_eq!(response["seq"], 4, "the id had stayed free");
    node.shut_down().await;
}

#[tokio::test]
async fn the_limit_is_the_users_on_all_sockets_and_over_http() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &ONCE).await;
    let mut one = node.connect("alice").await;
    let mut two = node.connect("alice").await;
    one.ask("q1", "one").await;
    assert_eq!(refused(&mut two, "q1", "two").await["code"], "rate_limited");
    let api = Api::new(&node.base, &token("alice"));
    let reply = api
        .call(
            "POST",
            &format!("/v1/sessions/{}/messages", two.session),
            Some(json!({ "content": "three" })),
        )
        .await;
    let problem = reply.problem(429, "rate_limited");
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{reply:?}");
    assert!(problem["retry_after_ms"].as_u64().unwrap() <= 60_000, "{problem}");
    let regenerated = one.command("regenerate", json!({})).await;
    assert_eq!(
        regenerated["code"], "rate_limited",
        "a new answer costs what a query costs"
    );
    let pong = one.command("ping", json!({})).await;
    assert_eq!(pong["event"], "ping", "only queries are counted");
    assert_eq!(provider.calls(), 1);
    node.shut_down().await;
}

#[tokio::test]
async fn a_burst_is_allowed_at_once() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(
        &provider,
        &[("RATE_LIMIT_PER_MINUTE", "6"), ("RATE_LIMIT_BURST", "3")],
    )
    .await;
    let mut client = node.connect("alice").await;
    for id in ["q1", "q2", "q3"] {
        client.query(id, "quick").await;
    }
    assert_eq!(
        refused(&mut client, "q4", "too quick").await["code"],
        "rate_limited"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_queue_that_is_full_takes_no_more_until_it_moves() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("x").wait_for("go").finish("stop").done());
    let mut node = TestNode::start(&provider, &[("MAX_QUEUE_DEPTH", "2")]).await;
    let mut client = node.connect("alice").await;
    for (id, position) in [("q1", 0), ("q2", 1), ("q3", 2)] {
        assert_eq!(client.query(id, "wait").await["queue_position"], position);
    }
    let refusal = refused(&mut client, "q4", "no room").await;
    assert_eq!(
        (&refusal["code"], &refusal["retryable"]),
        (&json!("queue_full"), &json!(true))
    );
    assert_eq!(
        node.database
            .count("SELECT count(*) FROM agent.messages WHERE role = 'user'")
            .await,
        3
    );
    let mut elsewhere = node.connect("alice").await;
    elsewhere.ask("q4", "the queue is the session's own").await;

    provider.open("go");
    client
        .until(|frame| frame["type"] == "response" && frame["seq"] == 6)
        .await;
    let response = client.ask("q4", "other words").await;
    assert_eq!(response["seq"], 8, "the id had stayed free: {response}");
    node.shut_down().await;
}

#[tokio::test]
async fn a_busy_session_refuses_a_query_that_will_not_wait() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("x").wait_for("go").finish("stop").done());
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.query("q1", "slow").await;
    let frame = json!({ "type": "query", "id": "q2", "content": "now or never", "on_busy": "reject" });
    client.send(&frame).await;
    let refusal = client.until(|frame| frame["re"] == "q2").await;
    assert_eq!(
        (&refusal["type"], &refusal["code"], &refusal["retryable"]),
        (&json!("error"), &json!("busy"), &json!(true))
    );
    provider.open("go");
    client.until(|frame| frame["type"] == "response").await;
    client.send(&frame).await;
    let accepted = client.until(|frame| frame["re"] == "q2").await;
    assert_eq!(
        (&accepted["event"], &accepted["seq"], &accepted["duplicate"]),
        (&json!("accepted"), &json!(3), &json!(false))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_user_with_too_many_sessions_must_delete_some_first() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("MAX_SESSIONS_PER_USER", "2")]).await;
    let first = node.connect("alice").await;
    let mut second = node.connect("alice").await;
    let api = Api::new(&node.base, &token("alice"));

    let refusal = second.command("new", json!({})).await;
    assert_eq!(
        (&refusal["type"], &refusal["code"]),
        (&json!("error"), &json!("quota_exceeded"))
    );
    second.ask("q1", "the old session goes on").await;
    api.call("POST", "/v1/sessions", None)
        .await
        .problem(429, "quota_exceeded");
    let authorization = format!("Bearer {}", token("alice"));
    let handshake = TestClient::open(&node.base, "/v1/ws", &[("authorization", &authorization)])
        .await
        .err()
        .unwrap();
    assert_eq!(handshake.status, 429);
    let mut latest = TestClient::connect(&node.base, &token("alice"), "?session_id=latest").await;
    latest.live().await;
    node.connect("bob").await.live().await;

    let deleted = second
        .command("delete", json!({ "session_id": first.session }))
        .await;
    assert_eq!(deleted["event"], "delete");
    let opened = second.command("new", json!({})).await;
    assert_eq!(opened["event"], "new");
    assert_eq!(
        node.database
            .count("SELECT count(*) FROM agent.sessions WHERE user_id = 'alice'")
            .await,
        2
    );
    node.shut_down().await;
}
