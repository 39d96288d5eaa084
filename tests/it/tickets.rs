//! Tickets: made with a token over HTTP, good for one socket on any node, and bound to that token.

use std::time::Duration;

use agent_websocket::protocol::text::sha256_hex;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::support::client::{Refused, TestClient};
use crate::support::http::{Api, request};
use crate::support::node::{TestNode, token, token_issued, token_with, values};
use crate::support::process::ServeProcess;
use crate::support::provider::ScriptedProvider;

/// A ticket, made with a token.
async fn ticket(base: &str, token: &str) -> String {
    let reply = Api::new(base, token).call("POST", "/v1/tickets", None).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["ticket"].as_str().unwrap().to_owned()
}

async fn open(base: &str, ticket: &str) -> Result<TestClient, Refused> {
    TestClient::open(base, &format!("/v1/ws?ticket={ticket}"), &[]).await
}

/// Checks that a ticket opens nothing, and that it is told as a bad token is.
async fn assert_refused(node: &TestNode, ticket: &str) {
    let path = format!("/v1/ws?ticket={ticket}");
    let refused = TestClient::open(&node.base, &path, &[]).await.err().unwrap();
    let bad_token = TestClient::open(&node.base, "/v1/ws", &[("authorization", "Bearer x.y.z")])
        .await
        .err()
        .unwrap();
    assert_eq!(refused, bad_token, "{ticket}");
    assert_eq!(refused.status, 401);
    let browser = [("sec-websocket-protocol", "agentws.v1")];
    let mut client = TestClient::open(&node.base, &path, &browser).await.unwrap();
    assert_eq!(client.next().await.unwrap()["code"], "unauthorized");
    assert_eq!(client.closed().await.0, 4501);
}

#[tokio::test]
async fn a_ticket_opens_one_socket_on_any_node_and_no_second() {
    let provider = ScriptedProvider::start().await;
    let mut one = TestNode::start(&provider, &[]).await;
    let mut two = TestNode::start_on(one.database.clone(), &provider, &[]).await;
    let reply = Api::new(&one.base, &token("alice"))
        .call("POST", "/v1/tickets", None)
        .await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (201, Some("no-store"))
    );
    let made = reply.json();
    let ticket = made["ticket"].as_str().unwrap();
    assert_eq!(ticket.len(), 64, "256 bits: {made}");

    let (hash, seconds): (Vec<u8>, f64) = sqlx::query_as(
        "SELECT ticket_hash, extract(epoch FROM expires_at - created_at)::float8 FROM agent.tickets WHERE user_id = 'alice'",
    )
    .fetch_one(&one.database.pool)
    .await
    .unwrap();
    assert_eq!(
        hash,
        Sha256::digest(ticket).to_vec(),
        "the ticket itself is not stored"
    );
    assert!((29.9..30.1).contains(&seconds), "{seconds}");
    assert!(made["expires_at"].is_string(), "{made}");

    let mut client = open(&two.base, ticket).await.unwrap();
    assert_eq!(client.welcome().await["user_id"], "alice");
    client.ask("q1", "Hello?").await;
    assert_eq!(
        one.database.count("SELECT count(*) FROM agent.tickets").await,
        0,
        "used, it is gone"
    );
    for node in [&one, &two] {
        assert_refused(node, ticket).await;
    }
    two.shut_down().await;
    one.shut_down().await;
}

#[tokio::test]
async fn of_many_that_show_the_same_ticket_one_gets_in() {
    let provider = ScriptedProvider::start().await;
    let mut one = TestNode::start(&provider, &[]).await;
    let mut two = TestNode::start_on(one.database.clone(), &provider, &[]).await;
    for _ in 0..5 {
        let ticket = ticket(&one.base, &token("alice")).await;
        let attempts = (0..20).map(|n| open(if n % 2 == 0 { &one.base } else { &two.base }, &ticket));
        let outcomes = join_all(attempts).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(
            refused.clone().all(|refused| refused.status == 401),
            "{:?}",
            refused.collect::<Vec<_>>()
        );
    }
    two.shut_down().await;
    one.shut_down().await;
}

