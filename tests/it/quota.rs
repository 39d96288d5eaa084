//! What one user may ask for and spend: rates, text kept, tokens and money of a day, connections over all nodes.

use serde_json::{Value, json};

use crate::support::client::TestClient;
use crate::support::eventually;
use crate::support::http::{Api, request};
use crate::support::node::{TestNode, token, token_with};
use crate::support::provider::{Script, ScriptedProvider};

/// Sends a query and waits for what it becomes: `accepted` or an error.
async fn try_ask(client: &mut TestClient, id: &str) -> Value {
    client
        .send(&json!({ "type": "query", "id": id, "content": format!("question {id}") }))
        .await;
    client.until(|frame| frame["re"] == id).await
}

/// Checks that a frame refuses by this limit and says when to come back.
fn assert_refused(frame: &Value, code: &str, limit: &str) {
    assert_eq!(
        (&frame["type"], &frame["code"]),
        (&json!("error"), &json!(code)),
        "{frame}"
    );
    assert!(frame["content"].as_str().unwrap().contains(limit), "{frame}");
    let wait = frame["retry_after_ms"].as_i64().unwrap();
    assert!((1..=86_400_000).contains(&wait), "{frame}");
}

/// An answer that costs so much.
fn costs(cost: f64) -> Script {
    Script::new().text("ok").finish("stop").usage(7, 5, cost).done()
}

#[tokio::test]
async fn commands_and_requests_of_a_user_share_one_rate_and_services_have_none() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("COMMANDS_PER_MINUTE", "5")]).await;
    let mut client = node.connect("alice").await;
    let api = Api::new(&node.base, &token("alice"));
    for _ in 0..3 {
        assert_eq!(client.command("ping", json!({})).await["event"], "ping");
    }
    for _ in 0..2 {
        assert_eq!(api.call("GET", "/v1/sessions", None).await.status, 200);
    }
    let refused = client.command("ping", json!({})).await;
    assert_refused(&refused, "rate_limited", "commands_per_user");
    let reply = api.call("GET", "/v1/sessions", None).await;
    reply.problem(429, "rate_limited");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    let feedback =
        json!({ "type": "human_feedback", "id": "f", "message_id": uuid::Uuid::now_v7(), "rating": 1 });
    client.send(&feedback).await;
    let refused = client.until(|frame| frame["re"] == "f").await;
    assert_refused(&refused, "rate_limited", "commands_per_user");
    // A question is no command, and a service that notifies has no such limit.
    assert_eq!(try_ask(&mut client, "q1").await["event"], "accepted");
    let ttl = std::time::Duration::from_mins(1);
    let service = Api::new(&node.base, &token_with("ci", ttl, Some("agent:notify")));
    for _ in 0..8 {
        let body = json!({ "user_id": "bob", "content": "built" });
        assert_eq!(
            service.call("POST", "/v1/notifications", Some(body)).await.status,
            201
        );
    }
    node.shut_down().await;
}

