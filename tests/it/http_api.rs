//! The HTTP interface beside the socket: the same sessions and messages, by request.

mod documents;
mod edges;

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::http::Api;
use crate::support::node::{TestNode, token, token_with};
use crate::support::provider::ScriptedProvider;

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

#[tokio::test]
async fn the_original_notify_function_notifies_once_for_each_key() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let client = node.connect("alice").await;
    let service = Api::new(&node.base, &token_with("ci", PATIENCE, Some("agent:notify")));
    for duplicate in [false, true] {
        let body = json!({ "sessionId": client.session, "message": "Build finished" });
        let key = [("idempotency-key", "build-7")];
        let reply = service
            .call_with("POST", "/functions/v1/notify_websocket", &key, Some(body))
            .await;
        assert_eq!(
            (reply.status, &reply.json()["duplicate"]),
            (200, &json!(duplicate))
        );
    }
    node.shut_down().await;
}
