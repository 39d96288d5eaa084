//! A user who is erased leaves nothing, and nothing of it is written afterwards.

use serde_json::json;
use sqlx::{PgPool, Row};

use super::execute;
use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::http::Api;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};

/// In which tables of the schema a text stands, in whatever column.
pub(super) async fn traces(pool: &PgPool, text: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'agent'::regnamespace AND relkind IN ('r', 'p')
           AND NOT relispartition
         ORDER BY relname",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let sql =
            format!("SELECT count(*) FROM agent.{table} AS t WHERE strpos(lower(t::text), lower($1)) > 0");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(text)
            .fetch_one(pool)
            .await
            .unwrap();
        if rows > 0 {
            found.push(table);
        }
    }
    found
}

/// A user with something in every table, and in every column that a user fills.
async fn full_life(node: &TestNode, provider: &ScriptedProvider) -> TestClient {
    provider.on(
        "slow",
        Script::new()
            .text("marker text ")
            .wait_for("never")
            .finish("stop")
            .done(),
    );
    let path = "?device_id=marker-phone";
    let mut client = TestClient::connect(&node.base, &token("marker-user"), path).await;
    client.live().await;
    client.send(&json!({ "type": "query", "id": "marker-1", "content": "marker question", "metadata": { "a": "marker" } })).await;
    let answer = client.until(|frame| frame["type"] == "response").await;
    client
        .send(&json!({ "type": "human_feedback", "id": "f", "message_id": answer["message_id"], "content": "marker comment" }))
        .await;
    client.until(|frame| frame["re"] == "f").await;
    client.command("rename", json!({ "title": "marker title" })).await;
    client.query("marker-2", "slow").await;
    client.query("marker-3", "waits").await;
    sqlx::query(
        "SELECT agent.notify(user_id => 'marker-user', content => 'marker notice', dedupe_key => 'marker')",
    )
    .execute(&node.database.pool)
    .await
    .unwrap();
    let api = Api::new(&node.base, &token("marker-user"));
    assert_eq!(api.call("POST", "/v1/tickets", None).await.status, 201);
    // Old enough for the search index.
    execute(
        &node.database.pool,
        "UPDATE agent.messages SET created_at = created_at - interval '1 minute';
         UPDATE agent.search_progress SET indexed_until = '-infinity';
         SELECT agent.index_messages(1000);",
    )
    .await;
    client
}

/// Under a daily limit, so that something is set aside.
const LIMITED: [(&str, &str); 1] = [("COST_PER_DAY_USD", "100")];

/// The tables that hold something of a user.
const TABLES_OF_USERS: [&str; 11] = [
    "chunks",
    "connections",
    "feedback",
    "messages",
    "notifications",
    "reservations",
    "runs",
    "search_index",
    "sessions",
    "tickets",
    "usage",
];

#[tokio::test]
async fn an_erased_user_leaves_no_trace_in_any_table_and_nobody_else_is_touched() {
    Box::pin(leaves_no_trace(TestDatabase::new().await)).await;
}

/// A user is erased over one node while connected to it and to another.
pub(crate) async fn leaves_no_trace(database: TestDatabase) {
    let provider = ScriptedProvider::start().await;
    let mut one = TestNode::start_on(database, &provider, &LIMITED).await;
    let mut two = TestNode::start_on(one.database.clone(), &provider, &LIMITED).await;
    one.listening().await;
    two.listening().await;
    let mut bob = one.connect("bob").await;
    bob.ask("q1", "stays").await;
    let mut client = full_life(&one, &provider).await;
    let mut elsewhere = two.resume("marker-user", &client.session, 0).await;
    elsewhere.live().await;
    let pool = one.database.pool.clone();
    eventually("there is something in every table", || async {
        traces(&pool, "marker").await == TABLES_OF_USERS
    })
    .await;

    let api = Api::new(&two.base, &token("marker-user"));
    let reply = api.call("DELETE", "/v1/users/me", None).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let receipt = reply.json();
    let rows = receipt["rows_removed"].as_object().unwrap();
    assert!(rows.keys().eq(TABLES_OF_USERS), "{receipt}");
    assert!(rows.values().all(|n| n.as_i64().unwrap() > 0), "{receipt}");
    assert_eq!((&rows["sessions"], &rows["messages"]), (&json!(1), &json!(4)));
    let total: i64 = rows.values().map(|n| n.as_i64().unwrap()).sum();
    assert_eq!(
        (&receipt["total"], &receipt["user_id"]),
        (&json!(total), &json!("marker-user"))
    );

    assert_eq!(client.closed().await.0, 4509);
    assert_eq!(elsewhere.closed().await.0, 4509);
    eventually("the answer is no longer written", || async {
        one.node().service().runs.count() == 0
    })
    .await;
    // The closed sockets' rows follow within a second.
    eventually("nothing is left", || async {
        traces(&pool, "marker").await.is_empty()
    })
    .await;
    assert_eq!(bob.ask("q2", "is still here").await["seq"], 4);

    // The same person may begin again, as if for the first time.
    let again = api.call("GET", "/v1/sessions", None).await.json();
    assert_eq!(again["sessions"], json!([]));
    two.shut_down().await;
    one.shut_down().await;
}

