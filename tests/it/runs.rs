//! Runs: their queue, their end, and how they fail.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::client::{TestClient, Transcript};
use crate::support::database::{TestDatabase, environment};
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};

async fn two_nodes(provider: &ScriptedProvider, changes: &[(&str, &str)]) -> (TestNode, TestNode) {
    let first = TestNode::start(provider, changes).await;
    let second = TestNode::start_on(first.database.clone(), provider, changes).await;
    first.listening().await;
    second.listening().await;
    (first, second)
}

/// A script that shows `Half ` and waits for a gate before it goes on.
fn half_then(gate: &str) -> Script {
    Script::new()
        .text("Half ")
        .wait_for(gate)
        .text("whole")
        .finish("stop")
        .usage(1, 2, 0.25)
        .done()
}

/// Sends a query with further fields and waits for the status or the error that answers it.
async fn send_query(client: &mut TestClient, id: &str, content: &str, fields: Value) -> Value {
    let mut query = json!({ "type": "query", "id": id, "content": content });
    for (name, value) in fields.as_object().unwrap() {
        query[name] = value.clone();
    }
    client.send(&query).await;
    client.until(|frame| frame["re"] == id).await
}

/// The response to a message, which may have come already.
async fn response_to(client: &mut TestClient, message: &Value) -> Value {
    let is_it = |frame: &Value| frame["type"] == "response" && frame["in_reply_to"] == *message;
    match client.frames.iter().find(|frame| is_it(frame)) {
        Some(response) => response.clone(),
        None => client.until(is_it).await,
    }
}

/// What the model was asked, in the order of the calls.
fn asked(provider: &ScriptedProvider) -> Vec<String> {
    let requests = provider.requests();
    requests
        .iter()
        .map(|request| request.last_question().to_owned())
        .collect()
}

/// Every run has ended in one answer that agrees with it; returns the states.
async fn settled(database: &TestDatabase) -> Vec<String> {
    let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(
        "SELECT r.state, count(m.seq), max(m.state)
         FROM agent.runs AS r
         LEFT JOIN agent.messages AS m ON m.session_id = r.session_id AND m.run_id = r.run_id AND m.role = 'assistant'
         GROUP BY r.run_id, r.state, r.query_seq
         ORDER BY r.query_seq",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    let active = database
        .count("SELECT count(*) FROM agent.sessions WHERE active_run_id IS NOT NULL")
        .await;
    assert_eq!(active, 0, "no session believes that something runs");
    rows.into_iter()
        .map(|(run, answers, message)| {
            assert_eq!(
                (answers, message.as_deref()),
                (1, Some(run.as_str())),
                "one answer a run"
            );
            run
        })
        .collect()
}

#[tokio::test]
async fn waiting_queries_run_by_priority_and_then_in_their_order() {
    let provider = ScriptedProvider::start().await;
    provider.on("first", half_then("go"));
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let first = client.query("first", "first").await;
    assert_eq!(first["queue_position"], 0);
    let sent = [
        ("low 1", "low", 1),
        ("normal 1", "normal", 1),
        ("high 1", "high", 1),
        ("normal 2", "normal", 3),
        ("high 2", "high", 2),
        ("low 2", "low", 6),
    ];
    for (index, (content, priority, position)) in sent.into_iter().enumerate() {
        let id = format!("q{index}");
        let accepted = send_query(&mut client, &id, content, json!({ "priority": priority })).await;
        assert_eq!(accepted["queue_position"], position, "{content}");
        assert_eq!(accepted["seq"], index + 2);
    }
    let order = ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"];
    let queue = client.command("queue", json!({})).await;
    let waiting: Vec<&str> = queue["data"]["queue"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["content"].as_str().unwrap())
        .collect();
    assert_eq!(waiting, order);
    provider.open("go");
    client
        .until(|frame| frame["type"] == "response" && frame["seq"] == 14)
        .await;
    assert_eq!(asked(&provider)[1..], order);
    assert_eq!(settled(&node.database).await, ["complete"; 7]);
    node.shut_down().await;
}

#[tokio::test]
async fn a_query_that_would_not_wait_is_refused_while_an_answer_is_written() {
    let provider = ScriptedProvider::start().await;
    provider.on("first", half_then("go"));
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let first = client.query("first", "first").await;
    let error = send_query(&mut client, "q", "now", json!({ "on_busy": "reject" })).await;
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("error"), &json!("busy"))
    );
    provider.open("go");
    response_to(&mut client, &first["message_id"]).await;
    let accepted = send_query(&mut client, "q", "something else", json!({ "on_busy": "reject" })).await;
    assert_eq!(
        (&accepted["seq"], &accepted["queue_position"]),
        (&json!(3), &json!(0)),
        "its id stayed free"
    );
    response_to(&mut client, &accepted["message_id"]).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_forgets_the_query() {
    let provider = ScriptedProvider::start().await;
    provider.on("first", half_then("go"));
    let mut node = TestNode::start(&provider, &[("MAX_QUEUE_DEPTH", "2")]).await;
    let mut client = node.connect("alice").await;
    client.query("first", "first").await;
    for id in ["a", "b"] {
        client.query(id, id).await;
    }
    let error = send_query(&mut client, "c", "c", json!({})).await;
    assert_eq!(error["code"], "queue_full");
    provider.open("go");
    client
        .until(|frame| frame["type"] == "response" && frame["seq"] == 6)
        .await;
    let accepted = send_query(&mut client, "c", "c", json!({})).await;
    assert_eq!(
        (&accepted["seq"], &accepted["duplicate"]),
        (&json!(7), &json!(false))
    );
    response_to(&mut client, &accepted["message_id"]).await;
    node.shut_down().await;
}

