//! Commands that change a session and what the model is asked in it: `clear`, `model`, `rename`.

use serde_json::{Value, json};

use super::{column, done, refused};
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

#[tokio::test]
async fn clear_cuts_the_prompt_and_keeps_the_history() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("SYSTEM_PROMPT", "Be brief.")]).await;
    let mut client = node.connect("alice").await;
    client.ask("q1", "one").await;
    let data = done(&mut client, "clear", json!({})).await;
    assert_eq!(data["context_after_seq"], 2);
    client.ask("q2", "two").await;
    client.ask("q3", "three").await;

    let prompts: Vec<Vec<String>> = provider
        .requests()
        .iter()
        .map(|request| {
            request
                .messages()
                .iter()
                .filter(|message| message["role"] == "user")
                .map(|message| message["content"].as_str().unwrap().to_owned())
                .collect()
        })
        .collect();
    assert_eq!(prompts, [vec!["one"], vec!["two"], vec!["two", "three"]]);
    let history = done(&mut client, "history", json!({})).await;
    assert_eq!(column(&history["messages"], "seq"), [1, 2, 3, 4, 5, 6]);
    node.shut_down().await;
}

#[tokio::test]
async fn the_model_is_the_sessions_or_the_querys_and_only_an_allowed_one() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.ask("q1", "by default").await;
    assert_eq!(
        refused(&mut client, "model", json!({ "model": "not/allowed" })).await,
        "model_unavailable"
    );
    client.ask("q2", "still by default").await;
    let data = done(&mut client, "model", json!({ "model": "test/other" })).await;
    assert_eq!(data["model"], "test/other");
    let response = client.ask("q3", "the session's").await;
    assert_eq!(response["model"], "test/other");
    client
        .send(&json!({ "type": "query", "id": "q4", "content": "the query's", "model": "test/model" }))
        .await;
    client
        .until(|frame| frame["type"] == "response" && frame["seq"] == 8)
        .await;
    let data = done(&mut client, "model", json!({ "model": null })).await;
    assert_eq!(data["model"], Value::Null);
    client.ask("q5", "by default again").await;
    let models: Vec<String> = provider
        .requests()
        .iter()
        .map(|request| request.model().to_owned())
        .collect();
    assert_eq!(
        models,
        [
            "test/model",
            "test/model",
            "test/other",
            "test/model",
            "test/model"
        ]
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_rename_is_seen_on_other_devices_and_in_the_list() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let mut device = node.resume("alice", &client.session, 0).await;
    let mut elsewhere = node.connect("alice").await;
    device.live().await;
    elsewhere.live().await;

    done(&mut client, "rename", json!({ "title": "  Überschrift 🌍 " })).await;
    let seen = device.until(|frame| frame["event"] == "session").await;
    assert_eq!(seen["type"], "status");
    assert_eq!(seen["title"], "Überschrift 🌍");
    assert_eq!(seen["session_id"], client.session);
    assert_ne!(seen["deleted"], true);
    let list = done(&mut elsewhere, "sessions", json!({})).await;
    let titled = list["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["session_id"] == client.session.as_str());
    assert_eq!(titled.unwrap()["title"], "Überschrift 🌍");
    done(&mut elsewhere, "ping", json!({})).await;
    assert!(
        !elsewhere.frames.iter().any(|frame| frame["event"] == "session"),
        "another session's sockets are not told"
    );
    node.shut_down().await;
}
