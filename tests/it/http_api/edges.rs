//! What every request meets before and instead of its handler: bodies, tokens, methods, origins, health.

use serde_json::json;

use super::create;
use crate::support::eventually;
use crate::support::http::{Api, request};
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;

/// Sends each body and checks the problem that answers it: method, path, body, status, code.
async fn assert_problems<const N: usize>(node: &TestNode, cases: [(&str, &str, &str, u16, &str); N]) {
    let authorization = format!("Bearer {}", token("alice"));
    for (method, path, body, status, code) in cases {
        let reply = request(
            &node.base,
            method,
            path,
            &[("authorization", &authorization)],
            Some(body),
        )
        .await;
        reply.problem(status, code);
    }
}

#[tokio::test]
async fn problems_say_what_was_wrong_with_a_change() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let path = format!("/v1/sessions/{}", create(&api, json!({ "title": "One" })).await);
    let cases = [
        ("PATCH", path.as_str(), r#"{"title":""}"#, 400, "invalid_message"),
        (
            "PATCH",
            path.as_str(),
            r#"{"title":"a\nb"}"#,
            400,
            "invalid_message",
        ),
        (
            "PATCH",
            path.as_str(),
            r#"{"model":"not/allowed"}"#,
            400,
            "model_unavailable",
        ),
        (
            "PATCH",
            path.as_str(),
            r#"{"metadata":[]}"#,
            400,
            "invalid_message",
        ),
        (
            "PATCH",
            path.as_str(),
            r#"{"session_id":"x"}"#,
            400,
            "invalid_message",
        ),
    ];
    assert_problems(&node, cases).await;
    assert_eq!(api.call("GET", &path, None).await.json()["title"], "One");
    node.shut_down().await;
}

#[tokio::test]
async fn problems_say_what_was_wrong_with_a_query() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let session = create(&api, json!({})).await;
    let messages = format!("/v1/sessions/{session}/messages");
    let cases = [
        ("POST", messages.as_str(), "{", 400, "invalid_json"),
        ("POST", messages.as_str(), "[]", 400, "invalid_json"),
        ("POST", messages.as_str(), r#"["x"]"#, 400, "invalid_json"),
        ("POST", messages.as_str(), "{}", 400, "content_required"),
        (
            "POST",
            messages.as_str(),
            r#"{"content":" "}"#,
            400,
            "content_required",
        ),
        (
            "POST",
            messages.as_str(),
            r#"{"content":"a\u0000"}"#,
            400,
            "invalid_message",
        ),
        (
            "POST",
            messages.as_str(),
            r#"{"content":"x","colour":1}"#,
            400,
            "invalid_message",
        ),
        (
            "POST",
            messages.as_str(),
            r#"{"content":"x","model":"not/allowed"}"#,
            400,
            "model_unavailable",
        ),
    ];
    assert_problems(&node, cases).await;
    let long = json!({ "content": "ä".repeat(16 * 1024) + "x" });
    api.call("POST", &messages, Some(long))
        .await
        .problem(413, "too_large");
    assert_eq!(
        node.database.count("SELECT count(*) FROM agent.messages").await,
        0
    );
    node.shut_down().await;
}