/// An interrupt over `other`, while an answer of `node` is half written and one query waits.
async fn interrupts(node: &TestNode, other: &TestNode, provider: &ScriptedProvider) {
    provider.on("first", Script::new().text("Half ").stall());
    let mut client = node.connect("alice").await;
    let first = client.query("first", "first").await;
    client.until(|frame| frame["type"] == "delta").await;
    let waiting = client.query("waiting", "waiting").await;
    assert_eq!(waiting["queue_position"], 1);
    let mut laptop = other.resume("alice", &client.session, 0).await;
    laptop.live().await;

    let urgent = send_query(&mut laptop, "urgent", "urgent", json!({ "on_busy": "interrupt" })).await;

    assert_eq!(urgent["queue_position"], 1, "it runs next");
    for device in [&mut client, &mut laptop] {
        let cut = response_to(device, &first["message_id"]).await;
        assert_eq!(
            (&cut["state"], &cut["content"]),
            (&json!("cancelled"), &json!("Half "))
        );
        let answers = [&urgent, &waiting].map(|query| query["message_id"].clone());
        let seqs = [
            response_to(device, &answers[0]).await["seq"].clone(),
            response_to(device, &answers[1]).await["seq"].clone(),
        ];
        assert_eq!(seqs, [5, 6]);
    }
    assert_eq!(asked(provider), ["first", "urgent", "waiting"]);
    provider.wait_for(|tally| tally.aborted == 1).await;
    assert_eq!(
        settled(&node.database).await,
        ["cancelled", "complete", "complete"]
    );
}

#[tokio::test]
async fn an_interrupt_ends_the_answer_with_its_text_and_runs_before_those_that_wait() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    interrupts(&node, &node, &provider).await;
    node.shut_down().await;
}

