//! Commands that move a connection: `new`, `resume`, `delete`.

use serde_json::{Value, json};

use super::{done, refused};
use crate::support::client::TestClient;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};

/// Sends a moving command, waits for `live`, and gives the frames from the answer on.
async fn moved(client: &mut TestClient, name: &str, args: Value) -> Vec<Value> {
    client
        .send(&json!({ "type": "command", "content": name, "args": args, "id": "move" }))
        .await;
    client.until(|frame| frame["re"] == "move").await;
    let answer = client.frames.len() - 1;
    client.live().await;
    client.frames[answer..].to_vec()
}

/// The frames' kinds.
fn kinds(frames: &[Value]) -> Vec<&str> {
    frames
        .iter()
        .map(|frame| frame.get("event").unwrap_or(&frame["type"]).as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn new_is_answered_then_welcomed_and_the_old_session_falls_silent() {
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Hel")
            .wait_for("go")
            .text("lo")
            .finish("stop")
            .done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let old = client.session.clone();
    let mut device = node.resume("alice", &old, 0).await;
    device.live().await;
    client.query("q1", "Hello?").await;
    client.until(|frame| frame["type"] == "delta").await;

    let frames = moved(&mut client, "new", json!({})).await;
    assert_eq!(kinds(&frames), ["new", "welcome", "live"]);
    let session = frames[0]["data"]["session_id"].clone();
    assert_ne!(session, json!(old));
    assert_eq!(frames[1]["session_id"], session);
    assert_eq!(
        (&frames[1]["resumed"], &frames[1]["head"]),
        (&json!(false), &json!(0))
    );

    provider.open("go");
    device.until(|frame| frame["type"] == "response").await;
    device.ask("q2", "in the old session").await;
    done(&mut device, "rename", json!({ "title": "old" })).await;
    let before = client.frames.len();
    let response = client.ask("q1", "in the new one").await;
    assert_eq!((&response["session_id"], &response["seq"]), (&session, &json!(2)));
    for frame in &client.frames[before..] {
        assert_eq!(
            frame["session_id"], session,
            "a frame of the old session: {frame}"
        );
    }
    node.shut_down().await;
}

#[tokio::test]
async fn resume_brings_the_missed_messages_and_the_text_being_written() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let first = client.session.clone();
    client.ask("q1", "one").await;
    provider.then(
        Script::new()
            .text("Hel")
            .wait_for("go")
            .text("lo")
            .finish("stop")
            .done(),
    );
    let running = client.query("q2", "two").await;
    client.until(|frame| frame["type"] == "delta").await;
    moved(&mut client, "new", json!({})).await;

    let frames = moved(&mut client, "resume", json!({ "session_id": first, "after": 1 })).await;
    assert_eq!(
        kinds(&frames),
        [
            "resume", "welcome", "response", "query", "thinking", "delta", "live"
        ]
    );
    assert_eq!(
        (&frames[1]["resumed"], &frames[1]["head"]),
        (&json!(true), &json!(3))
    );
    for frame in &frames[2..6] {
        assert_eq!(frame["replay"], true, "{frame}");
        assert_eq!(frame["session_id"], first, "{frame}");
    }
    assert_eq!((&frames[2]["seq"], &frames[3]["seq"]), (&json!(2), &json!(3)));
    assert_eq!(frames[4]["run_id"], running["run_id"]);
    assert_eq!(
        (&frames[5]["offset"], &frames[5]["content"]),
        (&json!(0), &json!("Hel"))
    );
    provider.open("go");
    let response = client.until(|frame| frame["type"] == "response").await;
    assert_eq!(
        (&response["content"], &response["seq"]),
        (&json!("Hello"), &json!(4))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn resume_latest_opens_the_most_recently_active_session() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut first = node.connect("alice").await;
    let mut client = node.connect("alice").await;
    first.ask("q1", "Hello?").await;
    // `after` is ignored: the most recent messages come.
    let frames = moved(
        &mut client,
        "resume",
        json!({ "session_id": "latest", "after": 2 }),
    )
    .await;
    assert_eq!(frames[1]["session_id"], first.session);
    assert_eq!(kinds(&frames), ["resume", "welcome", "query", "response", "live"]);
    node.shut_down().await;
}

#[tokio::test]
async fn a_resume_that_fails_leaves_the_connection_where_it_is() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let missing = json!({ "session_id": uuid::Uuid::new_v4() });
    assert_eq!(refused(&mut client, "resume", missing).await, "not_found");
    let response = client.ask("q1", "Hello?").await;
    assert_eq!(response["session_id"], client.session);
    node.shut_down().await;
}

#[tokio::test]
async fn delete_removes_the_session_ends_its_run_and_closes_every_socket_in_it() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("Hel").stall());
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let session = client.session.clone();
    let mut device = node.resume("alice", &session, 0).await;
    let mut elsewhere = node.connect("alice").await;
    device.live().await;
    elsewhere.live().await;
    client.query("q1", "Hello?").await;
    client.until(|frame| frame["type"] == "delta").await;

    let data = done(&mut client, "delete", json!({ "session_id": session })).await;
    assert_eq!(data["session_id"], session);
    assert_eq!(
        client.closed().await.0,
        4509,
        "there is nothing left to talk in: the answer, then the close"
    );
    assert_eq!(device.closed().await.0, 4509);
    provider.wait_for(|tally| tally.aborted == 1).await;
    elsewhere.ask("q1", "another session lives on").await;
    let again = json!({ "session_id": session });
    assert_eq!(refused(&mut elsewhere, "delete", again).await, "not_found");
    let left = "SELECT count(*) FROM agent.messages WHERE content IN ('Hello?', 'Hel')";
    assert_eq!(node.database.count(left).await, 0);
    let path = format!("/v1/ws?session_id={session}");
    let authorization = format!("Bearer {}", token("alice"));
    let refused = TestClient::open(&node.base, &path, &[("authorization", &authorization)])
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 404);
    node.shut_down().await;
}

#[tokio::test]
async fn deleting_another_session_closes_its_sockets_and_not_ones_own() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let mut device = node.connect("alice").await;
    device.live().await;
    let other = json!({ "session_id": device.session });
    done(&mut client, "delete", other).await;
    assert_eq!(device.closed().await.0, 4509);
    client.ask("q1", "Hello?").await;
    node.shut_down().await;
}
