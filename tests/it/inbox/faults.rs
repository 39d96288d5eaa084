//! The look for what is new, when something goes wrong in the middle of it.

use std::sync::Arc;
use std::time::Duration;

use agent_websocket::clock::Clock;
use agent_websocket::feed::{Feed, Inbox};
use agent_websocket::ids::{ConnectionId, NodeId, UserId};
use agent_websocket::metrics::Metrics;
use agent_websocket::notify::hub::Hub;
use agent_websocket::notify::mailbox::{Mail, Mailbox};
use agent_websocket::notify::notifier::Notifier;
use agent_websocket::store::Store;
use serde_json::json;
use tokio::time::timeout;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::device::Device;
use crate::support::fleet::Fleet;
use crate::support::gate::{DELIVERY, Gate, PENDING};
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;
use crate::support::{PATIENCE, eventually};

/// More than one look takes.
const MORE_THAN_A_LOOK: usize = 20_001;

/// A node, and these users on it.
async fn node_with<const N: usize>(
    changes: &[(&str, &str)],
    users: [&str; N],
) -> (ScriptedProvider, TestNode, [TestClient; N]) {
    let provider = ScriptedProvider::start().await;
    let node = TestNode::start(&provider, changes).await;
    node.listening().await;
    let mut clients = Vec::new();
    for user in users {
        let mut client = node.connect(user).await;
        client.live().await;
        clients.push(client);
    }
    let clients = clients.try_into().ok().unwrap();
    (provider, node, clients)
}

