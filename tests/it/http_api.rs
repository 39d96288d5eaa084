//! The HTTP interface beside the socket: the same sessions and messages, by request.

use serde_json::{Value, json};

use crate::support::http::{Api, request};
use crate::support::node::{TestNode, token, token_with};
use crate::support::provider::ScriptedProvider;
use crate::support::{PATIENCE, eventually};

/// A session made over HTTP; its id.
async fn create(api: &Api, body: Value) -> String {
    let reply = api.call("POST", "/v1/sessions", Some(body)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["session_id"].as_str().unwrap().to_owned()
}

fn seqs(page: &Value) -> Vec<i64> {
    page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["seq"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_session_is_created_read_changed_and_deleted() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let first = create(
        &api,
        json!({ "title": " One ", "model": "test/other", "metadata": { "a": 1 } }),
    )
    .await;
    let path = format!("/v1/sessions/{first}");
    let session = api.call("GET", &path, None).await.json();
    assert_eq!(
        (
            &session["session_id"],
            &session["title"],
            &session["model"],
            &session["metadata"],
            &session["last_seq"]
        ),
        (
            &json!(first),
            &json!("One"),
            &json!("test/other"),
            &json!({ "a": 1 }),
            &json!(0)
        )
    );
    let reply = api
        .call("PATCH", &path, Some(json!({ "title": "Two", "model": null })))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let changed = reply.json();
    assert_eq!(
        (&changed["title"], &changed["model"], &changed["metadata"]),
        (&json!("Two"), &Value::Null, &json!({ "a": 1 })),
        "what is not named stays"
    );
    assert_eq!(changed, api.call("GET", &path, None).await.json());

    let mut socket = node.resume("alice", &first, 0).await;
    let reply = api.call("DELETE", &path, None).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert_eq!(socket.closed().await.0, 4509);
    for method in ["GET", "DELETE"] {
        api.call(method, &path, None).await.problem(404, "not_found");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn sessions_are_listed_and_paged() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let first = create(&api, json!({})).await;
    let reply = api.call("POST", "/v1/sessions", None).await;
    assert_eq!(reply.status, 201, "an empty body will do: {reply:?}");
    let second = reply.json()["session_id"].clone();
    let list = api.call("GET", "/v1/sessions", None).await.json();
    let ids: Vec<&Value> = list["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["session_id"])
        .collect();
    assert_eq!(ids, [&second, &json!(first)]);
    let page = api.call("GET", "/v1/sessions?limit=1", None).await.json();
    assert_eq!(page["sessions"][0]["session_id"], second);
    let query = format!("/v1/sessions?limit=1&before={}", second.as_str().unwrap());
    let page = api.call("GET", &query, None).await.json();
    assert_eq!(page["sessions"][0]["session_id"], first);

    node.shut_down().await;
}

#[tokio::test]
async fn a_patch_is_seen_on_the_sessions_sockets() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let mut client = node.connect("alice").await;
    client.live().await;
    let path = format!("/v1/sessions/{}", client.session);
    api.call("PATCH", &path, Some(json!({ "title": "Named" }))).await;
    let frame = client.until(|frame| frame["event"] == "session").await;
    assert_eq!(frame["title"], "Named");
    node.shut_down().await;
}

#[tokio::test]
async fn messages_are_paged_both_ways() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    for n in 1..=3 {
        client.ask(&format!("q{n}"), "Hello?").await;
    }
    let api = Api::new(&node.base, &token("alice"));
    let path = format!("/v1/sessions/{}/messages", client.session);
    let pages: [(&str, &[i64]); 7] = [
        ("", &[1, 2, 3, 4, 5, 6]),
        ("?limit=2", &[5, 6]),
        ("?before=5&limit=2", &[3, 4]),
        ("?after=0&limit=2", &[1, 2]),
        ("?after=2&limit=3", &[3, 4, 5]),
        ("?after=6", &[]),
        ("?before=1", &[]),
    ];
    for (query, expected) in pages {
        let reply = api.call("GET", &format!("{path}{query}"), None).await;
        assert_eq!(reply.status, 200, "{query}: {reply:?}");
        assert_eq!(seqs(&reply.json()), expected, "{query}");
        assert_eq!(reply.json()["head"], 6);
    }
    for query in [
        "?limit=0",
        "?limit=201",
        "?limit=x",
        "?before=x",
        "?after=1&before=3",
        "?colour=red",
    ] {
        let reply = api.call("GET", &format!("{path}{query}"), None).await;
        reply.problem(400, "invalid_message");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_posted_query_appears_live_on_the_sessions_sockets_with_its_answer() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let mut client = node.connect("alice").await;
    client.live().await;
    let path = format!("/v1/sessions/{}/messages", client.session);
    let reply = api
        .call_with(
            "POST",
            &path,
            &[("idempotency-key", "key-1")],
            Some(json!({ "content": "Posted?" })),
        )
        .await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let accepted = reply.json();
    assert_eq!(
        (
            &accepted["seq"],
            &accepted["queue_position"],
            &accepted["duplicate"]
        ),
        (&json!(1), &json!(0), &json!(false))
    );
    let query = client.next().await.unwrap();
    assert_eq!(
        (
            &query["type"],
            &query["content"],
            &query["id"],
            &query["seq"],
            &query["message_id"]
        ),
        (
            &json!("query"),
            &json!("Posted?"),
            &json!("key-1"),
            &json!(1),
            &accepted["message_id"]
        )
    );
    let response = client.until(|frame| frame["type"] == "response").await;
    assert_eq!(response["run_id"], accepted["run_id"]);
    assert_eq!(response["in_reply_to"], accepted["message_id"]);
    let page = api.call("GET", &path, None).await.json();
    assert_eq!(page["messages"][1]["content"], response["content"]);
    node.shut_down().await;
}

#[tokio::test]
async fn an_idempotency_key_stores_a_query_once_and_is_the_id_of_the_socket() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let mut client = node.connect("alice").await;
    let path = format!("/v1/sessions/{}/messages", client.session);
    let post = async |key: &str, body: Value| {
        api.call_with("POST", &path, &[("idempotency-key", key)], Some(body))
            .await
    };
    let first = post("key-1", json!({ "content": "Once" })).await;
    assert_eq!(first.status, 202);
    let again = post("key-1", json!({ "content": "Once", "priority": "low" })).await;
    assert_eq!(again.status, 202, "only the content is compared: {again:?}");
    assert_eq!(again.json()["duplicate"], true);
    for field in ["seq", "message_id", "run_id"] {
        assert_eq!(again.json()[field], first.json()[field], "{field}");
    }
    post("key-1", json!({ "content": "Other words" }))
        .await
        .problem(409, "id_conflict");
    let accepted = client.query("key-1", "Once").await;
    assert_eq!(
        (&accepted["duplicate"], &accepted["message_id"]),
        (&json!(true), &first.json()["message_id"])
    );
    let in_body = api
        .call("POST", &path, Some(json!({ "content": "Once", "id": "key-1" })))
        .await;
    assert_eq!(in_body.json()["duplicate"], true);
    post("key-1", json!({ "content": "Once", "id": "key-2" }))
        .await
        .problem(400, "invalid_message");
    post("not a name", json!({ "content": "Once" }))
        .await
        .problem(400, "invalid_message");
    let stored = "SELECT count(*) FROM agent.messages WHERE role = 'user'";
    assert_eq!(node.database.count(stored).await, 1);
    node.shut_down().await;
}

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
        let unread = request(&node.base, "GET", "/v1/sessions", &[("origin", from)], None).await;
        assert_eq!(
            (unread.status, unread.header("access-control-allow-origin")),
            (401, allowed),
            "a page must be able to read why it was refused"
        );
    }
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

#[tokio::test]
async fn the_original_notify_function_needs_its_scope_whatever_the_target() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let mut elsewhere = node.connect("alice").await;
    let mut bob = node.connect("bob").await;
    client.live().await;
    elsewhere.live().await;
    let path = "/functions/v1/notify_websocket";
    let body = |session: &str| Some(json!({ "sessionId": session, "message": "Build finished" }));
    let missing = uuid::Uuid::new_v4().to_string();
    let mut bodies = Vec::new();
    for scope in [None, Some("agent:read"), Some("agent:notify-all")] {
        let without = Api::new(&node.base, &token_with("alice", PATIENCE, scope));
        for session in [client.session.as_str(), &missing] {
            let reply = without.call("POST", path, body(session)).await;
            reply.problem(403, "forbidden");
            bodies.push(reply.body);
        }
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");

    let scope = Some("openid agent:notify");
    let service = Api::new(&node.base, &token_with("ci", PATIENCE, scope));
    let reply = service.call("POST", path, body(&client.session)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["success"], true);
    let id = reply.json()["notification_id"].clone();
    for socket in [&mut client, &mut elsewhere] {
        let frame = socket
            .until(|frame| frame["type"] == "notification" && frame["event"] == "message")
            .await;
        assert_eq!(
            (&frame["content"], &frame["notification_id"]),
            (&json!("Build finished"), &id)
        );
    }
    bob.command("ping", json!({})).await;
    assert!(!bob.frames.iter().any(|frame| frame["event"] == "message"));
    service
        .call("POST", path, body(&missing))
        .await
        .problem(404, "not_found");
    service
        .call(
            "POST",
            path,
            Some(json!({ "sessionId": client.session, "message": " " })),
        )
        .await
        .problem(400, "content_required");
    service
        .call("POST", path, Some(json!({ "message": "x" })))
        .await
        .problem(400, "invalid_message");
    node.shut_down().await;
}
