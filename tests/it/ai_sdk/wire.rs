//! The dialect without its client: who may connect, what bounds hold, and what belongs to somebody else.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::support::PATIENCE;
use crate::support::client::{Refused, TestClient};
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};

const PATH: &str = "/v1/ai-sdk";

async fn open(node: &TestNode, user: &str) -> TestClient {
    let authorization = format!("Bearer {}", token(user));
    TestClient::open(&node.base, PATH, &[("authorization", &authorization)])
        .await
        .unwrap()
}

/// The next frame, or the code of the close.
async fn next(client: &mut TestClient) -> Result<Value, u16> {
    loop {
        let message = timeout(PATIENCE, client.socket.next()).await;
        match message.expect("a frame should come") {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(Some(close)))) => return Err(close.code.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// What a request hears up to its end, without the ids that differ each time.
async fn hears(client: &mut TestClient, request: &str) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let frame = next(client).await.unwrap();
        if frame["requestId"] != request {
            continue;
        }
        let is_last = ["end", "error", "no-active"].contains(&frame["type"].as_str().unwrap());
        heard.push(frame);
        if is_last {
            return heard;
        }
    }
}

fn submit(request: &str, chat: &str, text: &str) -> Value {
    json!({
        "type": "send", "requestId": request, "id": chat, "trigger": "submit-message", "headers": {}, "body": {},
        "messages": [{ "id": request, "role": "user", "parts": [{ "type": "text", "text": text }] }],
    })
}

fn resume(request: &str, chat: &str) -> Value {
    json!({ "type": "resume", "requestId": request, "id": chat, "headers": {}, "body": {} })
}

fn text(heard: &[Value]) -> String {
    heard
        .iter()
        .filter_map(|frame| frame["chunk"]["delta"].as_str())
        .collect()
}

