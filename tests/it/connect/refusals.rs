//! What is refused before or at the upgrade: by status for programs, by frame and close code for browsers.

use std::time::Duration;

use agent_websocket::auth::{MintRequest, mint};
use agent_websocket::clock::Clock;
use agent_websocket::ids::UserId;
use agent_websocket::secret::Secret;
use serde_json::json;

use super::{
    assert_told_off, bearer, browser, open_as_browser, open_as_program, open_without_token, protocols,
};
use crate::support::client::{Refused, TestClient};
use crate::support::http::{Reply, UPGRADE, request};
use crate::support::node::{SECRET, TestNode, token};
use crate::support::provider::ScriptedProvider;

/// A token that was made at some time before now, with some secret.
fn odd_token(secret: &str, age: Duration, ttl: Duration) -> String {
    let request = MintRequest {
        user_id: &UserId::new("alice").unwrap(),
        ttl,
        issuer: None,
        audience: None,
        authorized_party: None,
        scope: None,
        token_id: uuid::Uuid::new_v4(),
    };
    mint(&Secret::new(secret), &request, Clock::system().now() - age).unwrap()
}

/// A handshake whose refusal is read with all its headers.
async fn handshake(node: &TestNode, path: &str, headers: &[(&str, &str)]) -> Reply {
    let all: Vec<(&str, &str)> = UPGRADE.iter().chain(headers).copied().collect();
    request(&node.base, "GET", path, &all, None).await
}

#[tokio::test]
async fn a_bad_token_is_401_to_programs_and_4501_to_browsers() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let hour = Duration::from_hours(1);
    let bad = [
        "not-a-token".to_owned(),
        odd_token(SECRET, 2 * hour, hour),
        odd_token("another secret, also long enough to be one", Duration::ZERO, hour),
    ];
    let mut bodies = Vec::new();
    for token in bad {
        let reply = handshake(&node, "/v1/ws", &[("authorization", &bearer(&token))]).await;
        reply.problem(401, "unauthorized");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        bodies.push(reply.body);
        let mut client = open_as_browser(&node, "", &token).await.unwrap();
        assert_told_off(&mut client, "unauthorized", 4501).await;
    }
    assert!(
        bodies.iter().all(|body| *body == bodies[0]),
        "what is wrong with a token is not told: {bodies:?}"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_now_is_503_to_programs_and_1013_to_browsers() {
    let provider = ScriptedProvider::start().await;
    // Nobody publishes keys on the discard port.
    let published = [
        ("JWT_SECRET", ""),
        ("JWT_JWKS_URL", "http://127.0.0.1:9/keys.json"),
        ("JWT_ISSUER", "https://issuer.example.com"),
        ("JWT_AUDIENCE", "agent"),
        ("AUTH_FAILURES_PER_MINUTE_PER_ADDRESS", "1"),
    ];
    let mut node = TestNode::start(&provider, &published).await;
    // Its signature may be good: the key that would tell is what is missing.
    let unknown = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.e30.c2lnbmF0dXJl";
    let reply = handshake(&node, "/v1/ws", &[("authorization", &bearer(unknown))]).await;
    reply.problem(503, "internal");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    let mut client = open_as_browser(&node, "", unknown).await.unwrap();
    assert_told_off(&mut client, "internal", 1013).await;
    let mut late = open_without_token(&node, "").await;
    late.send(&json!({ "type": "command", "content": "auth", "args": { "token": unknown } }))
        .await;
    assert_told_off(&mut late, "internal", 1013).await;
    let headers = [("authorization", bearer(unknown))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let reply = request(&node.base, "GET", "/v1/sessions", &headers, None).await;
    reply.problem(503, "internal");
    node.shut_down().await;
}

#[tokio::test]
async fn what_is_no_upgrade_is_told_that_one_was_expected() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    for path in ["/v1/ws", "/functions/v1/agent_websocket"] {
        for method in ["GET", "POST"] {
            let reply = request(
                &node.base,
                method,
                path,
                &[("authorization", &bearer(&token("alice")))],
                None,
            )
            .await;
            let document = reply.problem(400, "invalid_message");
            assert_eq!(document["detail"], "Expected WebSocket request");
        }
    }
    let half = request(&node.base, "GET", "/v1/ws", &UPGRADE[..2], None).await;
    half.problem(400, "invalid_message");
    node.shut_down().await;
}

#[tokio::test]
async fn a_token_sub_protocol_without_ours_is_refused_since_neither_could_be_selected() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let only = format!("agentws.bearer.{}", token("alice"));
    let reply = handshake(&node, "/v1/ws", &[("sec-websocket-protocol", &only)]).await;
    reply.problem(400, "invalid_message");
    node.shut_down().await;
}