#[tokio::test]
async fn money_of_a_day_is_never_overspent_however_many_sockets_on_however_many_nodes() {
    let provider = ScriptedProvider::start().await;
    provider.on("question", costs(0.05));
    let limits = [
        ("COST_PER_DAY_USD", "0.42"),
        ("COST_RESERVE_USD", "0.10"),
        ("MAX_RUNS_PER_USER", "0"),
    ];
    let mut one = TestNode::start(&provider, &limits).await;
    let mut two = TestNode::start_on(one.database.clone(), &provider, &limits).await;
    let mut clients = Vec::new();
    for node in [&one, &two, &one, &two, &one, &two] {
        clients.push(node.connect("alice").await);
    }
    let mut refused = 0;
    for round in 0..6 {
        let id = format!("q{round}");
        let asked = clients.iter_mut().map(|client| try_ask(client, &id));
        for frame in futures_util::future::join_all(asked).await {
            if frame["type"] == "error" {
                assert_refused(&frame, "quota_exceeded", "cost_per_day");
                refused += 1;
            }
        }
        let open = "SELECT count(*) FROM agent.runs WHERE state IN ('queued', 'running')";
        eventually("the answers are there", || async {
            one.database.count(open).await == 0
        })
        .await;
    }
    let spent = "SELECT (sum(cost_usd) * 100)::bigint FROM agent.usage";
    let cents = one.database.count(spent).await;
    // As long as another answer's share fitted into the day, one was given.
    assert!((33..=42).contains(&cents), "{cents} cents of 42");
    assert_eq!(
        i64::try_from(provider.requests().len()).unwrap() * 5,
        cents,
        "nobody was asked for more"
    );
    assert_eq!(refused + cents / 5, 36);
    // Another user has a day of his own; and what was accepted is answered again, whatever is spent since.
    let mut bob = one.connect("bob").await;
    assert_eq!(try_ask(&mut bob, "q1").await["event"], "accepted");
    let known = clients.iter_mut().find(|client| {
        client
            .frames
            .iter()
            .any(|frame| frame["event"] == "accepted" && frame["re"] == "q0")
    });
    let again = try_ask(known.unwrap(), "q0").await;
    assert_eq!(
        (&again["event"], &again["duplicate"]),
        (&json!("accepted"), &json!(true))
    );
    two.shut_down().await;
    one.shut_down().await;
}

#[tokio::test]
async fn tokens_of_a_day_are_set_aside_and_given_back() {
    let provider = ScriptedProvider::start().await;
    let slow = Script::new().text("x").wait_for("go").finish("stop");
    provider.on("question slow", slow.usage(7, 5, 0.0).done());
    provider.on("question", costs(0.0));
    let limits = [
        ("TOKENS_PER_DAY", "450"),
        ("MAX_PROMPT_TOKENS", "100"),
        ("MAX_TOKENS", "100"),
    ];
    let mut node = TestNode::start(&provider, &limits).await;
    provider.on(
        "question slow",
        Script::new()
            .text("x")
            .wait_for("go")
            .finish("stop")
            .usage(7, 5, 0.0)
            .done(),
    );
    let mut client = node.connect("alice").await;
    assert_eq!(try_ask(&mut client, "slow").await["event"], "accepted");
    assert_eq!(try_ask(&mut client, "q2").await["event"], "accepted");
    assert_refused(
        &try_ask(&mut client, "q3").await,
        "quota_exceeded",
        "tokens_per_day",
    );
    // A query that is not stored leaves nothing set aside.
    client.command("unqueue", json!({ "message_id": client.frames.iter().rev().find(|f| f["re"] == "q2").unwrap()["message_id"] })).await;
    for _ in 0..3 {
        client
            .send(&json!({ "type": "query", "id": "busy", "content": "x", "on_busy": "reject" }))
            .await;
        assert_eq!(client.until(|frame| frame["re"] == "busy").await["code"], "busy");
    }
    assert_eq!(try_ask(&mut client, "q4").await["event"], "accepted");
    provider.open("go");
    client
        .until(|frame| frame["type"] == "response" && frame["seq"] == 6)
        .await;
    // 24 of 450 are spent: there is room again.
    assert_eq!(try_ask(&mut client, "q5").await["event"], "accepted");
    client
        .until(|frame| frame["type"] == "response" && frame["seq"] == 8)
        .await;
    let again = client.command("regenerate", json!({})).await;
    assert_eq!(again["event"], "regenerate");
    node.shut_down().await;
}

