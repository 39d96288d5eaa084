//! Rows of transactions that commit long after their insert: what counts is when a row can be seen.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sqlx::{Postgres, Transaction};

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

/// How long a slow transaction takes.
const SLOW: Duration = Duration::from_secs(2);

/// A transaction that has inserted this row, and is open.
async fn begun(database: &TestDatabase, content: &str) -> Transaction<'static, Postgres> {
    let mut transaction = database.pool.begin().await.unwrap();
    insert(&mut transaction, content).await;
    transaction
}

async fn insert(transaction: &mut Transaction<'static, Postgres>, content: &str) {
    sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ('alice', $1)")
        .bind(content)
        .execute(&mut **transaction)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_row_that_commits_two_seconds_after_its_insert_is_delivered_after_later_ones() {
    let provider = ScriptedProvider::start().await;
    let mut one = TestNode::start(&provider, &[]).await;
    let mut two = TestNode::start_on(one.database.clone(), &provider, &[]).await;
    one.listening().await;
    two.listening().await;
    let (mut phone, mut laptop) = (one.connect("alice").await, two.connect("alice").await);
    phone.live().await;
    laptop.live().await;
    let late = begun(&one.database, "late").await;
    for n in 0..10 {
        let content = format!("early {n}");
        one.database.notify("alice", &content).await;
        phone.notified(&content).await;
        laptop.notified(&content).await;
        tokio::time::sleep(SLOW / 10).await;
    }
    let mut comes = two.connect("alice").await;
    comes.live().await;
    assert_eq!(comes.told().len(), 10, "it is not there before its commit");

    late.commit().await.unwrap();

    for client in [&mut phone, &mut laptop, &mut comes] {
        let frame = client.notified("late").await;
        let early = client.frames.iter().find(|frame| frame["content"] == "early 0");
        assert!(frame["created_at"].as_str() < early.unwrap()["created_at"].as_str());
        client.command("ping", json!({})).await;
        assert_eq!(client.told().len(), 11, "each once");
        assert_eq!(client.told()[10], "late");
    }
    one.shut_down().await;
    two.shut_down().await;
}

#[tokio::test]
async fn transactions_that_commit_in_another_order_than_they_insert_lose_nothing_and_leak_nothing() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut client = node.connect("alice").await;
    client.live().await;
    let mut open = Vec::new();
    for n in 0..8 {
        let mut transaction = begun(&node.database, &format!("{n} outside")).await;
        sqlx::query("SAVEPOINT inside")
            .execute(&mut *transaction)
            .await
            .unwrap();
        insert(&mut transaction, &format!("{n} inside")).await;
        if n % 3 == 0 {
            sqlx::query("ROLLBACK TO inside")
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        open.push((n, transaction));
    }
    let mut expected = BTreeSet::new();
    while let Some((n, transaction)) = open.pop() {
        if n % 4 == 1 {
            transaction.rollback().await.unwrap();
            continue;
        }
        transaction.commit().await.unwrap();
        expected.insert(format!("{n} outside"));
        if n % 3 != 0 {
            expected.insert(format!("{n} inside"));
        }
        // Looked at before the next one commits.
        client.notified(&format!("{n} outside")).await;
    }
    node.database.notify("alice", "the last").await;
    client.notified("the last").await;
    let told = client.told();
    let seen: BTreeSet<String> = told.iter().map(|&content| content.to_owned()).collect();
    expected.insert("the last".to_owned());
    assert_eq!(seen, expected);
    assert_eq!(told.len(), expected.len(), "each once");
    node.shut_down().await;
}

/// Inserts a row for the context of a client's session.
async fn for_context(transaction: &mut Transaction<'static, Postgres>, client: &TestClient, content: &str) {
    sqlx::query(
        "SELECT agent.notify(user_id => 'alice', content => $1, session_id => $2::uuid, in_context => true,
                             data => '{\"empty\": null}')",
    )
    .bind(content)
    .bind(&client.session)
    .execute(&mut **transaction)
    .await
    .unwrap();
}

#[tokio::test]
async fn rows_for_the_context_that_commit_late_become_messages_without_a_gap() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut client = node.connect("alice").await;
    client.live().await;
    let pool = node.database.pool.clone();
    let mut late = pool.begin().await.unwrap();
    for n in 0..3 {
        for_context(&mut late, &client, &format!("late {n}")).await;
    }
    for n in 0..3 {
        let content = format!("early {n}");
        let mut early = pool.begin().await.unwrap();
        for_context(&mut early, &client, &content).await;
        early.commit().await.unwrap();
        client
            .until(|frame| frame["content"] == content.as_str() && frame["seq"].is_i64())
            .await;
        client.ask(&format!("q{n}"), "And?").await;
    }
    let mut never = pool.begin().await.unwrap();
    for_context(&mut never, &client, "never").await;
    late.commit().await.unwrap();
    never.rollback().await.unwrap();
    client
        .until(|frame| frame["content"] == "late 2" && frame["seq"].is_i64())
        .await;
    client.ask("last", "Is that all?").await;

    let mut again = node.resume("alice", &client.session, 0).await;
    again.live().await;
    let log: Vec<(i64, &str)> = again
        .frames
        .iter()
        .filter_map(|frame| Some((frame["seq"].as_i64()?, frame["content"].as_str()?)))
        .collect();
    assert!(log.iter().map(|(seq, _)| *seq).eq(1..=14), "{log:?}");
    let told: Vec<&str> = log
        .iter()
        .map(|(_, content)| *content)
        .filter(|content| content.contains("late ") || content.contains("early "))
        .filter(|content| content.len() < 10)
        .collect();
    assert_eq!(
        told,
        ["early 0", "early 1", "early 2", "late 0", "late 1", "late 2"]
    );
    let kept = again.frames.iter().filter(|frame| frame["seq"].is_i64());
    for frame in kept.filter(|frame| frame["type"] == "notification") {
        assert_eq!(
            frame["data"],
            json!({ "empty": null }),
            "data is the writer's own"
        );
    }
    node.shut_down().await;
}
