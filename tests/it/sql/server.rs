//! The server as a login in `agent_app`, which docs/sql.md recommends: everything that it does is among its rights.

use serde_json::json;
use sqlx::PgPool;

use super::execute;
use crate::support::database::TestDatabase;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

/// A test's database, by a login that has the server's rights and no others.
async fn as_the_server() -> TestDatabase {
    let database = TestDatabase::new().await;
    let mut superuser = database.pool.acquire().await.unwrap();
    let name: String = sqlx::query_scalar("SELECT 'server_of_' || current_database()")
        .fetch_one(&mut *superuser)
        .await
        .unwrap();
    execute(
        &mut superuser,
        &format!("CREATE ROLE {name} LOGIN IN ROLE agent_app"),
    )
    .await;
    let url = database.url.replacen("agent@", &format!("{name}@"), 1);
    let pool = PgPool::connect(&url).await.unwrap();
    TestDatabase { url, pool }
}

#[tokio::test]
async fn the_server_needs_no_more_than_its_role_has() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start_on(as_the_server().await, &provider, &[]).await;
    node.listening().await;
    let mut client = node.connect("u").await;
    client.live().await;
    let answer = client.ask("q1", "Who are you?").await;
    assert_eq!(answer["state"], "complete");

    let sql = "INSERT INTO agent.notifications (user_id, content, session_id, in_context) VALUES ('u', 'hello', $1, true)";
    sqlx::query(sql)
        .bind(client.session.parse::<uuid::Uuid>().unwrap())
        .execute(&node.database.pool)
        .await
        .unwrap();
    let told = client.until(|frame| frame["event"] == "message").await;
    client
        .command("ack", json!({ "notification_ids": [told["notification_id"]] }))
        .await;
    client
        .send(&json!({ "type": "human_feedback", "message_id": answer["message_id"], "rating": 1 }))
        .await;
    client.until(|frame| frame["event"] == "feedback").await;
    for (command, args) in [
        ("rename", json!({ "title": "Who" })),
        ("clear", json!({})),
        ("model", json!({ "model": "test/other" })),
        ("sessions", json!({})),
        ("history", json!({})),
        ("queue", json!({})),
        ("inbox", json!({})),
        ("cancel", json!({})),
    ] {
        assert_eq!(client.command(command, args).await["event"], command);
    }
    client
        .command("regenerate", json!({ "message_id": answer["in_reply_to"] }))
        .await;
    client
        .until(|frame| frame["type"] == "response" && frame["message_id"] != answer["message_id"])
        .await;
    let deleted = client
        .command("delete", json!({ "session_id": client.session }))
        .await;
    assert_eq!(deleted["event"], "delete");
    node.shut_down().await;
}