#[tokio::test]
async fn a_dry_run_counts_what_it_would_refuse_and_lets_it_pass() {
    let provider = ScriptedProvider::start().await;
    provider.on("question", costs(0.05));
    let limits = [
        ("LIMITS_DRY_RUN", "true"),
        ("COMMANDS_PER_MINUTE", "1"),
        ("RATE_LIMIT_PER_MINUTE", "1"),
        ("COST_PER_DAY_USD", "0.01"),
        ("COST_RESERVE_USD", "0.01"),
        ("MAX_CONNECTIONS_PER_USER", "1"),
    ];
    let mut node = TestNode::start(&provider, &limits).await;
    let mut client = node.connect("alice").await;
    let _second = node.connect("alice").await;
    for n in 0..3 {
        client.ask(&format!("q{n}"), "question").await;
        assert_eq!(client.command("ping", json!({})).await["event"], "ping");
    }
    let metrics = request(&node.admin, "GET", "/metrics", &[], None).await.body;
    for (limit, times) in [
        ("commands_per_user", 2),
        ("queries_per_user", 2),
        ("cost_per_day", 2),
    ] {
        let line = format!("agent_websocket_limit_refusals_total{{limit=\"{limit}\"}} {times}");
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn text_that_a_user_keeps_is_counted_and_limited() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("MAX_STORED_MB_PER_USER", "1")]).await;
    let mut client = node.connect("alice").await;
    client.ask("q1", "Grüße").await;
    sqlx::query("SELECT agent.notify(user_id => 'alice', content => 'für dich', session_id => $1::uuid, in_context => true)")
        .bind(&client.session)
        .execute(&node.database.pool)
        .await
        .unwrap();
    client.until(|frame| frame["seq"] == 3).await;
    let differ = "SELECT sum(octet_length(content)) - (SELECT sum(stored_bytes)::bigint FROM agent.sessions) FROM agent.messages";
    assert_eq!(node.database.count(differ).await, 0);
    sqlx::query("UPDATE agent.sessions SET stored_bytes = 1000000")
        .execute(&node.database.pool)
        .await
        .unwrap();
    // It was counted a moment ago: another node counts now.
    let mut other = TestNode::start_on(
        node.database.clone(),
        &provider,
        &[("MAX_STORED_MB_PER_USER", "1")],
    )
    .await;
    let mut elsewhere = other.resume("alice", &client.session, 0).await;
    let refused = try_ask(&mut elsewhere, "q2").await;
    assert_refused(&refused, "quota_exceeded", "stored_bytes_per_user");
    assert_eq!(
        try_ask(&mut elsewhere, "q1").await["code"],
        "id_conflict",
        "known ids are still known"
    );
    other.shut_down().await;
    node.shut_down().await;
}

#[tokio::test]
async fn connections_of_a_user_are_limited_over_all_nodes_and_the_oldest_stay() {
    let provider = ScriptedProvider::start().await;
    let limits = [("MAX_CONNECTIONS_PER_USER", "2")];
    let mut one = TestNode::start(&provider, &limits).await;
    let mut two = TestNode::start_on(one.database.clone(), &provider, &limits).await;
    one.listening().await;
    two.listening().await;
    let mut first = one.connect("alice").await;
    let mut second = two.connect("alice").await;
    let mut third = one.connect("alice").await;
    let mut bob = two.connect("bob").await;
    assert_eq!(third.closed().await.0, 4505);
    for client in [&mut first, &mut second, &mut bob] {
        assert_eq!(client.command("ping", json!({})).await["event"], "ping");
    }
    two.shut_down().await;
    one.shut_down().await;
}

#[tokio::test]
async fn a_device_that_connects_to_another_node_replaces_itself() {
    let provider = ScriptedProvider::start().await;
    let mut one = TestNode::start(&provider, &[]).await;
    let mut two = TestNode::start_on(one.database.clone(), &provider, &[]).await;
    one.listening().await;
    two.listening().await;
    let mut old = TestClient::connect(&one.base, &token("alice"), "?device_id=phone").await;
    let path = format!("?device_id=phone&session_id={}", old.session);
    let mut elsewhere = TestClient::connect(&one.base, &token("alice"), "?device_id=phone").await;
    let mut new = TestClient::connect(&two.base, &token("alice"), &path).await;
    assert_eq!(old.closed().await.0, 4409);
    for client in [&mut new, &mut elsewhere] {
        assert_eq!(client.command("ping", json!({})).await["event"], "ping");
    }
    two.shut_down().await;
    one.shut_down().await;
}