#[tokio::test]
async fn the_longest_content_fits_however_it_is_escaped_and_a_larger_body_is_413() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let session = create(&api, json!({})).await;
    let path = format!("/v1/sessions/{session}/messages");
    let authorization = format!("Bearer {}", token("alice"));
    let escaped = format!(r#"{{"content":"{}"}}"#, "\\u0061".repeat(32 * 1024));
    let headers = [("authorization", authorization.as_str())];
    let reply = request(&node.base, "POST", &path, &headers, Some(&escaped)).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    // The last one is still being sent when the answer comes.
    for size in [300_000, 16 * 1024 * 1024] {
        let body = format!(r#"{{"content":"{}"}}"#, "x".repeat(size));
        for path in [path.as_str(), "/v1/sessions", "/functions/v1/notify_websocket"] {
            let reply = request(&node.base, "POST", path, &headers, Some(&body)).await;
            reply.problem(413, "too_large");
        }
    }
    node.shut_down().await;
}

#[tokio::test]
async fn without_a_good_token_nothing_is_told() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let session = node.connect("alice").await.session;
    let paths = [
        ("GET", "/v1/sessions".to_owned()),
        ("POST", "/v1/sessions".to_owned()),
        ("GET", format!("/v1/sessions/{session}")),
        ("PATCH", format!("/v1/sessions/{session}")),
        ("DELETE", format!("/v1/sessions/{session}")),
        ("GET", format!("/v1/sessions/{session}/messages")),
        ("POST", format!("/v1/sessions/{session}/messages")),
        ("POST", "/functions/v1/notify_websocket".to_owned()),
    ];
    for (method, path) in &paths {
        for authorization in [None, Some("Bearer x.y.z"), Some("Basic YTpi"), Some("Bearer ")] {
            let headers: Vec<(&str, &str)> = authorization
                .iter()
                .map(|value| ("authorization", *value))
                .collect();
            let reply = request(&node.base, method, path, &headers, Some("{")).await;
            reply.problem(401, "unauthorized");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{reply:?}");
        }
    }
    node.resume("alice", &session, 0).await.live().await;
    node.shut_down().await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_cannot_be_done_405() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    for path in ["/", "/v1", "/v1/nothing", "/metrics", "/v1/sessions/x/y"] {
        api.call("GET", path, None).await.problem(404, "not_found");
    }
    let id = uuid::Uuid::new_v4();
    for (method, path) in [
        ("PUT", "/v1/sessions".to_owned()),
        ("DELETE", "/v1/sessions".to_owned()),
        ("PUT", format!("/v1/sessions/{id}")),
        ("DELETE", format!("/v1/sessions/{id}/messages")),
        ("POST", "/healthz".to_owned()),
        ("GET", "/functions/v1/notify_websocket".to_owned()),
    ] {
        let reply = api.call(method, &path, None).await;
        reply.problem(405, "method_not_allowed");
        assert!(reply.header("allow").is_some(), "{reply:?}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn cors_allows_the_named_origins_and_no_other() {
    let provider = ScriptedProvider::start().await;
    let origin = "https://app.example.com";
    let mut node = TestNode::start(&provider, &[("ALLOWED_ORIGINS", origin)]).await;
    let authorization = format!("Bearer {}", token("alice"));
    for (from, allowed) in [(origin, Some(origin)), ("https://evil.example.com", None)] {
        let preflight = request(
            &node.base,
            "OPTIONS",
            "/v1/sessions",
            &[
                ("origin", from),
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "authorization, content-type, idempotency-key",
                ),
            ],
            None,
        )
        .await;
        assert_eq!(
            preflight.header("access-control-allow-origin"),
            allowed,
            "{preflight:?}"
        );
        if allowed.is_some() {
            assert_eq!(preflight.status, 200);
            let methods = preflight.header("access-control-allow-methods").unwrap();
            assert!(methods.contains("PATCH"), "{methods}");
            let headers = preflight
                .header("access-control-allow-headers")
                .unwrap()
                .to_lowercase();
            assert!(headers.contains("idempotency-key"), "{headers}");
        }
        let headers = [("origin", from), ("authorization", authorization.as_str())];
        for path in ["/v1/sessions", "/v1/sessions/not-there"] {
            let reply = request(&node.base, "GET", path, &headers, None).await;
            assert_eq!(
                reply.header("access-control-allow-origin"),
                allowed,
                "{path}: {reply:?}"
            );
            assert_eq!(reply.header("access-control-allow-credentials"), None);
        }
    }
    let unread = request(&node.base, "GET", "/v1/sessions", &[("origin", origin)], None).await;
    assert_eq!(
        (unread.status, unread.header("access-control-allow-origin")),
        (401, Some(origin)),
        "a page must be able to read why it was refused"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn health_needs_no_token_and_readiness_knows_the_database() {
    let provider = ScriptedProvider::start().await;
    let node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let alive = request(&node.base, "GET", "/healthz", &[], None).await;
    assert_eq!((alive.status, &alive.json()["status"]), (200, &json!("ok")));
    let ready = request(&node.base, "GET", "/readyz", &[], None).await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")));

    node.node().service().store.close().await;
    eventually("the node is not ready", || async {
        request(&node.base, "GET", "/readyz", &[], None).await.status == 503
    })
    .await;
    let alive = request(&node.base, "GET", "/healthz", &[], None).await;
    assert_eq!(alive.status, 200, "a restart would not mend the database");
}