/// The session that an answer has named.
fn session(heard: &[Value]) -> String {
    let named = heard
        .iter()
        .find(|frame| frame["chunk"]["type"] == "data-session");
    named.unwrap()["chunk"]["data"]["session_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn the_handshake_takes_a_token_wherever_the_first_dialect_does_and_its_own_sub_protocol() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("ALLOW_ACCESS_TOKEN_IN_URL", "true")]).await;
    let token = token("alice");
    let bearer = agent_websocket::ws::bearer_protocol(&token);
    let protocols = format!("agentws.aisdk.v1, {bearer}");
    for (path, headers) in [
        (
            PATH.to_owned(),
            vec![("sec-websocket-protocol", protocols.as_str())],
        ),
        (format!("{PATH}?access_token={token}"), vec![]),
    ] {
        let mut client = TestClient::open(&node.base, &path, &headers).await.unwrap();
        client.send(&submit("r1", "c1", "Hello")).await;
        let heard = hears(&mut client, "r1").await;
        assert_ne!(text(&heard), "", "{path}: {heard:#?}");
    }
    let wrong = format!("agentws.v1, {bearer}");
    for (headers, status) in [
        (("sec-websocket-protocol", wrong.as_str()), 400),
        (("authorization", "Bearer x"), 401),
        (("origin", "https://elsewhere.example"), 403),
    ] {
        let refused = TestClient::open(&node.base, PATH, &[headers]).await.err();
        assert!(
            matches!(refused, Some(Refused { status: told, .. }) if told == status),
            "{headers:?}: {refused:?}"
        );
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_request_before_any_token_ends_the_connection() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    for frame in [
        submit("r1", "c1", "Hello"),
        resume("r1", "c1"),
        json!({ "type": "abort", "requestId": "r1" }),
    ] {
        let mut client = TestClient::open(&node.base, PATH, &[]).await.unwrap();
        client.send(&frame).await;
        let code = loop {
            match next(&mut client).await {
                Ok(told) => assert_eq!(told["type"], "error", "{told}"),
                Err(code) => break code,
            }
        };
        assert_eq!(code, 4501, "{frame}");
    }
    assert_eq!(
        node.database.count("SELECT count(*) FROM agent.sessions").await,
        0
    );
    node.shut_down().await;
}

#[tokio::test]
async fn the_limits_are_those_of_the_first_dialect() {
    let provider = ScriptedProvider::start().await;
    let limits = [
        ("RATE_LIMIT_PER_MINUTE", "1"),
        ("RATE_LIMIT_BURST", "1"),
        ("AI_SDK_MAX_MESSAGE_BYTES", "300000"),
        ("MAX_CONNECTIONS_PER_USER", "2"),
    ];
    let mut node = TestNode::start(&provider, &limits).await;
    let mut client = open(&node, "alice").await;
    client.send(&submit("r1", "c1", "Hello")).await;
    hears(&mut client, "r1").await;
    client.send(&submit("r2", "c1", "Hello")).await;
    let heard = hears(&mut client, "r2").await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    let second = TestClient::connect(&node.base, &token("alice"), "").await;
    let authorization = format!("Bearer {}", token("alice"));
    let refused = TestClient::open(&node.base, PATH, &[("authorization", &authorization)])
        .await
        .err();
    assert_eq!(refused.map(|refused| refused.status), Some(429));
    drop(second);
    // More of the conversation than the first dialect would take, and more than is taken here.
    let mut long = submit("r3", "c1", "Hello");
    long["body"] = json!("x".repeat(280_000));
    client.send(&long).await;
    assert_eq!(hears(&mut client, "r3").await.len(), 1);
    long["body"] = json!("x".repeat(300_000));
    client.send(&long).await;
    assert_eq!(next(&mut client).await, Err(1009));
    node.shut_down().await;
}

#[tokio::test]
async fn a_chat_of_somebody_elses_looks_like_one_that_is_not_there() {
    let provider = ScriptedProvider::start().await;
    provider.on("hers", Script::answer("marigold"));
    let mut node = TestNode::start(&provider, &[]).await;
    let mut alice = open(&node, "alice").await;
    alice.send(&submit("r1", "tea", "hers")).await;
    let hers = session(&hears(&mut alice, "r1").await);

    let mut bob = open(&node, "bob").await;
    for (n, chat) in ["tea", hers.as_str(), "00000000-0000-4000-8000-000000000000"]
        .iter()
        .enumerate()
    {
        let request = format!("look{n}");
        bob.send(&resume(&request, chat)).await;
        let heard = hears(&mut bob, &request).await;
        assert_eq!(
            heard,
            [json!({ "type": "no-active", "requestId": request })],
            "{chat}"
        );
    }
    for (n, chat) in ["tea", hers.as_str()].iter().enumerate() {
        let request = format!("ask{n}");
        bob.send(&submit(&request, chat, "his")).await;
        let heard = hears(&mut bob, &request).await;
        assert_ne!(session(&heard), hers, "{chat}");
        assert!(!text(&heard).contains("marigold"));
    }
    assert_eq!(node.database.transcript(&hers).await.len(), 2);
    alice.send(&resume("r2", &hers)).await;
    assert_eq!(
        text(&hears(&mut alice, "r2").await),
        "marigold",
        "her own id leads to it too"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn the_clients_of_both_dialects_see_one_session() {
    let provider = ScriptedProvider::start().await;
    provider.on("from there", Script::answer("to there"));
    let mut node = TestNode::start(&provider, &[]).await;
    let mut first = node.connect("alice").await;
    first.live().await;
    let mut second = open(&node, "alice").await;
    second.send(&submit("r1", &first.session, "from there")).await;
    let heard = hears(&mut second, "r1").await;
    assert_eq!(text(&heard), "to there");
    let query = first.until(|frame| frame["type"] == "query").await;
    assert_eq!(
        (&query["content"], &query["id"]),
        (&json!("from there"), &json!("r1"))
    );
    let response = first.until(|frame| frame["type"] == "response").await;
    assert_eq!(response["message_id"], heard[0]["chunk"]["messageId"]);
    node.shut_down().await;
}