#[tokio::test]
async fn an_interrupt_reaches_a_run_of_another_node() {
    let provider = ScriptedProvider::start().await;
    let (mut first, mut second) = two_nodes(&provider, &[]).await;
    interrupts(&first, &second, &provider).await;
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_waiting_query_is_taken_out_of_the_queue_from_another_node() {
    let provider = ScriptedProvider::start().await;
    provider.on("first", half_then("go"));
    let (mut first, mut second) = two_nodes(&provider, &[]).await;
    let mut client = first.connect("alice").await;
    client.query("first", "first").await;
    let unwanted = client.query("unwanted", "unwanted").await;
    let wanted = client.query("wanted", "wanted").await;
    let mut laptop = second.resume("alice", &client.session, 0).await;
    let queue = laptop.command("queue", json!({})).await;
    let item = &queue["data"]["queue"][0];
    assert_eq!(
        (&item["message_id"], &item["seq"]),
        (&unwanted["message_id"], &json!(2))
    );

    let args = json!({ "message_id": unwanted["message_id"] });
    let done = laptop.command("unqueue", args.clone()).await;

    assert_eq!(done["data"]["run_id"], unwanted["run_id"]);
    for device in [&mut client, &mut laptop] {
        let response = response_to(device, &unwanted["message_id"]).await;
        assert_eq!(
            (&response["state"], &response["content"]),
            (&json!("cancelled"), &json!(""))
        );
        assert_eq!(response["seq"], 4);
    }
    let again = laptop.command("unqueue", args).await;
    assert_eq!(again["code"], "not_found");
    provider.open("go");
    assert_eq!(response_to(&mut client, &wanted["message_id"]).await["seq"], 6);
    let announced: Vec<&Value> = client
        .frames
        .iter()
        .filter(|frame| frame["event"] == "thinking")
        .map(|frame| &frame["in_reply_to"])
        .collect();
    assert!(
        !announced.contains(&&unwanted["message_id"]),
        "what never ran is not announced"
    );
    assert_eq!(asked(&provider), ["first", "wanted"]);
    assert_eq!(
        settled(&first.database).await,
        ["complete", "cancelled", "complete"]
    );
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_cancel_from_another_node_ends_the_call_to_the_provider() {
    let provider = ScriptedProvider::start().await;
    provider.on("Endless", Script::new().text("Half 🌍 ").stall());
    let (mut first, mut second) = two_nodes(&provider, &[]).await;
    let mut client = first.connect("alice").await;
    let accepted = client.query("q", "Endless").await;
    let mut laptop = second.resume("alice", &client.session, 0).await;
    laptop.until(|frame| frame["type"] == "delta").await;

    let began = Instant::now();
    let done = laptop.command("cancel", json!({})).await;
    provider.wait_for(|tally| tally.aborted == 1).await;

    // A hint brings it in milliseconds; without one it is looked for twice a second.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(
        done["data"],
        json!({ "run_id": accepted["run_id"], "state": "cancelling" })
    );
    for device in [&mut client, &mut laptop] {
        let response = response_to(device, &accepted["message_id"]).await;
        assert_eq!(
            (&response["state"], &response["content"]),
            (&json!("cancelled"), &json!("Half 🌍 "))
        );
        assert_eq!(response["length"], 8);
    }
    assert_eq!(settled(&first.database).await, ["cancelled"]);
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_cancel_before_the_first_word_leaves_an_empty_answer() {
    let provider = ScriptedProvider::start().await;
    provider.on("Mute", Script::new().head().stall());
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let accepted = client.query("q", "Mute").await;
    provider.wait_for(|tally| tally.calls == 1).await;
    client
        .command("cancel", json!({ "run_id": accepted["run_id"] }))
        .await;
    let response = response_to(&mut client, &accepted["message_id"]).await;
    assert_eq!(
        (&response["state"], &response["content"]),
        (&json!("cancelled"), &json!(""))
    );
    assert_eq!(response.get("error"), None);
    assert!(
        client.frames.iter().all(|frame| frame["type"] != "error"),
        "a wish is no failure"
    );
    provider.wait_for(|tally| tally.aborted == 1).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_cancel_of_nothing_says_so_and_a_late_one_reports_the_end() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let nothing = client.command("cancel", json!({})).await;
    assert_eq!(nothing["data"], json!({ "run_id": null, "state": "none" }));
    let response = client.ask("q", "Quick").await;
    let late = client
        .command("cancel", json!({ "run_id": response["run_id"] }))
        .await;
    assert_eq!(
        late["data"],
        json!({ "run_id": response["run_id"], "state": "complete" })
    );
    let later = client.command("cancel", json!({})).await;
    assert_eq!(later["data"]["state"], "none");
    let unknown = client
        .command("cancel", json!({ "run_id": Uuid::now_v7() }))
        .await;
    assert_eq!(unknown["code"], "not_found");
    assert_eq!(settled(&node.database).await, ["complete"]);
    node.shut_down().await;
}

#[tokio::test]
async fn a_cancel_that_races_the_end_leaves_one_answer_whoever_wins() {
    // `CANCEL_RACES` runs more of them.
    let races: usize = environment("CANCEL_RACES").map_or(200, |text| text.parse().unwrap());
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("MAX_HISTORY", "1")]).await;
    let mut client = node.connect("alice").await;
    client.live().await;
    let mut own = HashMap::new();
    for race in 0..races {
        let (id, gate) = (format!("q{race}"), format!("g{race}"));
        provider.then(half_then(&gate));
        own.insert(id.clone(), id.clone());
        let accepted = client.query(&id, &id).await;
        client
            .until(|frame| frame["type"] == "delta" && frame["run_id"] == accepted["run_id"])
            .await;
        let cancel = json!({ "type": "command", "content": "cancel", "id": gate, "args": { "run_id": accepted["run_id"] } });
        if race % 2 == 0 {
            provider.open(&gate);
            client.send(&cancel).await;
        } else {
            client.send(&cancel).await;
            provider.open(&gate);
        }
        let told = match client.frames.iter().find(|frame| frame["re"] == gate.as_str()) {
            Some(frame) => frame.clone(),
            None => client.until(|frame| frame["re"] == gate.as_str()).await,
        };
        let response = response_to(&mut client, &accepted["message_id"]).await;
        let (state, content) = (
            response["state"].as_str().unwrap(),
            response["content"].as_str().unwrap(),
        );
        match state {
            "complete" => assert_eq!(content, "Half whole"),
            "cancelled" => assert!("Half whole".starts_with(content) && content.starts_with("Half ")),
            other => panic!("{other}"),
        }
        let reported = told["data"]["state"]
            .as_str()
            .unwrap_or_else(|| panic!("race {race}: {told}"));
        assert!(
            reported == "cancelling" || reported == state,
            "{told} and then {state}"
        );
    }
    assert_eq!(settled(&node.database).await.len(), races);
    let mut transcript = Transcript::default();
    transcript.apply(&client.frames, &own);
    assert_eq!(
        transcript.messages,
        node.database.transcript(&client.session).await
    );
    assert_eq!(transcript.messages.len(), 2 * races);
    node.shut_down().await;
}

