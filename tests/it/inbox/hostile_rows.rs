//! What the role which may do nothing but notify can write and say: none of it may stop what others are told.

use sqlx::AssertSqlSafe;

use crate::support::client::TestClient;
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};

/// What a service may put into a column, by intent or by accident. Each is refused in its own transaction, or harmless.
const ODD: [(&str, &str); 16] = [
    ("user_id", r"E'a\nb'"),
    ("user_id", r"E'a\u0085b'"),
    ("data", r#"'{"n": 1e400}'"#),
    ("data", r#"'[{"n": [-1e400]}]'"#),
    (
        "data",
        "('{\"a\":' || repeat('[', 200) || repeat(']', 200) || '}')::jsonb",
    ),
    ("data", "(repeat('[', 8000) || repeat(']', 8000))::jsonb"),
    ("data", "'null'"),
    ("data", r#"'"text"'"#),
    ("data", "'7'"),
    ("title", r"E'a\n\x1b[31mb\u2028'"),
    ("content", r"E'\x01\x1b\u2028'"),
    ("deliver_after", "'-infinity'"),
    ("deliver_after", "'infinity'"),
    ("deliver_after", "'4714-11-24 BC'"),
    ("expires_at", "'infinity'"),
    ("expires_at", "'-infinity'"),
];

/// Inserts a row for alice's session with an odd value, as the notifier; whether it was taken.
async fn insert(node: &TestNode, session: &str, column: &str, value: &str, in_context: &str) -> bool {
    let mut row = vec![
        ("user_id", "'alice'".to_owned()),
        ("content", "'odd'".to_owned()),
        ("session_id", format!("'{session}'")),
        ("in_context", in_context.to_owned()),
    ];
    row.retain(|(name, _)| *name != column);
    row.push((column, value.to_owned()));
    let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    let sql = format!(
        "INSERT INTO agent.notifications ({}) VALUES ({})",
        columns.join(", "),
        values.join(", ")
    );
    let mut notifier = node.database.pool.acquire().await.unwrap();
    sqlx::query("SET ROLE agent_notifier")
        .execute(&mut *notifier)
        .await
        .unwrap();
    let taken = sqlx::query(AssertSqlSafe(sql)).execute(&mut *notifier).await;
    sqlx::query("RESET ROLE").execute(&mut *notifier).await.unwrap();
    taken.is_ok()
}

/// Tells somebody something ordinary and waits until it arrives.
async fn assert_delivered(node: &TestNode, client: &mut TestClient, user: &str, text: &str) {
    sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ($1, $2)")
        .bind(user)
        .bind(text)
        .execute(&node.database.pool)
        .await
        .unwrap();
    client
        .until(|frame| frame["event"] == "message" && frame["content"] == text)
        .await;
}

#[tokio::test]
async fn no_row_that_a_notifier_may_write_stops_the_delivery_to_anybody() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut alice = node.connect("alice").await;
    let mut bob = node.connect("bob").await;
    let mut taken = 0;
    for (index, (column, value)) in ODD.iter().enumerate() {
        for in_context in ["false", "true"] {
            taken += u32::from(insert(&node, &alice.session, column, value, in_context).await);
            let text = format!("{index} {in_context} {column} = {value}");
            assert_delivered(&node, &mut bob, "bob", &text).await;
            assert_delivered(&node, &mut alice, "alice", &text).await;
        }
    }
    assert!(taken > 15, "most of them are harmless: {taken}");
    let mut again = node.resume("alice", &alice.session, 0).await;
    again.live().await;
    let answer = again.ask("q", "Still there?").await;
    assert_eq!(answer["state"], "complete");
    node.shut_down().await;
}

#[tokio::test]
async fn a_forged_hint_makes_a_node_look_and_do_nothing_else() {
    let provider = ScriptedProvider::start().await;
    provider.on(
        "slow",
        Script::new().text("x").wait_for("go").finish("stop").done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut alice = node.connect("alice").await;
    let run = alice.query("q", "slow").await["run_id"].clone();
    alice.until(|frame| frame["type"] == "delta").await;
    let own = format!("agent_node_{}", node.node().service().node);
    let session = &alice.session;
    let payloads = [
        String::new(),
        ",,,".to_owned(),
        "x'; DROP TABLE agent.messages; --".to_owned(),
        "sno-session,cno-session,\u{e9}".to_owned(),
        format!("s{session},c{session},n,p"),
        format!("c{}", uuid::Uuid::now_v7()),
        "s".repeat(7_900),
    ];
    let mut notifier = node.database.pool.acquire().await.unwrap();
    sqlx::query("SET ROLE agent_notifier")
        .execute(&mut *notifier)
        .await
        .unwrap();
    for payload in &payloads {
        for channel in [own.as_str(), "agent_notifications", "agent_work", "agent_node_0"] {
            sqlx::query("SELECT pg_notify($1, $2)")
                .bind(channel)
                .bind(payload)
                .execute(&mut *notifier)
                .await
                .unwrap();
        }
    }
    drop(notifier.close().await);
    assert_delivered(&node, &mut alice, "alice", "delivered all the same").await;
    let told = alice.frames.len();
    alice.command("ping", serde_json::json!({})).await;
    assert_eq!(alice.frames.len(), told + 1, "{:#?}", alice.frames);
    provider.open("go");
    let answer = alice
        .until(|frame| frame["type"] == "response" && frame["run_id"] == run)
        .await;
    assert_eq!(answer["state"], "complete", "nobody cancelled it");
    node.shut_down().await;
}