#[tokio::test]
async fn parameters_that_cannot_be_read_are_refused() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let long = "x".repeat(65);
    for query in [
        "after=soon".to_owned(),
        "device_id=a%20b".to_owned(),
        format!("device_id={long}"),
    ] {
        let reply = handshake(
            &node,
            &format!("/v1/ws?{query}"),
            &[("authorization", &bearer(&token("alice")))],
        )
        .await;
        reply.problem(400, "invalid_message");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn only_our_own_and_allowed_origins_may_connect() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("ALLOWED_ORIGINS", "https://app.example.com")]).await;
    let authorization = bearer(&token("alice"));
    let own = format!("http://{}", node.base);
    for origin in ["https://app.example.com", own.as_str()] {
        let headers = [("authorization", authorization.as_str()), ("origin", origin)];
        let mut client = TestClient::open(&node.base, "/v1/ws", &headers).await.unwrap();
        client.welcome().await;
    }
    for origin in [
        "https://evil.example.com",
        "https://app.example.com.evil.com",
        "http://app.example.com",
        "null",
        "http://127.0.0.1",
    ] {
        let headers = [("authorization", authorization.as_str()), ("origin", origin)];
        let reply = handshake(&node, "/v1/ws", &headers).await;
        reply.problem(403, "forbidden");
        let offered = protocols(&token("alice"));
        let headers = [("sec-websocket-protocol", offered.as_str()), ("origin", origin)];
        let reply = handshake(&node, "/v1/ws", &headers).await;
        reply.problem(403, "forbidden");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_foreign_session_cannot_be_told_from_one_that_is_not_there() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let bobs = node.connect("bob").await.session;
    let missing = uuid::Uuid::new_v4().to_string();
    let mut bodies = Vec::new();
    let mut frames = Vec::new();
    for id in [bobs.as_str(), missing.as_str(), "not-an-id"] {
        let path = format!("/v1/ws?session_id={id}");
        let reply = handshake(&node, &path, &[("authorization", &bearer(&token("alice")))]).await;
        reply.problem(404, "not_found");
        bodies.push(reply.body);

        let mut client = open_as_browser(&node, &format!("?session_id={id}"), &token("alice"))
            .await
            .unwrap();
        let mut frame = assert_told_off(&mut client, "not_found", 4504).await;
        frame.as_object_mut().unwrap().remove("timestamp");
        frames.push(frame);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert!(frames.iter().all(|frame| *frame == frames[0]), "{frames:?}");
    node.shut_down().await;
}

#[tokio::test]
async fn too_many_attempts_from_one_address_are_429_to_programs_and_4429_to_browsers() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("CONNECTIONS_PER_MINUTE_PER_ADDRESS", "2")]).await;
    for _ in 0..2 {
        let mut client = open_as_program(&node, "", &token("alice")).await.unwrap();
        client.welcome().await;
    }
    let reply = handshake(&node, "/v1/ws", &[("authorization", &bearer(&token("alice")))]).await;
    let document = reply.problem(429, "rate_limited");
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "one slot opens in 30 s: {seconds}");
    assert!(document["retry_after_ms"].as_u64().unwrap() <= seconds * 1000);

    let mut client = open_as_browser(&node, "", &token("bob")).await.unwrap();
    let told = assert_told_off(&mut client, "rate_limited", 4429).await;
    assert!(
        told["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0),
        "{told}"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn an_address_that_shows_too_many_bad_tokens_is_not_looked_at_for_a_while() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("AUTH_FAILURES_PER_MINUTE_PER_ADDRESS", "3")]).await;
    let attempt = || open_as_program(&node, "", "x.y.z");
    assert_eq!(attempt().await.err().unwrap().status, 401);
    let mut browser = open_as_browser(&node, "", "x.y.z").await.unwrap();
    assert_told_off(&mut browser, "unauthorized", 4501).await;
    // The first frame is as good a place to guess as the header.
    let mut late = open_without_token(&node, "").await;
    late.send(&json!({ "type": "command", "content": "auth", "args": { "token": "x.y.z" } }))
        .await;
    assert_told_off(&mut late, "unauthorized", 4501).await;

    let Refused {
        status, retry_after, ..
    } = open_as_program(&node, "", &token("alice")).await.err().unwrap();
    assert_eq!(status, 429, "also a good token is not looked at now");
    assert!(retry_after.is_some());
    let api = request(
        &node.base,
        "GET",
        "/v1/sessions",
        &[("authorization", &bearer(&token("alice")))],
        None,
    )
    .await;
    api.problem(429, "rate_limited");
    node.shut_down().await;
}

#[tokio::test]
async fn too_many_connections_of_a_user_are_429_to_programs_and_4505_to_browsers() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("MAX_CONNECTIONS_PER_USER", "1")]).await;
    let first = browser(&node, "alice").await;

    let reply = handshake(&node, "/v1/ws", &[("authorization", &bearer(&token("alice")))]).await;
    reply.problem(429, "quota_exceeded");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    let mut second = open_as_browser(&node, "", &token("alice")).await.unwrap();
    assert_told_off(&mut second, "quota_exceeded", 4505).await;
    let mut third = open_without_token(&node, "").await;
    third
        .send(
            &json!({ "type": "command", "content": "auth", "id": "a", "args": { "token": token("alice") } }),
        )
        .await;
    let told = assert_told_off(&mut third, "quota_exceeded", 4505).await;
    assert_eq!(told["re"], "a", "a command is answered: {told}");
    let mut other = open_as_program(&node, "", &token("bob")).await.unwrap();
    other.welcome().await;

    drop(first);
    crate::support::eventually("the place is free again", || async {
        match open_as_program(&node, "", &token("alice")).await {
            Ok(mut client) => {
                client.welcome().await;
                true
            }
            Err(refused) => {
                assert_eq!(refused.status, 429);
                false
            }
        }
    })
    .await;
    node.shut_down().await;
}