#[tokio::test]
async fn a_ticket_that_is_too_old_or_none_at_all_is_like_a_bad_token() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let old = ticket(&node.base, &token("alice")).await;
    sqlx::query("UPDATE agent.tickets SET expires_at = clock_timestamp()")
        .execute(&node.database.pool)
        .await
        .unwrap();
    assert_refused(&node, &old).await;
    let made_up = "0".repeat(64);
    let upper = old.to_uppercase();
    for garbage in ["x", "%00", &made_up, &upper, &token("alice"), &"f".repeat(5000)] {
        assert_refused(&node, garbage).await;
    }
    let metrics = request(&node.admin, "GET", "/metrics", &[], None).await.body;
    let counted = "agent_websocket_tokens_refused_total{reason=\"ticket\"} 14";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    let early = "agent_websocket_tokens_refused_total{reason=\"revoked\"} 0";
    assert!(metrics.lines().any(|line| line == early), "{metrics}");
    node.shut_down().await;
}

#[tokio::test]
async fn tickets_that_nobody_used_are_swept_away() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    ticket(&node.base, &token("alice")).await;
    let good = ticket(&node.base, &token("bob")).await;
    sqlx::query("UPDATE agent.tickets SET expires_at = clock_timestamp() WHERE user_id = 'alice'")
        .execute(&node.database.pool)
        .await
        .unwrap();
    node.node().service().store.sweep_tickets().await.unwrap();
    assert_eq!(node.database.count("SELECT count(*) FROM agent.tickets").await, 1);
    open(&node.base, &good).await.unwrap().welcome().await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_ticket_comes_after_header_and_sub_protocol_and_before_a_token_in_the_url() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("ALLOW_ACCESS_TOKEN_IN_URL", "true")]).await;
    let ticket = ticket(&node.base, &token("carol")).await;
    let path = format!("/v1/ws?ticket={ticket}&access_token={}", token("dave"));
    let header = format!("Bearer {}", token("alice"));
    let protocol = format!("agentws.v1, agentws.bearer.{}", token("bob"));
    let cases: [(&str, Vec<(&str, &str)>); 4] = [
        (
            "alice",
            vec![("authorization", &header), ("sec-websocket-protocol", &protocol)],
        ),
        ("bob", vec![("sec-websocket-protocol", &protocol)]),
        // Not used by those before it.
        ("carol", vec![("sec-websocket-protocol", "agentws.v1")]),
        ("dave", vec![]),
    ];
    for (user, headers) in cases {
        let path = if user == "dave" {
            path.replace(&ticket, "")
        } else {
            path.clone()
        };
        let mut client = TestClient::open(&node.base, &path, &headers).await.unwrap();
        assert_eq!(client.welcome().await["user_id"], user);
    }
    let refused = TestClient::open(&node.base, &path, &[]).await.err().unwrap();
    assert_eq!(
        refused.status, 401,
        "a used ticket is a bad credential, whatever comes after it"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_tickets_socket_lives_as_long_as_the_token_that_it_was_made_with() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let short = token_with("alice", Duration::from_secs(3), None);
    let ticket = ticket(&node.base, &short).await;
    let mut client = open(&node.base, &ticket).await.unwrap();
    let welcome = client.welcome().await;
    let warning = client.until(|frame| frame["event"] == "token_expiring").await;
    assert_eq!(warning["expires_at"], welcome["token_expires_at"]);
    assert_eq!(client.closed().await.0, 4401);
    node.shut_down().await;
}

#[tokio::test]
async fn t5_revoking_the_token_revokes_its_ticket_and_the_socket_that_the_ticket_opened() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let id = Uuid::new_v4();
    let token = token_issued("alice", id, 0);
    let (used, kept) = (ticket(&node.base, &token).await, ticket(&node.base, &token).await);
    let mut client = open(&node.base, &used).await.unwrap();
    client.welcome().await;
    sqlx::query("SELECT agent.revoke(token_id => $1)")
        .bind(id.to_string())
        .execute(&node.database.pool)
        .await
        .unwrap();
    assert_eq!(client.closed().await.0, 4503);
    assert_refused(&node, &kept).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_ticket_is_made_with_a_token_only_and_is_no_token_itself() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let ticket = ticket(&node.base, &token("alice")).await;
    for authorization in [
        None,
        Some(format!("Bearer {ticket}")),
        Some("Bearer x.y.z".to_owned()),
    ] {
        let headers: Vec<(&str, &str)> = authorization
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        let path = format!("/v1/tickets?ticket={ticket}");
        let reply = request(&node.base, "POST", &path, &headers, None).await;
        reply.problem(401, "unauthorized");
    }
    let mut client = TestClient::open(&node.base, "/v1/ws", &[]).await.unwrap();
    client
        .send(&json!({ "type": "command", "content": "auth", "args": { "token": ticket } }))
        .await;
    assert_eq!(client.closed().await.0, 4501);
    open(&node.base, &ticket).await.unwrap().welcome().await;
    node.shut_down().await;
}

