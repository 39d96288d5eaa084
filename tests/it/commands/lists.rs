//! Commands that answer with lists: their items, their order, their pages.

use serde_json::{Value, json};

use super::{column, done, keys};
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};

#[tokio::test]
async fn history_is_paged_from_the_newest_back_and_each_page_is_in_order() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    for n in 1..=3 {
        client.ask(&format!("q{n}"), &format!("question {n}")).await;
    }
    let pages: [(Value, Vec<i64>); 6] = [
        (json!({}), vec![1, 2, 3, 4, 5, 6]),
        (json!({ "limit": 2 }), vec![5, 6]),
        (json!({ "before": 5, "limit": 2 }), vec![3, 4]),
        (json!({ "before": 2, "limit": 2 }), vec![1]),
        (json!({ "before": 1 }), vec![]),
        (json!({ "before": 1000, "limit": 1 }), vec![6]),
    ];
    for (args, seqs) in pages {
        let data = done(&mut client, "history", args.clone()).await;
        assert_eq!(column(&data["messages"], "seq"), seqs, "{args}");
    }
    let data = done(&mut client, "history", json!({ "limit": 2 })).await;
    let (query, answer) = (&data["messages"][0], &data["messages"][1]);
    assert_eq!((&query["role"], &query["id"]), (&json!("user"), &json!("q3")));
    assert_eq!(query["content"], "question 3");
    assert_eq!(
        (&answer["role"], &answer["state"], &answer["in_reply_to"]),
        (&json!("assistant"), &json!("complete"), &query["message_id"])
    );
    assert_eq!(answer["model"], "test/model");
    assert_eq!(
        keys(&answer["usage"]),
        ["cost_usd", "input_tokens", "output_tokens"]
    );
    for field in ["session_id", "message_id", "run_id", "created_at"] {
        assert!(answer[field].is_string(), "{field} of {answer}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn sessions_are_listed_by_their_last_activity_and_paged() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let oldest = client.session.clone();
    let mut names = vec![oldest.clone()];
    for _ in 0..3 {
        done(&mut client, "new", json!({})).await;
        client.live().await;
        names.push(
            client.frames[client.frames.len() - 2]["session_id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    node.connect("bob").await;
    // What was said last moves the first one to the top.
    let mut first = node.resume("alice", &oldest, 0).await;
    first.ask("q1", "Hello?").await;
    let expected = [&names[0], &names[3], &names[2], &names[1]];

    let data = done(&mut client, "sessions", json!({})).await;
    assert_eq!(column(&data["sessions"], "session_id"), expected);
    let item = &data["sessions"][0];
    assert_eq!(item["last_seq"], 2);
    for field in ["title", "model", "created_at", "last_activity_at"] {
        assert!(item.get(field).is_some(), "{field} of {item}");
    }
    let page = done(&mut client, "sessions", json!({ "limit": 2 })).await;
    assert_eq!(column(&page["sessions"], "session_id"), expected[..2]);
    let page = done(
        &mut client,
        "sessions",
        json!({ "limit": 2, "before": expected[1] }),
    )
    .await;
    assert_eq!(column(&page["sessions"], "session_id"), expected[2..]);
    let page = done(&mut client, "sessions", json!({ "before": expected[3] })).await;
    assert_eq!(page["sessions"], json!([]));
    node.shut_down().await;
}

#[tokio::test]
async fn search_finds_the_users_words_in_all_sessions_and_nobody_elses() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut bob = node.connect("bob").await;
    bob.ask("q1", "my zebra is secret").await;
    let mut client = node.connect("alice").await;
    client.ask("q1", "a zebra crosses").await;
    let first = client.session.clone();
    let mut second = node.connect("alice").await;
    second.ask("q1", "nothing of the kind").await;

    let data = done(&mut second, "search", json!({ "q": "zebra" })).await;
    let matches = data["matches"].as_array().unwrap();
    assert!(!matches.is_empty());
    for found in matches {
        assert_eq!(found["session_id"], first, "{found}");
        assert!(found["content"].as_str().unwrap().contains("zebra"), "{found}");
        assert!(
            found["seq"].is_i64() && found["message_id"].is_string(),
            "{found}"
        );
    }
    let one = done(&mut second, "search", json!({ "q": "zebra", "limit": 1 })).await;
    assert_eq!(one["matches"].as_array().unwrap().len(), 1);
    for nothing in ["giraffe", "%", "' OR 1=1 --", "zebra & !"] {
        let data = done(&mut second, "search", json!({ "q": nothing })).await;
        let strangers = column(&data["matches"], "session_id")
            .iter()
            .any(|session| **session == bob.session.as_str());
        assert!(!strangers, "{nothing}: {data}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn the_queue_lists_what_waits_in_its_order_and_unqueue_ends_it_as_cancelled() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("x").wait_for("go").finish("stop").done());
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.query("q1", "first").await;
    let second = client.query("q2", "second").await;
    client
        .send(&json!({ "type": "query", "id": "q3", "content": "urgent", "priority": "high" }))
        .await;
    client.until(|frame| frame["re"] == "q3").await;

    let data = done(&mut client, "queue", json!({})).await;
    assert_eq!(column(&data["queue"], "content"), ["urgent", "second"]);
    let item = &data["queue"][1];
    assert_eq!(item["message_id"], second["message_id"]);
    assert_eq!(item["run_id"], second["run_id"]);
    assert_eq!((&item["seq"], &item["priority"]), (&json!(2), &json!("normal")));

    let data = done(
        &mut client,
        "unqueue",
        json!({ "message_id": second["message_id"] }),
    )
    .await;
    assert_eq!(data["message_id"], second["message_id"]);
    let cancelled = client
        .until(|frame| frame["type"] == "response" && frame["in_reply_to"] == second["message_id"])
        .await;
    assert_eq!(
        (&cancelled["state"], &cancelled["content"]),
        (&json!("cancelled"), &json!(""))
    );
    let again = client
        .command("unqueue", json!({ "message_id": second["message_id"] }))
        .await;
    assert_eq!(again["code"], "not_found");
    provider.open("go");
    client
        .until(|frame| frame["type"] == "response" && frame["seq"] == 6)
        .await;
    let data = done(&mut client, "queue", json!({})).await;
    assert_eq!(data["queue"], json!([]));
    let history = done(&mut client, "history", json!({ "limit": 2, "before": 3 })).await;
    assert_eq!(
        column(&history["messages"], "content"),
        ["first", "second"],
        "the query stays in the history"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn the_inbox_lists_what_is_unacknowledged_and_ack_clears_it_on_other_devices() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    sqlx::query("INSERT INTO agent.notifications (user_id, content, title) VALUES ('alice', 'one', 'T'), ('alice', 'two', NULL), ('bob', 'other', NULL)")
        .execute(&node.database.pool)
        .await
        .unwrap();
    let mut client = node.connect("alice").await;
    let mut device = node.connect("alice").await;
    device.live().await;

    let data = done(&mut client, "inbox", json!({})).await;
    let contents = column(&data["notifications"], "content");
    assert_eq!(contents, ["one", "two"]);
    let item = &data["notifications"][0];
    for field in ["notification_id", "kind", "title", "priority", "created_at"] {
        assert!(item[field].is_string(), "{field} of {item}");
    }
    let one = done(&mut client, "inbox", json!({ "limit": 1 })).await;
    assert_eq!(column(&one["notifications"], "content"), ["one"]);

    let id = item["notification_id"].clone();
    let data = done(&mut client, "ack", json!({ "notification_ids": [id] })).await;
    assert_eq!(data["notification_ids"], json!([id]));
    let cleared = device.until(|frame| frame["event"] == "cleared").await;
    assert_eq!(
        (&cleared["type"], &cleared["notification_ids"]),
        (&json!("notification"), &json!([id]))
    );
    let again = done(&mut client, "ack", json!({ "notification_ids": [id] })).await;
    assert_eq!(again["notification_ids"], json!([]), "it was acknowledged before");
    done(&mut client, "ack", json!({ "all": true })).await;
    let data = done(&mut client, "inbox", json!({})).await;
    assert_eq!(data["notifications"], json!([]));
    let left = "SELECT count(*) FROM agent.notifications WHERE user_id = 'bob' AND acknowledged_at IS NULL";
    assert_eq!(node.database.count(left).await, 1);
    node.shut_down().await;
}