#[tokio::test]
async fn a_user_is_erased_by_sql_while_connected_with_a_receipt() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &LIMITED).await;
    node.listening().await;
    let mut client = full_life(&node, &provider).await;
    let rows = sqlx::query("SELECT * FROM agent.erase_user('marker-user')")
        .fetch_all(&node.database.pool)
        .await
        .unwrap();
    let tables: Vec<String> = rows.iter().map(|row| row.get("table_name")).collect();
    assert_eq!(tables, TABLES_OF_USERS);
    assert_eq!(client.closed().await.0, 4509);
    eventually("the answer is no longer written, and nothing is left", || async {
        node.node().service().runs.count() == 0 && traces(&node.database.pool, "marker").await.is_empty()
    })
    .await;
    node.shut_down().await;
}

/// Waits until a statement of a server with these words, among the first 1,024 bytes, waits for somebody's lock.
async fn waits_for_a_lock(pool: &PgPool, words: &str) {
    eventually("the statement waits for a lock", || async {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
                            AND wait_event_type = 'Lock' AND strpos(query, $1) > 0)",
        )
        .bind(words)
        .fetch_one(pool)
        .await
        .unwrap();
        waiting
    })
    .await;
}

#[tokio::test]
async fn text_that_is_written_behind_an_erasure_is_not_stored() {
    let provider = ScriptedProvider::start().await;
    provider.on(
        "slow",
        Script::new().wait_for("erasing").text("marker text ").stall(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut client = node.connect("marker-user").await;
    client.query("q1", "slow").await;
    provider.wait_for(|tally| tally.calls == 1).await;

    // Everything is removed, and not yet committed, when the first text is written: it sees the run as it was before.
    let pool = &node.database.pool;
    let mut erasure = pool.begin().await.unwrap();
    sqlx::query("SELECT * FROM agent.erase_user('marker-user')")
        .execute(&mut *erasure)
        .await
        .unwrap();
    provider.open("erasing");
    waits_for_a_lock(pool, "start_at, content, prompt").await;
    erasure.commit().await.unwrap();

    eventually("the answer is no longer written", || async {
        node.node().service().runs.count() == 0
    })
    .await;
    assert_eq!(node.database.count("SELECT count(*) FROM agent.chunks").await, 0);
    assert_eq!(client.closed().await.0, 4509);
    node.shut_down().await;
}

#[tokio::test]
async fn the_answer_of_an_erased_user_ends_also_where_nobody_can_tell_its_node() {
    let provider = ScriptedProvider::start().await;
    provider.on("slow", Script::new().text("marker text ").stall());
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
    let mut node = TestNode::start_with(TestDatabase::new().await, nowhere, &provider, &[]).await;
    let mut client = node.connect("marker-user").await;
    client.query("q1", "slow").await;
    let pool = node.database.pool.clone();
    // Whoever writes no more does not find out by writing.
    eventually("its text is stored", || async {
        traces(&pool, "marker text").await == ["chunks"]
    })
    .await;
    sqlx::query("SELECT * FROM agent.erase_user('marker-user')")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(client.closed().await.0, 4509);
    provider.wait_for(|tally| tally.aborted == 1).await;
    eventually("nothing is left", || async {
        node.node().service().runs.count() == 0 && traces(&pool, "marker").await.is_empty()
    })
    .await;
    node.shut_down().await;
}