#[tokio::test]
async fn t4_a_ticket_opens_nothing_for_a_page_of_another_origin_and_is_not_used_up_by_it() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let ticket = ticket(&node.base, &token("alice")).await;
    let path = format!("/v1/ws?ticket={ticket}");
    for headers in [
        vec![("origin", "https://evil.example.com")],
        vec![("origin", "null"), ("sec-websocket-protocol", "agentws.v1")],
    ] {
        let refused = TestClient::open(&node.base, &path, &headers).await.err().unwrap();
        assert_eq!(refused.status, 403, "{headers:?}");
    }
    open(&node.base, &ticket).await.unwrap().welcome().await;
    node.shut_down().await;
}

#[tokio::test]
async fn guessing_tickets_spends_the_addresss_failures_and_uses_up_no_good_one() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("AUTH_FAILURES_PER_MINUTE_PER_ADDRESS", "3")]).await;
    let good = ticket(&node.base, &token("alice")).await;
    for n in 0..3 {
        let guessed = format!("{n:064x}");
        assert_eq!(open(&node.base, &guessed).await.err().unwrap().status, 401);
    }
    assert_eq!(open(&node.base, &good).await.err().unwrap().status, 429);
    assert_eq!(node.database.count("SELECT count(*) FROM agent.tickets").await, 1);
    node.shut_down().await;
}

#[tokio::test]
async fn nobody_hoards_tickets() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    for _ in 0..100 {
        assert_eq!(api.call("POST", "/v1/tickets", None).await.status, 201);
    }
    let refused = api.call("POST", "/v1/tickets", None).await;
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("30"));
    ticket(&node.base, &token("bob")).await;
    node.shut_down().await;
}

#[tokio::test]
async fn no_ticket_reaches_the_log() {
    let provider = ScriptedProvider::start().await;
    let database = crate::support::database::TestDatabase::new().await;
    let settings = values(&provider.base_url(), &database.url, &[("LOG", "debug")]);
    let mut server = ServeProcess::start("a server that logs", settings).await;
    let token = token("alice");
    let used = ticket(&server.base, &token).await;
    let old = ticket(&server.base, &token).await;
    sqlx::query("UPDATE agent.tickets SET expires_at = clock_timestamp() WHERE ticket_hash = $1")
        .bind(Sha256::digest(&old).to_vec())
        .execute(&database.pool)
        .await
        .unwrap();
    let mut client = open(&server.base, &used).await.unwrap();
    client.welcome().await;
    for refused in [&used, &old, &"e".repeat(64)] {
        assert_eq!(open(&server.base, refused).await.err().unwrap().status, 401);
    }
    server.process.terminate();
    server.ended().await;
    let log = server.process.stderr();
    assert!(
        log.contains("a token was refused"),
        "it logs at this level: {log}"
    );
    let hash = sha256_hex(&used);
    for secret in [used.as_str(), &old, &"e".repeat(64), &hash, &token] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// What a reader of the table sees.
#[tokio::test]
async fn a_ticket_keeps_what_its_token_said() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let id = Uuid::new_v4();
    let token = token_issued("alice", id, -60);
    ticket(&node.base, &token).await;
    let row: (Value,) = sqlx::query_as(
        "SELECT jsonb_build_object('user', user_id, 'id', token_id,
                'life', extract(epoch FROM token_expires_at - token_issued_at)::int) FROM agent.tickets",
    )
    .fetch_one(&node.database.pool)
    .await
    .unwrap();
    assert_eq!(
        row.0,
        json!({ "user": "alice", "id": id.to_string(), "life": 600 })
    );
    node.shut_down().await;
}