#[tokio::test]
async fn a_look_that_fails_midway_is_made_again_and_nobody_is_told_twice() {
    let users = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"];
    let (_provider, mut node, mut clients) = node_with(&[], users).await;
    // Rows are read 500 at a time: the second read fails, and the first one has delivered.
    let gate = Gate::that_fails(&node.database, DELIVERY, "700").await;
    let rows = "INSERT INTO agent.notifications (user_id, content)
                SELECT 'u' || (n - 1) / 150, n::text FROM generate_series(1, 1200) AS n";
    node.database.execute(rows).await;
    clients[0].notified("150").await;
    clients[3].notified("500").await;
    gate.visited(3).await;
    for (n, told) in [(3, 50), (4, 0), (7, 0)] {
        clients[n].command("ping", json!({})).await;
        assert_eq!(clients[n].told().len(), told, "u{n}, while it fails");
    }

    gate.open().await;

    for (n, client) in clients.iter_mut().enumerate() {
        let last = ((n + 1) * 150).to_string();
        if !client.told().contains(&last.as_str()) {
            client.notified(&last).await;
        }
        client.command("ping", json!({})).await;
        let all: Vec<String> = (n * 150 + 1..=(n + 1) * 150).map(|n| n.to_string()).collect();
        assert_eq!(client.told(), all, "u{n}, each once");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn who_connects_between_a_look_and_its_delivery_is_told_once() {
    let (_provider, mut node, [mut bob]) = node_with(&[], ["bob"]).await;
    let (gate, shut) = Gate::that_is_shut(&node.database, DELIVERY).await;
    node.database
        .execute(
            "INSERT INTO agent.notifications (user_id, content) VALUES ('bob', 'his'), ('alice', 'hers')",
        )
        .await;
    gate.visited(1).await;

    let mut alice = node.connect("alice").await;
    alice.live().await;
    assert_eq!(alice.told(), ["hers"]);
    assert_eq!(alice.frames[1]["replay"], true);
    shut.commit().await.unwrap();
    bob.notified("his").await;

    node.database
        .execute(
            "INSERT INTO agent.notifications (user_id, content) VALUES ('bob', 'last'), ('alice', 'last')",
        )
        .await;
    alice.notified("last").await;
    bob.notified("last").await;
    assert_eq!(alice.told(), ["hers", "last"]);
    assert_eq!(bob.told(), ["his", "last"]);
    node.shut_down().await;
}

#[tokio::test]
async fn what_comes_while_a_client_reads_what_is_pending_follows_after_live() {
    let (_provider, mut node, [mut bob]) = node_with(&[], ["bob"]).await;
    node.database.notify("alice", "before").await;
    let (gate, shut) = Gate::that_is_shut(&node.database, PENDING).await;
    let meanwhile = async {
        gate.visited(1).await;
        let rows = "INSERT INTO agent.notifications (user_id, content) VALUES ('alice', 'meanwhile'), ('bob', 'his')";
        node.database.execute(rows).await;
        bob.notified("his").await;
        shut.commit().await.unwrap();
    };
    let (mut alice, ()) = tokio::join!(node.connect("alice"), meanwhile);

    alice.live().await;
    assert_eq!(alice.told(), ["before"]);
    let frame = alice.notified("meanwhile").await;
    assert_eq!(frame.get("replay"), None);
    node.database.notify("alice", "last").await;
    alice.notified("last").await;
    assert_eq!(alice.told(), ["before", "meanwhile", "last"]);
    node.shut_down().await;
}

#[tokio::test]
async fn when_more_happened_than_a_look_takes_everybody_reads_what_is_pending() {
    let (_provider, mut node, [mut alice, mut carol]) = node_with(&[], ["alice", "carol"]).await;
    node.database.notify("carol", "before").await;
    carol.notified("before").await;
    let rows = format!(
        "INSERT INTO agent.notifications (user_id, content)
         SELECT CASE WHEN n <= 300 THEN 'alice' WHEN n = 301 THEN 'carol' ELSE 'nobody here' END, n::text
         FROM generate_series(1, {MORE_THAN_A_LOOK}) AS n"
    );
    node.database.execute(rows).await;
    alice.notified("300").await;
    let all: Vec<String> = (1..=300).map(|n| n.to_string()).collect();
    assert_eq!(alice.told(), all);
    carol.notified("301").await;
    node.database.notify("carol", "after").await;
    carol.notified("after").await;
    assert_eq!(carol.told(), ["before", "301", "after"], "each once");
    node.shut_down().await;
}

#[tokio::test]
async fn when_more_was_acknowledged_than_a_look_takes_the_devices_are_told_all_the_same() {
    let (_provider, mut node, [mut alice, mut other]) = node_with(&[], ["alice", "alice"]).await;
    let rows = format!(
        "INSERT INTO agent.notifications (user_id, content)
         SELECT 'nobody here', n::text FROM generate_series(1, {MORE_THAN_A_LOOK}) AS n"
    );
    node.database.execute(rows).await;
    node.database.notify("alice", "hers").await;
    let id = alice.notified("hers").await["notification_id"].clone();
    other.notified("hers").await;

    // In one transaction, so that it is one look that sees it.
    node.database
        .execute(
            "SELECT count(*) FROM unnest(ARRAY['nobody here', 'alice']) AS u,
                                  LATERAL (SELECT agent.acknowledge(u, NULL)) AS done",
        )
        .await;
    for client in [&mut alice, &mut other] {
        let cleared = client.until(|frame| frame["event"] == "cleared").await;
        assert_eq!(cleared["notification_ids"], json!([id]));
    }
    node.shut_down().await;
}

#[tokio::test]
async fn conversations_that_cannot_be_written_to_hold_up_no_delivery() {
    let (_provider, mut node, [mut alice, mut bob]) = node_with(&[], ["alice", "bob"]).await;
    let mut lock = node.database.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE agent.messages IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let row = format!(
        "SELECT agent.notify(user_id => 'alice', content => 'kept', session_id => '{}', in_context => true)",
        alice.session
    );
    node.database.execute(row).await;
    for n in 0..5 {
        let content = format!("his {n}");
        node.database.notify("bob", &content).await;
        let told = timeout(Duration::from_secs(3), bob.notified(&content)).await;
        assert!(told.is_ok(), "{content} waits for a conversation of alice's");
    }
    assert_eq!(alice.notified("kept").await.get("seq"), None);
    lock.commit().await.unwrap();
    let kept = alice.until(|frame| frame["seq"].is_i64()).await;
    assert_eq!((&kept["content"], &kept["seq"]), (&json!("kept"), &json!(1)));
    node.shut_down().await;
}

#[tokio::test]
async fn a_device_whose_acknowledgement_failed_is_told_when_another_succeeds() {
    let (_provider, mut node, [mut phone, mut laptop]) = node_with(&[], ["alice", "alice"]).await;
    node.database.notify("alice", "seen?").await;
    let id = phone.notified("seen?").await["notification_id"].clone();
    laptop.notified("seen?").await;
    node.database
        .execute("REVOKE UPDATE ON agent.notifications FROM agent_app")
        .await;
    let failed = phone.command("ack", json!({ "notification_ids": [id] })).await;
    assert_eq!(failed["type"], "error", "{failed}");
    node.database
        .execute("GRANT UPDATE ON agent.notifications TO agent_app")
        .await;

    laptop.command("ack", json!({ "notification_ids": [id] })).await;

    let cleared = phone.until(|frame| frame["event"] == "cleared").await;
    assert_eq!(cleared["notification_ids"], json!([id]));
    laptop.command("ping", json!({})).await;
    assert!(laptop.frames.iter().all(|frame| frame["event"] != "cleared"));
    node.shut_down().await;
}

#[tokio::test]
async fn a_device_that_acknowledges_what_another_just_did_is_told_so() {
    let (_provider, mut node, [mut phone]) = node_with(&[], ["alice"]).await;
    for content in ["both", "mine"] {
        node.database.notify("alice", content).await;
        phone.notified(content).await;
    }
    let (both, mine) = (id_of(&phone, "both"), id_of(&phone, "mine"));
    let mut other = node.database.pool.begin().await.unwrap();
    sqlx::query("SELECT agent.acknowledge('alice', ARRAY[$1::uuid])")
        .bind(&both)
        .execute(&mut *other)
        .await
        .unwrap();
    let ack = json!({ "type": "command", "content": "ack", "id": "a", "args": { "notification_ids": [both, mine] } });
    phone.send(&ack).await;
    eventually("it waits for the other", || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%agent.acknowledge%'";
        node.database.count(waiting).await == 1
    })
    .await;
    other.commit().await.unwrap();
    node.database
        .execute("SELECT pg_notify('agent_notifications', '')")
        .await;
    let done = phone.until(|frame| frame["re"] == "a").await;
    assert_eq!(done["data"]["notification_ids"], json!([mine]));
    if !phone.frames.iter().any(|frame| frame["event"] == "cleared") {
        phone.until(|frame| frame["event"] == "cleared").await;
    }
    phone.command("ping", json!({})).await;
    let cleared: Vec<_> = phone
        .frames
        .iter()
        .filter(|frame| frame["event"] == "cleared")
        .collect();
    assert_eq!(cleared.len(), 1, "{cleared:?}");
    assert_eq!(cleared[0]["notification_ids"], json!([both]));
    node.shut_down().await;
}

/// The id of the notification with this content.
fn id_of(client: &TestClient, content: &str) -> String {
    let frame = client.frames.iter().find(|frame| frame["content"] == content);
    frame.unwrap()["notification_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_has_ten_thousand_is_sent_the_rest_when_some_were_acknowledged() {
    const MOST: usize = 10_000;
    let (_provider, mut node, [mut phone]) = node_with(&[], ["alice"]).await;
    let rows = format!(
        "INSERT INTO agent.notifications (user_id, content) SELECT 'alice', n::text FROM generate_series(1, {MOST} + 50) AS n"
    );
    node.database.execute(rows).await;
    phone.notified(&MOST.to_string()).await;
    phone.command("ping", json!({})).await;
    assert_eq!(phone.told().len(), MOST);
    let first = id_of(&phone, "1");
    phone.command("ack", json!({ "notification_ids": [first] })).await;
    phone.notified(&(MOST + 1).to_string()).await;
    let mut laptop = node.connect("alice").await;
    laptop.command("ack", json!({ "all": true })).await;
    phone.notified(&(MOST + 50).to_string()).await;
    node.database.notify("alice", "after").await;
    phone.notified("after").await;
    node.shut_down().await;
}

#[tokio::test]
async fn rows_that_a_dump_brought_from_another_cluster_are_not_new_for_ever() {
    let database = TestDatabase::new().await;
    // Their transactions have numbers that this cluster will reach in years.
    database
        .execute(
            "INSERT INTO agent.notifications (user_id, content, inserted_by, acknowledged_at, acknowledged_by)
             VALUES ('alice', 'pending', '999999999999', NULL, NULL),
                    ('alice', 'seen', '999999999999', now(), '999999999999')",
        )
        .await;
    let store = Store::connect(&database.server_url, 1).await.unwrap();
    let mut lookout = store.lookout();
    let horizon = lookout.horizon().await.unwrap();
    database.notify("alice", "new").await;
    let look = lookout.look(&horizon, 10).await.unwrap();
    assert_eq!((look.new.len(), look.cleared.len()), (1, 0));
    let nothing = lookout.look(&look.next, 10).await.unwrap();
    assert_eq!((nothing.new.len(), nothing.cleared.len()), (0, 0));
    let user = UserId::new("alice").unwrap();
    let pending = store.pending_notifications(&user, &[], 10).await.unwrap();
    assert_eq!(pending.len(), 2, "a connect brings them");
    store.close().await;
}

#[tokio::test]
async fn who_was_there_before_the_first_look_reads_again() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let (hub, mailbox) = (Arc::new(Hub::default()), Mailbox::default());
    let alice = UserId::new("alice").unwrap();
    assert!(hub.enter(&alice, ConnectionId::new(), mailbox.clone(), 0));
    let (notifier, _unused) = Notifier::new(store.options().clone());
    let (feed, _follower) = Feed::new(
        Arc::clone(&hub),
        store.clone(),
        store.creator(NodeId(1), 0).0,
        store.opener(NodeId(1)).0,
        notifier,
        NodeId(1),
        Clock::system(),
    );
    let (_bell, inbox) = Inbox::new(feed, Duration::from_hours(1), Metrics::default());
    tokio::select! {
        () = inbox.run() => panic!("it looks for ever"),
        told = timeout(PATIENCE, mailbox.rung()) => assert!(told.is_ok(), "she should be told"),
    }
    assert!(matches!(mailbox.take(), Mail::Lost));
    store.close().await;
}

#[tokio::test]
async fn a_node_whose_connections_all_went_dead_without_a_word_makes_new_ones() {
    let provider = ScriptedProvider::start().await;
    let mut fleet = Fleet::start(1, &provider, &[("DATABASE_MAX_CONNECTIONS", "4")]).await;
    let session = fleet.session("alice").await;
    for _ in 0..5 {
        fleet.device("alice", &session, 0);
    }
    // So much at once that the pool has all of its connections.
    for n in 0..10 {
        fleet.devices[n % 5].ask(&format!("q{n}"), "Hello", "enqueue");
    }
    fleet.rest().await;

    fleet.proxy(0).strand();
    fleet.database.notify("alice", "after").await;

    eventually("it can be used", || async {
        fleet.node(0).ready().await.0 == 200
    })
    .await;
    let devices = fleet.devices.clone();
    eventually("every device is told", || {
        let told = |device: &Device| !device.memory().ledger.seen.is_empty();
        std::future::ready(devices.iter().all(told))
    })
    .await;
    fleet.devices[0].ask("after", "Still there?", "enqueue");
    fleet.rest().await;
    fleet.shut_down().await;
}

#[tokio::test]
async fn a_node_whose_connections_are_all_dead_ends_when_it_is_told_to() {
    let provider = ScriptedProvider::start().await;
    let mut fleet = Fleet::start(1, &provider, &[("DATABASE_MAX_CONNECTIONS", "4")]).await;
    let session = fleet.session("alice").await;
    fleet.device("alice", &session, 0);
    fleet.devices[0].ask("q", "Hello", "enqueue");
    fleet.rest().await;

    fleet.proxy(0).strand();
    let mut leaving = fleet.take(0);
    leaving.process.terminate();
    let status = leaving.process.finished().await;
    assert!(status.success(), "{status}");
    fleet.shut_down().await;
}
