//! docs/scaling.md: the service on tables of the log that deploy/partition.sql has cut into parts by user.
//!
//! What must hold there is what must hold anywhere, so the scenarios are those of the other tests, on a database that was
//! cut. `pruning` looks at which parts a user's statements read; `sql::partitions` at what the script keeps.

mod pruning;

use std::time::Duration;

use agent_websocket::store::Store;
use serde_json::json;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};
use crate::{crash, nodes, removal, search};

/// Two nodes on a database in parts.
async fn two_nodes(provider: &ScriptedProvider) -> (TestNode, TestNode) {
    let first = TestNode::start_on(TestDatabase::in_parts().await, provider, &[]).await;
    let second = TestNode::start_on(first.database.clone(), provider, &[]).await;
    first.listening().await;
    second.listening().await;
    (first, second)
}

#[tokio::test]
async fn a_conversation_over_two_nodes_is_the_same_on_both() {
    let provider = ScriptedProvider::start().await;
    let (mut first, mut second) = two_nodes(&provider).await;
    nodes::everything_reaches_the_other_node(&first, &second, &provider).await;
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn queries_wait_their_turn_are_sent_again_rated_and_answered_anew() {
    let provider = ScriptedProvider::start().await;
    let (mut first, mut second) = two_nodes(&provider).await;
    let mut client = first.connect("alice").await;
    provider.on(
        "Slow",
        Script::new()
            .text("At last")
            .wait_for("end")
            .finish("stop")
            .done(),
    );
    client.query("q1", "Slow").await;
    let waiting = client.query("q2", "Next").await;
    assert_eq!(waiting["queue_position"], 1);
    let again = client.query("q2", "Next").await;
    assert_eq!(
        (&again["duplicate"], &again["seq"]),
        (&json!(true), &waiting["seq"])
    );
    provider.open("end");
    let answer = client
        .until(|frame| frame["type"] == "response" && frame["in_reply_to"] == waiting["message_id"])
        .await;
    let rating =
        json!({ "type": "human_feedback", "id": "f", "message_id": answer["message_id"], "rating": -1 });
    for _again in 0..2 {
        client.send(&rating).await;
        client
            .until(|frame| frame["event"] == "feedback" && frame["re"] == "f")
            .await;
    }
    client
        .command("regenerate", json!({ "message_id": answer["message_id"] }))
        .await;
    let anew = client.until(|frame| frame["type"] == "response").await;
    assert_eq!(
        (&anew["in_reply_to"], &anew["seq"]),
        (&waiting["message_id"], &json!(5))
    );

    // Gone from the one, back on the other.
    let session = client.session.clone();
    client.cut();
    let mut back = TestClient::connect(&second.base, &token("alice"), "?session_id=latest").await;
    back.live().await;
    let seqs: Vec<i64> = back
        .frames
        .iter()
        .filter_map(|frame| frame["seq"].as_i64())
        .collect();
    assert_eq!((&back.session, seqs), (&session, vec![1, 2, 3, 4, 5]));
    assert_eq!(back.ask("q3", "Still there?").await["seq"], 7);
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn what_dead_nodes_were_writing_is_taken_over_once() {
    crash::recovered_once(TestDatabase::in_parts().await).await;
}

#[tokio::test]
async fn an_erased_user_leaves_no_trace() {
    Box::pin(removal::erasure::leaves_no_trace(TestDatabase::in_parts().await)).await;
}

#[tokio::test]
async fn what_is_older_than_the_operator_keeps_is_removed() {
    removal::old_turns_are_removed(TestDatabase::in_parts().await).await;
    removal::old_sessions_are_removed(TestDatabase::in_parts().await).await;
}

#[tokio::test]
async fn a_search_finds_what_is_there() {
    search::finds_the_same(TestDatabase::in_parts().await).await;
    search::searched_to_its_beginning(TestDatabase::in_parts().await).await;
}

/// A row's place is a number within its part.
#[tokio::test]
async fn sweeping_old_rows_takes_none_that_stands_at_the_same_place_of_another_part() {
    let database = TestDatabase::in_parts().await;
    let store = Store::connect(&database.server_url, 1).await.unwrap();
    for (table, columns, values) in [
        ("chunks", "attempt, start_at, content", "1, 0, 'text'"),
        ("reservations", "tokens, cost_usd", "1, 0"),
    ] {
        database
            .execute(format!(
                "INSERT INTO agent.{table} (user_id, session_id, run_id, created_at, {columns})
                 SELECT 'u_' || n, gen_random_uuid(), gen_random_uuid(), now() - make_interval(days => 3 * (n % 2)), {values}
                 FROM generate_series(1, 40) AS n"
            ))
            .await;
    }
    let alike = "SELECT count(*) FROM agent.chunks AS old JOIN agent.chunks AS young
                 ON young.ctid = old.ctid AND young.created_at > old.created_at + interval '1 day'";
    assert!(database.count(alike).await > 0, "else this shows nothing");
    let a_day = Duration::from_hours(24);
    assert_eq!(store.sweep_chunks(a_day, 100).await.unwrap(), 20);
    assert_eq!(store.sweep_reservations(100).await.unwrap(), 20);
    let young = "SELECT (SELECT count(*) FROM agent.chunks WHERE created_at > now() - interval '1 day')
                      + (SELECT count(*) FROM agent.reservations WHERE created_at > now() - interval '1 day')";
    assert_eq!(database.count(young).await, 40);
    store.close().await;
}
