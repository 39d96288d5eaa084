//! Rows that replace one another, rows that are there once, and who may acknowledge what.

use serde_json::json;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

/// A node, and alice on it.
async fn alice_on_a_node() -> (ScriptedProvider, TestNode, TestClient) {
    let provider = ScriptedProvider::start().await;
    let node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut client = node.connect("alice").await;
    client.live().await;
    (provider, node, client)
}

/// Inserts a last row for alice and waits for it: what came before it has come by then.
async fn nothing_more(node: &TestNode, client: &mut TestClient) {
    node.database.notify("alice", "the last").await;
    client.notified("the last").await;
}

#[tokio::test]
async fn of_rows_that_collapse_the_newest_of_a_statement_is_delivered() {
    let (_provider, mut node, mut client) = alice_on_a_node().await;
    let rows = "INSERT INTO agent.notifications (user_id, content, collapse_key)
                SELECT 'alice', key || ' ' || n, key FROM generate_series(1, 50) AS n, unnest(ARRAY['build', 'disk']) AS key";
    node.database.execute(rows).await;
    node.database
        .execute(
            "INSERT INTO agent.notifications (user_id, content, collapse_key) VALUES ('bob', 'his', 'build')",
        )
        .await;
    nothing_more(&node, &mut client).await;
    let mut told = client.told();
    told.sort_unstable();
    assert_eq!(told, ["build 50", "disk 50", "the last"]);

    // A newer one comes although the older one was delivered, and hides it from who comes later.
    node.database
        .execute(
            "INSERT INTO agent.notifications (user_id, content, collapse_key) VALUES ('alice', 'build 51', 'build')",
        )
        .await;
    client.notified("build 51").await;
    let mut comes = node.connect("alice").await;
    comes.live().await;
    assert_eq!(comes.told(), ["disk 50", "the last", "build 51"]);

    let newest = comes.frames.iter().find(|frame| frame["content"] == "build 51");
    let id = newest.unwrap()["notification_id"].clone();
    let done = comes.command("ack", json!({ "notification_ids": [id] })).await;
    let ids = done["data"]["notification_ids"].as_array().unwrap();
    assert_eq!(ids.len(), 51, "with what it replaced");
    let cleared = client.until(|frame| frame["event"] == "cleared").await;
    let cleared = cleared["notification_ids"].as_array().unwrap().clone();
    assert_eq!(cleared.len(), 2, "what this device was sent: {cleared:?}");
    let mut last = node.connect("alice").await;
    last.live().await;
    assert_eq!(last.told(), ["disk 50", "the last"]);
    node.shut_down().await;
}

