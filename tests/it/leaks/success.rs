//! What works: every way in which a token comes, and everything that a person or a service can write.

use serde_json::{Value, json};

use super::{CANARY, FORGER, Scene, service_token};
use crate::support::client::TestClient;
use crate::support::node::token;
use crate::support::provider::Script;

/// Does everything once that succeeds.
pub(super) async fn drive(scene: &mut Scene) {
    show_tokens(scene).await;
    let session = talk(scene).await;
    read_and_change(scene, &session).await;
    notify(scene, &session).await;
    assert!(scene.refused.is_empty(), "{:?}", scene.refused);
    let refused: Vec<_> = scene.replies.iter().filter(|reply| reply.status >= 400).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// The header, the sub-protocol, the URL and the first frame; and a subject that means harm.
async fn show_tokens(scene: &mut Scene) {
    let alice = token("alice");
    let offered = format!("agentws.v1, agentws.bearer.{alice}");
    let bearer = [format!("Bearer {alice}"), format!("Bearer {}", token(FORGER))];
    let in_url = format!("/v1/ws?access_token={alice}");
    let ways: [(&str, Vec<(&str, &str)>); 4] = [
        ("/v1/ws", vec![("authorization", &bearer[0])]),
        ("/v1/ws", vec![("authorization", &bearer[1])]),
        ("/v1/ws", vec![("sec-websocket-protocol", &offered)]),
        (&in_url, Vec::new()),
    ];
    for (path, headers) in ways {
        let mut client = scene.open(path, &headers).await.unwrap();
        client.welcome().await;
        scene.heard(client);
    }
    let mut client = scene.open("/v1/ws", &[]).await.unwrap();
    for _ in ["to open", "to renew"] {
        let answer = client.command("auth", json!({ "token": alice })).await;
        assert_eq!(answer["event"], "auth", "{answer}");
    }
    scene.heard(client);
}

/// A conversation over a socket, with all that may go beside it.
async fn talk(scene: &mut Scene) -> String {
    scene.provider.on(
        "canary-query",
        Script::answer("The canary-answer is long enough."),
    );
    let mut client = scene.connect("alice").await;
    let query = json!({ "type": "query", "id": "canary-id", "content": "canary-query",
        "metadata": { "canary-metadata": ["canary-metadata"] } });
    client.send(&query).await;
    let answer = client.until(|frame| frame["type"] == "response").await;
    assert_eq!(answer["state"], "complete", "{answer}");
    let feedback = json!({ "type": "human_feedback", "id": "f", "message_id": answer["message_id"], "rating": -1,
        "content": "canary-comment", "correction": "canary-correction", "tags": ["canary-tag"] });
    client.send(&feedback).await;
    assert_eq!(
        client.until(|frame| frame["re"] == "f").await["event"],
        "feedback"
    );
    for (name, args) in [
        ("rename", json!({ "title": "canary-title" })),
        ("search", json!({ "q": "canary-search OR canary" })),
        ("history", json!({})),
        ("sessions", json!({})),
        ("regenerate", json!({})),
    ] {
        done(&mut client, name, args).await;
    }
    client.until(|frame| frame["type"] == "response").await;
    let session = client.session.clone();
    scene.heard(client);
    session
}

async fn done(client: &mut TestClient, name: &str, args: Value) {
    let answer = client.command(name, args).await;
    assert_eq!(answer["event"], name, "{answer}");
}

/// The same over HTTP.
async fn read_and_change(scene: &mut Scene, session: &str) {
    let alice = token("alice");
    let title = r#"{"title":"canary-title","metadata":{"canary-metadata":1}}"#;
    let query = r#"{"content":"canary-query","id":"canary-http","metadata":{"a":"canary-metadata"}}"#;
    let messages = format!("/v1/sessions/{session}/messages");
    for (method, path, body) in [
        ("POST", "/v1/sessions", Some(title)),
        ("PATCH", &format!("/v1/sessions/{session}"), Some(title)),
        ("GET", "/v1/sessions", None),
        ("POST", &messages, Some(query)),
        ("GET", &messages, None),
        ("GET", &format!("/v1/sessions/{session}/export"), None),
        ("GET", "/v1/search?q=canary-search", None),
        ("GET", "/v1/usage", None),
    ] {
        scene.call(method, path, &alice, body).await;
    }
    assert!(
        scene.replies.iter().any(|reply| reply.body.contains(CANARY)),
        "what is one's own comes back"
    );
}

/// Services' words, from both ways and into the conversation.
async fn notify(scene: &mut Scene, session: &str) {
    let mut client = scene.connect("alice").await;
    let body = json!({ "user_id": "alice", "content": "canary-notification", "title": "canary-title",
        "data": { "canary": "canary" }, "dedupe_key": "canary-key", "collapse_key": "canary-key",
        "session_id": session, "in_context": true })
    .to_string();
    scene
        .call("POST", "/v1/notifications", &service_token(), Some(&body))
        .await;
    let body = format!(r#"{{"sessionId":"{session}","message":"canary-notification"}}"#);
    let path = "/functions/v1/notify_websocket";
    scene.call("POST", path, &service_token(), Some(&body)).await;
    for _ in ["the one", "and the other"] {
        client.until(|frame| frame["event"] == "message").await;
    }
    done(&mut client, "inbox", json!({})).await;
    done(&mut client, "ack", json!({ "all": true })).await;
    scene.heard(client);
}
