//! Every command of the contract: what answers it, and what it does.

mod context;
mod lists;
mod moves;

use std::collections::BTreeSet;

use agent_websocket::protocol::client::COMMANDS;
use serde_json::{Value, json};

use crate::support::client::TestClient;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};

/// The commands as the contract lists them.
const CONTRACT: [&str; 18] = [
    "auth",
    "ping",
    "help",
    "sessions",
    "new",
    "resume",
    "history",
    "rename",
    "clear",
    "delete",
    "cancel",
    "regenerate",
    "model",
    "queue",
    "unqueue",
    "search",
    "inbox",
    "ack",
];

/// The names of an object's fields.
fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap_or_else(|| panic!("no object: {object}"))
        .keys()
        .map(String::as_str)
        .collect()
}

/// One field of each item.
fn column<'a>(list: &'a Value, field: &str) -> Vec<&'a Value> {
    list.as_array()
        .unwrap_or_else(|| panic!("no list: {list}"))
        .iter()
        .map(|item| &item[field])
        .collect()
}

/// Sends a command and checks its one answer: a status under its name, with the frame's id. Gives its data.
async fn done(client: &mut TestClient, name: &str, args: Value) -> Value {
    let answer = client.command(name, args).await;
    assert_eq!(answer["type"], "status", "{answer}");
    assert_eq!(answer["event"], name, "{answer}");
    answer["data"].clone()
}

/// Sends a command that is expected to be refused; gives the code.
async fn refused(client: &mut TestClient, name: &str, args: Value) -> String {
    let answer = client.command(name, args).await;
    assert_eq!(answer["type"], "error", "{answer}");
    answer["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_command_is_answered_exactly_once_under_its_name_with_its_data() {
    let provider = ScriptedProvider::start().await;
    provider.on(
        "slow",
        Script::new().text("x").wait_for("go").finish("stop").done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    let other = node.connect("alice").await.session;
    let mut client = node.connect("alice").await;
    let session = client.session.clone();
    client.ask("q1", "Hello?").await;
    client.query("q2", "slow").await;
    let waiting = client.query("q3", "waits").await["message_id"].clone();

    let commands: [(&str, Value, &[&str]); 18] = [
        ("auth", json!({ "token": token("alice") }), &[]),
        ("ping", json!({}), &[]),
        ("help", json!({}), &["commands"]),
        ("sessions", json!({}), &["sessions"]),
        ("history", json!({}), &["messages"]),
        ("queue", json!({}), &["queue"]),
        (
            "unqueue",
            json!({ "message_id": waiting }),
            &["message_id", "run_id"],
        ),
        ("cancel", json!({}), &["run_id", "state"]),
        ("search", json!({ "q": "Hello" }), &["matches"]),
        ("inbox", json!({}), &["notifications"]),
        ("ack", json!({ "all": true }), &["notification_ids"]),
        ("rename", json!({ "title": "A title" }), &["session_id", "title"]),
        ("model", json!({ "model": "test/other" }), &["model"]),
        ("clear", json!({}), &[]),
        ("regenerate", json!({}), &["run_id", "message_id", "in_reply_to"]),
        ("new", json!({}), &["session_id"]),
        ("resume", json!({ "session_id": session }), &["session_id"]),
        ("delete", json!({ "session_id": other }), &["session_id"]),
    ];
    let asked: BTreeSet<&str> = commands.iter().map(|(name, ..)| *name).collect();
    assert_eq!(asked, BTreeSet::from(CONTRACT), "each command once");
    for (name, args, fields) in commands {
        let data = done(&mut client, name, args).await;
        for field in fields {
            assert!(data.get(*field).is_some(), "{field} of {name}: {data}");
        }
    }
    done(&mut client, "ping", json!({})).await;
    let mut answered = BTreeSet::new();
    for frame in client.frames.iter().filter(|frame| frame["re"].is_string()) {
        assert!(
            answered.insert(frame["re"].as_str().unwrap().to_owned()),
            "answered twice: {frame}"
        );
    }
    provider.open("go");
    node.shut_down().await;
}

#[tokio::test]
async fn help_lists_every_command() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let data = done(&mut client, "help", json!({})).await;
    let listed: BTreeSet<&str> = column(&data["commands"], "name")
        .into_iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(listed, BTreeSet::from(CONTRACT));
    assert_eq!(listed, COMMANDS.iter().map(|(name, _)| *name).collect());
    node.shut_down().await;
}

#[tokio::test]
async fn a_command_without_an_id_is_answered_without_re() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.live().await;
    client
        .send(&json!({ "type": "command", "content": "sessions" }))
        .await;
    let answer = client.next().await.unwrap();
    assert_eq!(answer["event"], "sessions");
    assert!(answer.get("re").is_none(), "{answer}");
    node.shut_down().await;
}

#[tokio::test]
async fn cancel_with_nothing_running_says_none() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    assert_eq!(done(&mut client, "cancel", json!({})).await["state"], "none");
    let accepted = client.query("q1", "Hello?").await;
    client.until(|frame| frame["type"] == "response").await;
    assert_eq!(done(&mut client, "cancel", json!({})).await["state"], "none");
    let late = done(&mut client, "cancel", json!({ "run_id": accepted["run_id"] })).await;
    assert_eq!(late["state"], "complete", "a late cancel reports the final state");
    node.shut_down().await;
}

#[tokio::test]
async fn feedback_is_stored_and_replaced_and_only_for_answers_of_this_session() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut other = node.connect("alice").await;
    let elsewhere = other.ask("q1", "elsewhere").await["message_id"].clone();
    let mut client = node.connect("alice").await;
    let accepted = client.query("q1", "Hello?").await;
    let answer = client.until(|frame| frame["type"] == "response").await["message_id"].clone();

    let first = json!({ "type": "human_feedback", "id": "f1", "message_id": answer, "rating": -1,
        "content": "wrong", "correction": "right", "tags": ["facts", "tone"] });
    let second = json!({ "type": "human_feedback", "id": "f2", "message_id": answer, "rating": 1 });
    for (frame, id) in [(&first, "f1"), (&second, "f2")] {
        client.send(frame).await;
        let status = client.until(|frame| frame["re"] == id).await;
        assert_eq!(
            (&status["type"], &status["event"], &status["message_id"]),
            (&json!("status"), &json!("feedback"), &answer)
        );
        if id == "f1" {
            let stored: (i16, String, String) =
                sqlx::query_as("SELECT rating, comment, correction FROM agent.feedback")
                    .fetch_one(&node.database.pool)
                    .await
                    .unwrap();
            assert_eq!(stored, (-1, "wrong".to_owned(), "right".to_owned()));
        }
    }
    let stored: Vec<(i16, Option<String>)> = sqlx::query_as("SELECT rating, comment FROM agent.feedback")
        .fetch_all(&node.database.pool)
        .await
        .unwrap();
    assert_eq!(stored, [(1, None)], "sent again it replaces");

    for message in [elsewhere, accepted["message_id"].clone()] {
        client
            .send(&json!({ "type": "human_feedback", "id": "f3", "message_id": message, "rating": 1 }))
            .await;
        let error = client.until(|frame| frame["re"] == "f3").await;
        assert_eq!(error["code"], "not_found", "{error}");
    }
    node.shut_down().await;
}
