//! A turn: a query becomes an answer, as it is written and as it is stored.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use crate::support::client::Transcript;
use crate::support::eventually;
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};

#[tokio::test]
async fn a_turn_is_accepted_thought_about_written_and_stored() {
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Hel")
            .text("lo, ")
            .text("wörld 🌍")
            .finish("stop")
            .usage(7, 3, 0.001)
            .done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.live().await;

    let response = client.ask("q1", "Hello?").await;

    let kinds: Vec<String> = client
        .frames
        .iter()
        .map(|frame| {
            frame
                .get("event")
                .unwrap_or(&frame["type"])
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds[..4], ["welcome", "live", "accepted", "thinking"]);
    assert!(
        kinds[4..kinds.len() - 1].iter().all(|kind| kind == "delta"),
        "{kinds:?}"
    );
    assert_eq!(kinds.last().unwrap(), "response");
    assert_eq!(response["content"], "Hello, wörld 🌍");
    assert_eq!(response["state"], "complete");
    assert_eq!(response["seq"], 2);
    let mut transcript = Transcript::default();
    transcript.apply(
        &client.frames,
        &HashMap::from([("q1".to_owned(), "Hello?".to_owned())]),
    );
    assert_eq!(
        transcript
            .draft(response["message_id"].as_str().unwrap())
            .as_deref(),
        Some("Hello, wörld 🌍")
    );
    assert_eq!(
        node.database.transcript(&client.session).await,
        transcript.messages
    );
    node.shut_down().await;
}

#[tokio::test]
async fn the_model_sees_the_conversation_so_far() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("SYSTEM_PROMPT", "Be brief.")]).await;
    let mut client = node.connect("alice").await;
    client.ask("q1", "one").await;
    client.ask("q2", "two").await;

    let requests = provider.requests();
    let contents: Vec<String> = requests[1].body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            format!(
                "{}: {}",
                message["role"].as_str().unwrap(),
                message["content"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(contents[0], "system: Be brief.");
    assert_eq!(contents[1], "user: one");
    assert!(contents[2].starts_with("assistant: "));
    assert_eq!(contents[3], "user: two");
    let prompts: Vec<Vec<i64>> = sqlx::query_scalar("SELECT prompt_seqs FROM agent.runs ORDER BY query_seq")
        .fetch_all(&node.database.pool)
        .await
        .unwrap();
    assert_eq!(prompts, [vec![1], vec![1, 2, 3]]);
    client
        .send(&json!({ "type": "command", "content": "ping", "id": "p" }))
        .await;
    client.until(|frame| frame["re"] == "p").await;
    node.shut_down().await;
}

#[tokio::test]
async fn answers_being_written_hold_no_connection_to_the_database() {
    const ANSWERS: usize = 12;
    let provider = ScriptedProvider::start().await;
    provider.on(
        "hold",
        Script::new()
            .text("begun ")
            .wait_for("end")
            .text("done")
            .finish("stop")
            .done(),
    );
    let changes = [("DATABASE_MAX_CONNECTIONS", "4"), ("MAX_RUNS_PER_USER", "0")];
    let mut node = TestNode::start(&provider, &changes).await;
    let mut clients = Vec::new();
    for _ in 0..ANSWERS {
        let mut client = node.connect("alice").await;
        client.query("q", "hold").await;
        client.until(|frame| frame["type"] == "delta").await;
        clients.push(client);
    }
    // Three times as many answers are under way as there are connections, and the database is there for others.
    let mut other = node.connect("bob").await;
    assert_eq!(other.ask("q", "And I?").await["state"], "complete");
    provider.open("end");
    for client in &mut clients {
        client.until(|frame| frame["type"] == "response").await;
    }
    node.shut_down().await;
}

#[tokio::test]
async fn text_stored_while_it_was_written_is_removed_once_its_answer_is_whole_and_old() {
    let provider = ScriptedProvider::start().await;
    provider.on(
        "hold",
        Script::new().text("begun ").wait_for("end").finish("stop").done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.query("q", "hold").await;
    let chunks = "SELECT count(*) FROM agent.chunks";
    eventually("the text is stored", || async {
        node.database.count(chunks).await == 1
    })
    .await;
    let sweep = async || {
        node.node()
            .service()
            .store
            .sweep_chunks(Duration::ZERO, 100)
            .await
            .unwrap()
    };
    assert_eq!(sweep().await, 0, "it is all there is, should this node die");
    provider.open("end");
    client.until(|frame| frame["type"] == "response").await;
    assert_eq!(sweep().await, 1);
    assert_eq!(node.database.count(chunks).await, 0);
    node.shut_down().await;
}

#[tokio::test]
async fn text_that_the_database_refuses_holds_up_that_of_others_only_until_its_answer_is_whole() {
    let provider = ScriptedProvider::start().await;
    let script = |text: &str, gate: &str| Script::new().text(text).wait_for(gate).finish("stop").done();
    provider.on("refuse", script("poison ", "refused"));
    provider.on("hold", script("begun ", "end"));
    let mut node = TestNode::start(&provider, &[("CHUNK_FLUSH_MS", "1")]).await;
    node.database
        .execute("ALTER TABLE agent.chunks ADD CHECK (content <> 'poison ')")
        .await;
    let mut refused = node.connect("alice").await;
    refused.query("q", "refuse").await;
    refused.until(|frame| frame["type"] == "delta").await;
    let mut other = node.connect("bob").await;
    other.query("q", "hold").await;
    other.until(|frame| frame["type"] == "delta").await;
    provider.open("refused");
    let whole = refused.until(|frame| frame["type"] == "response").await;
    assert_eq!(whole["content"], "poison ");
    eventually("the other's text is stored", || async {
        node.database.count("SELECT count(*) FROM agent.chunks").await == 1
    })
    .await;
    provider.open("end");
    other.until(|frame| frame["type"] == "response").await;
    node.shut_down().await;
}