#[tokio::test]
async fn a_cancel_that_races_the_start_is_carried_out() {
    const RACES: usize = 60;
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("MAX_HISTORY", "1")]).await;
    let mut client = node.connect("alice").await;
    for race in 0..RACES {
        let (id, gate) = (format!("first{race}"), format!("g{race}"));
        provider.on(&format!("<{race}>"), half_then(&gate));
        provider.on(&format!("({race})"), Script::new().text("On and on").stall());
        let first = client.query(&id, &format!("<{race}>")).await;
        let second = client.query(&format!("second{race}"), &format!("({race})")).await;
        provider.open(&gate);
        let done = client
            .command("cancel", json!({ "run_id": second["run_id"] }))
            .await;
        assert_eq!(done["type"], "status", "race {race}: {done}");
        let response = response_to(&mut client, &second["message_id"]).await;
        assert_eq!(response["state"], "cancelled");
        response_to(&mut client, &first["message_id"]).await;
    }
    assert_eq!(settled(&node.database).await.len(), 2 * RACES);
    node.shut_down().await;
}

#[tokio::test]
async fn a_new_answer_is_added_and_replaces_the_older_in_what_the_model_sees() {
    let provider = ScriptedProvider::start().await;
    for answer in ["Answer A", "Answer B", "Answer A, better"] {
        provider.then(Script::answer(answer));
    }
    let mut node = TestNode::start(&provider, &[("SYSTEM_PROMPT", "Be brief.")]).await;
    let mut client = node.connect("alice").await;
    let first = client.ask("a", "Question A").await;
    client.ask("b", "Question B").await;
    let regenerate = json!({
        "type": "command", "content": "regenerate", "id": "again", "args": { "message_id": first["message_id"] }
    });
    client.send(&regenerate).await;
    let queued = client.until(|frame| frame["re"] == "again").await;
    assert_eq!(queued["data"]["in_reply_to"], first["in_reply_to"]);
    assert_eq!(queued["data"]["duplicate"], false);
    let better = client
        .until(|frame| frame["type"] == "response" && frame["seq"] == 5)
        .await;
    assert_eq!(
        (&better["content"], &better["in_reply_to"]),
        (&json!("Answer A, better"), &first["in_reply_to"])
    );
    assert_eq!(better["message_id"], queued["data"]["message_id"]);
    assert_ne!(better["message_id"], first["message_id"]);

    client.send(&regenerate).await;
    let repeated = client.until(|frame| frame["re"] == "again").await;
    assert_eq!(repeated["data"]["duplicate"], true);
    assert_eq!(repeated["data"]["run_id"], queued["data"]["run_id"]);
    client.ask("c", "Question C").await;

    let prompt = |call: usize| -> Vec<String> {
        let request = &provider.requests()[call];
        let messages = request.messages().iter();
        messages
            .map(|message| message["content"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(prompt(2), ["Be brief.", "Question A"], "it ends at its question");
    assert_eq!(provider.calls(), 4, "a repeated wish is one call");
    let last = prompt(3);
    assert!(!last.contains(&"Answer A".to_owned()), "{last:?}");
    for said in [
        "Question A",
        "Answer A, better",
        "Question B",
        "Answer B",
        "Question C",
    ] {
        assert!(last.contains(&said.to_owned()), "{last:?}");
    }
    let at = |said: &str| last.iter().position(|message| message == said).unwrap();
    assert_eq!(at("Answer A, better"), at("Question A") + 1);
    let stored = node.database.transcript(&client.session).await;
    assert_eq!(stored[&2].1, "Answer A", "the older one stays");
    node.shut_down().await;
}

#[tokio::test]
async fn a_wish_for_a_new_answer_waits_in_line_like_a_query() {
    let provider = ScriptedProvider::start().await;
    provider.on("busy", half_then("go"));
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let first = client.ask("a", "first").await;
    let second = client.ask("b", "second").await;
    client.query("busy", "busy").await;
    let low = send_query(&mut client, "low", "low", json!({ "priority": "low" })).await;
    assert_eq!(low["queue_position"], 1);
    let again = client
        .command("regenerate", json!({ "message_id": second["message_id"] }))
        .await;
    assert_eq!(
        again["data"]["queue_position"], 1,
        "before what is of low priority"
    );
    let normal = client.query("normal", "normal").await;
    assert_eq!(normal["queue_position"], 2, "behind what came before it");
    let last = client
        .command("regenerate", json!({ "message_id": first["message_id"] }))
        .await;
    assert_eq!(last["data"]["queue_position"], 3);
    let queue = client.command("queue", json!({})).await;
    let waiting: Vec<&str> = queue["data"]["queue"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["content"].as_str().unwrap())
        .collect();
    assert_eq!(waiting, ["second", "normal", "first", "low"]);
    provider.open("go");
    response_to(&mut client, &low["message_id"]).await;
    assert_eq!(asked(&provider)[3..], ["second", "normal", "first", "low"]);
    node.shut_down().await;
}

#[tokio::test]
async fn a_users_runs_are_limited_over_sessions_and_nodes() {
    let provider = ScriptedProvider::start().await;
    for gate in ["one", "two", "three"] {
        provider.on(gate, half_then(gate));
    }
    let (mut first, mut second) = two_nodes(&provider, &[("MAX_RUNS_PER_USER", "2")]).await;
    let mut clients = [
        first.connect("alice").await,
        second.connect("alice").await,
        first.connect("alice").await,
    ];
    let mut queries = Vec::new();
    for (client, name) in clients.iter_mut().zip(["one", "two", "three"]) {
        queries.push(client.query(name, name).await);
    }
    let positions: Vec<i64> = queries
        .iter()
        .map(|query| query["queue_position"].as_i64().unwrap())
        .collect();
    assert_eq!(positions, [0, 0, 1]);
    for (client, query) in clients.iter_mut().zip(&queries).take(2) {
        client
            .until(|frame| frame["type"] == "delta" && frame["run_id"] == query["run_id"])
            .await;
    }
    let mut other = second.connect("bob").await;
    other.ask("q", "Am I kept waiting?").await;
    assert_eq!(provider.calls(), 3, "alice's third waits, bob does not");
    provider.open("two");
    clients[2].until(|frame| frame["type"] == "delta").await;
    provider.open("one");
    provider.open("three");
    for (client, query) in clients.iter_mut().zip(&queries) {
        assert_eq!(
            response_to(client, &query["message_id"]).await["state"],
            "complete"
        );
    }
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_user_with_a_long_queue_does_not_keep_another_waiting() {
    let provider = ScriptedProvider::start().await;
    let changes = [("MAX_RUNS_PER_NODE", "2"), ("MAX_RUNS_PER_USER", "0")];
    let mut node = TestNode::start(&provider, &changes).await;
    let mut greedy = Vec::new();
    let mut last = Vec::new();
    for session in 0..3 {
        let mut client = node.connect("greedy").await;
        for n in 0..5 {
            let name = format!("greedy {session}.{n}");
            provider.on(&name, half_then(&name));
            last.push(client.query(&format!("q{n}"), &name).await);
        }
        greedy.push(client);
    }
    provider.wait_for(|tally| tally.calls == 2).await;
    assert_eq!(node.node().service().runs.count(), 2, "the node's limit");
    let mut modest = node.connect("modest").await;
    let waiting = modest.query("q", "modest").await;
    assert_eq!(waiting["queue_position"], 1);
    provider.open("greedy 0.0");
    response_to(&mut modest, &waiting["message_id"]).await;
    let before = asked(&provider)
        .iter()
        .position(|question| question == "modest")
        .unwrap();
    assert!(
        before <= 3,
        "one of greedy's may have been under way: {:?}",
        asked(&provider)
    );
    for session in 0..3 {
        for n in 0..5 {
            provider.open(&format!("greedy {session}.{n}"));
        }
    }
    for (index, query) in last.iter().enumerate() {
        response_to(&mut greedy[index / 5], &query["message_id"]).await;
    }
    assert_eq!(settled(&node.database).await, ["complete"; 16]);
    node.shut_down().await;
}

/// What no client may read.
const UPSTREAM: &str = "upstream-secret-words";

struct Failure {
    name: &'static str,
    script: Script,
    state: &'static str,
    content: &'static str,
    code: &'static str,
}

fn failed(name: &'static str, script: Script, code: &'static str) -> Failure {
    Failure {
        name,
        script,
        state: "failed",
        content: "",
        code,
    }
}

fn incomplete(name: &'static str, script: Script, code: &'static str) -> Failure {
    Failure {
        name,
        script,
        state: "incomplete",
        content: "Half ",
        code,
    }
}

/// An error of the provider's that wants to be left alone for longer than a run waits.
fn status(status: u16, rest: &str) -> Script {
    let body = format!(r#"{{"error":{{"code":{status},"message":"{UPSTREAM}"{rest}}}}}"#);
    Script::status(status, &body).header("retry-after", "60")
}

fn failures() -> Vec<Failure> {
    let half = || Script::new().text("Half ");
    let mid_stream = format!(
        r#"{{"error":{{"code":502,"message":"{UPSTREAM}"}},"choices":[{{"delta":{{}},"finish_reason":"error"}}]}}"#
    );
    let too_long = format!(r#"{{"error":{{"code":"context_length_exceeded","message":"{UPSTREAM}"}}}}"#);
    vec![
        failed("429", status(429, ""), "provider_busy"),
        failed("503", status(503, ""), "provider_unavailable"),
        failed("504", status(504, ""), "provider_timeout"),
        failed("401", status(401, ""), "provider_unavailable"),
        failed("402", status(402, ""), "provider_unavailable"),
        failed(
            "403 by moderation",
            status(403, r#","metadata":{"reasons":["x"]}"#),
            "content_filtered",
        ),
        failed("404", status(404, ""), "model_unavailable"),
        failed("400", status(400, ""), "internal"),
        failed("too long", Script::status(400, &too_long), "context_too_long"),
        failed(
            "nothing said",
            Script::new().finish("stop").done(),
            "provider_unavailable",
        ),
        failed(
            "cut before a word",
            Script::new().head().cut(),
            "provider_unavailable",
        ),
        failed(
            "filtered before a word",
            Script::new().finish("content_filter").done(),
            "content_filtered",
        ),
        incomplete("cut", half().cut(), "provider_unavailable"),
        incomplete(
            "error in the stream",
            half().event(&mid_stream),
            "provider_unavailable",
        ),
        incomplete("garbage", half().garbage(), "provider_unavailable"),
        incomplete(
            "filtered",
            half().finish("content_filter").done(),
            "content_filtered",
        ),
    ]
}

/// One failure on a node of its own: the breaker would make one failure of many.
async fn is_told(failure: Failure) {
    let name = failure.name;
    let provider = ScriptedProvider::start().await;
    provider.on("fail", failure.script);
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.live().await;
    let response = client.ask("q", "Please fail").await;

    assert_eq!(response["state"], failure.state, "{name}: {response}");
    assert_eq!(response["content"], failure.content, "{name}");
    assert_eq!(response["error"]["code"], failure.code, "{name}");
    let n = client.frames.len();
    let error = &client.frames[n - 2];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("error"), &json!(failure.code)),
        "{name}"
    );
    assert_eq!(error["run_id"], response["run_id"]);
    assert_eq!(error["retryable"], response["error"]["retryable"], "{name}");
    let text = error["content"].as_str().unwrap();
    assert!(
        text.starts_with("Failed to generate response: "),
        "{name}: {text}"
    );
    for frame in &client.frames {
        assert!(!frame.to_string().contains(UPSTREAM), "{name}: {frame}");
    }
    let after = client.ask("again", "Are you well?").await;
    assert_eq!(
        (&after["state"], &after["seq"]),
        (&json!("complete"), &json!(4)),
        "{name}: the session goes on"
    );
    assert_eq!(settled(&node.database).await, [failure.state, "complete"]);
    node.shut_down().await;
}

#[tokio::test]
async fn every_failure_of_the_provider_is_told_in_our_words_and_leaves_one_answer() {
    // Some at a time: most of it is waiting for retries and for nodes to end.
    let checks = stream::iter(failures()).map(|failure| Box::pin(is_told(failure)));
    checks.buffer_unordered(4).collect::<()>().await;
}
