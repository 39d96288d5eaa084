//! Who is connected, as anybody with SQL sees it: `agent.live_connections`.

use serde_json::json;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::http::request;
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;

/// Everybody: user, session, device.
async fn live(database: &TestDatabase) -> Vec<(String, String, Option<String>)> {
    sqlx::query_as("SELECT user_id, session_id::text, device_id FROM agent.live_connections ORDER BY user_id")
        .fetch_all(&database.pool)
        .await
        .unwrap()
}

async fn until(database: &TestDatabase, expected: &[(&str, &str, Option<&str>)]) {
    let expected: Vec<(String, String, Option<String>)> = expected
        .iter()
        .map(|(user, session, device)| {
            let device = device.map(str::to_owned);
            ((*user).to_owned(), (*session).to_owned(), device)
        })
        .collect();
    eventually(&format!("{expected:?} are connected"), || async {
        live(database).await == expected
    })
    .await;
}

#[tokio::test]
async fn connections_of_every_node_are_rows_that_move_and_go_with_them() {
    let provider = ScriptedProvider::start().await;
    let mut one = TestNode::start(&provider, &[]).await;
    let mut two = TestNode::start_on(one.database.clone(), &provider, &[]).await;
    let mut alice = TestClient::connect(&one.base, &token("alice"), "?device_id=phone").await;
    let bob = two.connect("bob").await;
    let (a, b) = (alice.session.clone(), bob.session.clone());
    until(&one.database, &[("alice", &a, Some("phone")), ("bob", &b, None)]).await;
    let since = "SELECT count(*) FROM agent.live_connections WHERE connected_at > clock_timestamp() - interval '1 minute'";
    assert_eq!(one.database.count(since).await, 2);

    let opened = alice.command("new", json!({})).await;
    let moved = opened["data"]["session_id"].as_str().unwrap().to_owned();
    until(
        &one.database,
        &[("alice", &moved, Some("phone")), ("bob", &b, None)],
    )
    .await;

    drop(alice.cut());
    until(&one.database, &[("bob", &b, None)]).await;

    // A node that died has not taken its rows off; its lease says that they are nobody's.
    sqlx::query(
        "UPDATE agent.nodes SET lease_until = clock_timestamp() - interval '1 second' WHERE node_id = $1",
    )
    .bind(two.node().service().node.0)
    .execute(&one.database.pool)
    .await
    .unwrap();
    assert_eq!(live(&one.database).await, []);

    two.shut_down().await;
    assert_eq!(
        one.database.count("SELECT count(*) FROM agent.connections").await,
        0
    );
    one.shut_down().await;
}

#[tokio::test]
async fn operators_see_connections_and_the_listener_as_metrics_and_users_do_not() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut client = node.connect("alice").await;
    client.live().await;
    sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ('alice', 'hello')")
        .execute(&node.database.pool)
        .await
        .unwrap();
    client.until(|frame| frame["event"] == "message").await;
    let reply = request(&node.admin, "GET", "/metrics", &[], None).await;
    assert_eq!(reply.status, 200);
    for line in [
        "agent_websocket_listener_up 1",
        "agent_websocket_connections 1",
        "agent_websocket_notifications_delivered_total 1",
        "agent_websocket_notification_delivery_seconds_count 1",
    ] {
        assert!(reply.body.lines().any(|l| l == line), "{line}: {}", reply.body);
    }
    request(&node.base, "GET", "/metrics", &[], None)
        .await
        .problem(404, "not_found");
    node.shut_down().await;
}