#[tokio::test]
async fn a_row_whose_dedupe_key_was_there_is_not_delivered_again() {
    let (_provider, mut node, mut client) = alice_on_a_node().await;
    let row = |user: &str, content: &str, conflict: &str| {
        format!(
            "INSERT INTO agent.notifications (user_id, content, dedupe_key) VALUES ('{user}', '{content}', 'k')
             ON CONFLICT {conflict}"
        )
    };
    let nothing = "(user_id, dedupe_key) DO NOTHING";
    node.database.execute(row("alice", "first", nothing)).await;
    client.notified("first").await;
    node.database.execute(row("alice", "second", nothing)).await;
    node.database.execute(row("alice", "third", "DO NOTHING")).await;
    node.database.execute(row("bob", "his", nothing)).await;
    let again: Option<uuid::Uuid> =
        sqlx::query_scalar("SELECT agent.notify(user_id => 'alice', content => 'fourth', dedupe_key => 'k')")
            .fetch_one(&node.database.pool)
            .await
            .unwrap();
    assert_eq!(again, None);
    // Without a clause for it the writer is told, and its transaction fails.
    let twice =
        "INSERT INTO agent.notifications (user_id, content, dedupe_key) VALUES ('alice', 'fifth', 'k')";
    assert!(sqlx::query(twice).execute(&node.database.pool).await.is_err());
    nothing_more(&node, &mut client).await;
    assert_eq!(client.told(), ["first", "the last"]);

    // An update in place is no new row: who was told is not told again, who comes sees what it says now.
    let update = "(user_id, dedupe_key) DO UPDATE SET content = excluded.content";
    node.database.execute(row("alice", "sixth", update)).await;
    let mut comes = node.connect("alice").await;
    comes.live().await;
    assert_eq!(comes.told(), ["sixth", "the last"]);
    client.command("ack", json!({ "all": true })).await;
    node.database.execute(row("alice", "seventh", nothing)).await;
    node.database.notify("alice", "after").await;
    client.notified("after").await;
    assert_eq!(client.told(), ["first", "the last", "after"]);
    assert_eq!(
        node.database
            .count("SELECT count(*) FROM agent.notifications")
            .await,
        4
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_role_that_may_only_notify_can_leave_out_what_was_there() {
    let database = TestDatabase::new().await;
    let mut notifier = database.pool.acquire().await.unwrap();
    let mut rows = Vec::new();
    for sql in [
        "SET ROLE agent_notifier",
        "INSERT INTO agent.notifications (user_id, content, dedupe_key) VALUES ('alice', 'first', 'k')
         ON CONFLICT DO NOTHING",
        "INSERT INTO agent.notifications (user_id, content, dedupe_key) VALUES ('alice', 'second', 'k')
         ON CONFLICT DO NOTHING",
        "DO $$ BEGIN PERFORM agent.notify(user_id => 'alice', content => 'third', dedupe_key => 'k'); END $$",
    ] {
        let done = sqlx::query(sql).execute(&mut *notifier).await.unwrap();
        rows.push(done.rows_affected());
    }
    assert_eq!(rows, [0, 1, 0, 0]);
    let refused = sqlx::query("SELECT content FROM agent.notifications")
        .execute(&mut *notifier)
        .await;
    assert!(refused.is_err(), "it reads nothing");
    assert_eq!(
        database.count("SELECT count(*) FROM agent.notifications").await,
        1
    );
}

#[tokio::test]
async fn acknowledging_what_is_unknown_or_anothers_changes_nothing() {
    let (_provider, mut node, mut alice) = alice_on_a_node().await;
    let mut bob = node.connect("bob").await;
    bob.live().await;
    node.database.notify("bob", "his").await;
    let his = bob.notified("his").await["notification_id"].clone();
    node.database.notify("alice", "hers").await;
    let hers = alice.notified("hers").await["notification_id"].clone();
    let before = acknowledged(&node).await;

    let nobodys = uuid::Uuid::new_v4();
    let done = alice
        .command("ack", json!({ "notification_ids": [nobodys, his] }))
        .await;
    assert_eq!(done["data"]["notification_ids"], json!([]));
    assert_eq!(acknowledged(&node).await, before);

    let done = alice
        .command("ack", json!({ "notification_ids": [his, hers, nobodys, hers] }))
        .await;
    assert_eq!(done["data"]["notification_ids"], json!([hers]));
    let after = acknowledged(&node).await;
    let repeated = alice.command("ack", json!({ "notification_ids": [hers] })).await;
    assert_eq!(repeated["data"]["notification_ids"], json!([]));
    alice.command("ack", json!({ "all": true })).await;
    assert_eq!(acknowledged(&node).await, after, "the first time stands");
    assert_eq!(after.iter().map(|(user, _)| user).collect::<Vec<_>>(), ["alice"]);
    bob.command("ping", json!({})).await;
    assert!(bob.frames.iter().all(|frame| frame["event"] != "cleared"));
    node.shut_down().await;
}

/// Who has acknowledged what, and when.
async fn acknowledged(node: &TestNode) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT user_id, acknowledged_at::text FROM agent.notifications WHERE acknowledged_at IS NOT NULL ORDER BY 1, 2",
    )
    .fetch_all(&node.database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn acknowledging_all_leaves_what_is_yet_to_come() {
    let (_provider, mut node, mut client) = alice_on_a_node().await;
    node.database
        .execute(
            "INSERT INTO agent.notifications (user_id, content, deliver_after)
             VALUES ('alice', 'now', NULL), ('alice', 'soon', clock_timestamp() + interval '3 seconds')",
        )
        .await;
    let now = client.notified("now").await["notification_id"].clone();
    let done = client.command("ack", json!({ "all": true })).await;
    assert_eq!(done["data"]["notification_ids"], json!([now]));
    let soon = client.notified("soon").await["notification_id"].clone();
    let done = client.command("ack", json!({ "all": true })).await;
    assert_eq!(done["data"]["notification_ids"], json!([soon]));
    node.shut_down().await;
}

#[tokio::test]
async fn a_share_of_many_is_taken_by_priority_then_age() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    // The youngest are the most urgent, and none of a priority is inserted in the order of its age.
    let rows = "INSERT INTO agent.notifications (user_id, content, priority, created_at)
                SELECT 'alice', priority || ' ' || age, priority,
                       now() - (age + rank * 1000) * interval '1 second'
                FROM unnest(ARRAY['high', 'normal', 'low']) WITH ORDINALITY AS p (priority, rank),
                     generate_series(1, 90) AS age
                ORDER BY md5(priority || age)";
    node.database.execute(rows).await;
    let order: Vec<String> = ["high", "normal", "low"]
        .iter()
        .flat_map(|priority| (1..=90).rev().map(move |age| format!("{priority} {age}")))
        .collect();
    let mut client = node.connect("alice").await;
    client.live().await;
    assert_eq!(client.told(), order[..200]);
    client.notified("low 1").await;
    assert_eq!(client.told(), order);
    node.shut_down().await;
}
