//! Postgres going away and coming back, with clients connected.

use std::time::Duration;

use tokio::task::JoinSet;

use super::serve;
use crate::support::chaos::ChaosProxy;
use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::fleet::Fleet;
use crate::support::node::{TestNode, token, values};
use crate::support::process::ServeProcess;
use crate::support::provider::{Script, ScriptedProvider};

/// As long as a quick failover, and longer than the lease of a test's node.
const OUTAGE: Duration = Duration::from_secs(3);

/// Whether the node serves and hears.
async fn is_ready(fleet: &Fleet) -> bool {
    let (status, body) = fleet.node(0).ready().await;
    status == 200 && body["status"] == "ready"
}

#[tokio::test]
async fn postgres_refusing_for_seconds_costs_time_and_nothing_else() {
    let provider = ScriptedProvider::start().await;
    provider.on(
        "through",
        Script::new()
            .text("from before ")
            .wait_for("back")
            .text("to after")
            .finish("stop")
            .done(),
    );
    // Polling so slow that what is heard afterwards was heard by LISTEN.
    let mut fleet = Fleet::start(1, &provider, &[("POLL_INTERVAL_MS", "60000")]).await;
    for _ in 0..3 {
        let session = fleet.session("alice").await;
        for _ in 0..2 {
            fleet.device("alice", &session, 0);
        }
    }
    eventually("the node is ready", || is_ready(&fleet)).await;
    fleet.devices[0].ask("through", "through", "enqueue");
    fleet.acknowledged().await;
    provider.wait_for(|tally| tally.calls == 1).await;

    fleet.proxy(0).refuse();
    for (n, device) in fleet.devices.iter().enumerate() {
        device.ask(&format!("during-{n}"), "asked meanwhile", "enqueue");
    }
    eventually("/readyz says so", || async {
        fleet.node(0).ready().await.0 == 503
    })
    .await;
    tokio::time::sleep(OUTAGE).await;
    assert_eq!(fleet.node(0).ready().await.0, 503);
    fleet.proxy(0).restore();
    provider.open("back");

    eventually("the node is ready again", || is_ready(&fleet)).await;
    fleet.database.notify("alice", "heard after the outage").await;
    fleet.rest().await;
    assert_eq!(fleet.verify().await.accepted, 7);
    let through: (String, String) = sqlx::query_as(
        "SELECT a.state, a.content FROM agent.messages AS a JOIN agent.messages AS q ON q.message_id = a.in_reply_to
         WHERE q.client_id = 'through'",
    )
    .fetch_one(&fleet.database.pool)
    .await
    .unwrap();
    assert_eq!(
        through,
        ("complete".to_owned(), "from before to after".to_owned())
    );
    let devices = fleet.devices.clone();
    eventually("the notification arrived everywhere", || {
        std::future::ready(
            devices
                .iter()
                .all(|device| device.memory().ledger.seen.len() == 1),
        )
    })
    .await;
    fleet.shut_down().await;
}

#[tokio::test]
async fn connections_that_are_cut_or_stall_are_replaced_and_what_they_carried_is_not_lost() {
    let provider = ScriptedProvider::start().await;
    let mut fleet = Fleet::start(1, &provider, &[]).await;
    let session = fleet.session("alice").await;
    for _ in 0..2 {
        fleet.device("alice", &session, 0);
    }
    let mut asked = 0;
    for round in 0..10 {
        for (n, device) in fleet.devices.iter().enumerate() {
            device.ask(&format!("q{round}-{n}"), "Hello", "enqueue");
            asked += 1;
        }
        if round % 3 == 2 {
            fleet.proxy(0).stall();
            // Long enough for what is under way to be caught in the middle.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        fleet.proxy(0).cut();
        fleet.proxy(0).restore();
        fleet.acknowledged().await;
    }

    fleet.rest().await;

    assert_eq!(fleet.verify().await.accepted, asked);
    fleet.shut_down().await;
}

#[tokio::test]
async fn a_run_whose_prompt_could_not_be_read_goes_back_to_its_queue_once_postgres_is_back() {
    let provider = ScriptedProvider::start().await;
    provider.on("first", Script::new().text("long").wait_for("never"));
    let database = TestDatabase::new().await;
    let proxy = ChaosProxy::start(&database.server_url);
    let crowded = serve("crowded", &database, &provider, &[("MAX_RUNS_PER_USER", "1")]).await;
    for question in ["first", "second"] {
        TestClient::connect(&crowded.base, &token("alice"), "")
            .await
            .query("q", question)
            .await;
    }
    provider.wait_for(|tally| tally.calls == 1).await;
    // Prompts cannot be read while this holds, but runs can be claimed.
    let mut lock = database.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE agent.messages IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    // A lease so long that nothing but the release itself can free the session in time.
    let changes = [("MAX_RUNS_PER_USER", "0"), ("LEASE_MS", "60000")];
    let _free = ServeProcess::start("free", values(&provider.base_url(), &proxy.url, &changes)).await;
    // Not only claimed: a node that was cut off before it learned of that would leave the run to its lease.
    eventually("the second run's prompt is being read", || async {
        database
            .count(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                   AND query LIKE '%FROM agent.messages%'",
            )
            .await
            == 1
    })
    .await;

    proxy.cut();
    lock.rollback().await.unwrap();

    eventually("the second run is complete", || async {
        database
            .count("SELECT count(*) FROM agent.runs WHERE state = 'complete'")
            .await
            == 1
    })
    .await;
}

#[tokio::test]
async fn a_cursor_that_is_quicker_than_the_hint_is_kept_by_the_next_node() {
    let provider = ScriptedProvider::start().await;
    let mut first = TestNode::start(&provider, &[]).await;
    let proxy = ChaosProxy::start(&first.database.server_url);
    let slow_poll = [("POLL_INTERVAL_MS", "60000")];
    let mut next =
        TestNode::start_with(first.database.clone(), proxy.url.clone(), &provider, &slow_poll).await;
    next.listening().await;
    let mut client = first.connect("alice").await;
    // The next node knows the session, and hears nothing of it from here on.
    let mut watcher = next.resume("alice", &client.session, 0).await;
    watcher.live().await;
    proxy.stall();
    client.ask("q1", "Hello").await;

    let mut moved = next.resume("alice", &client.session, 2).await;
    moved.live().await;

    let again: Vec<_> = moved
        .frames
        .iter()
        .filter(|frame| !frame["seq"].is_null())
        .collect();
    assert!(again.is_empty(), "sent again: {again:#?}");
    assert_eq!(moved.frames[0]["head"], 2);
    proxy.restore();
    next.shut_down().await;
    first.shut_down().await;
}

#[tokio::test]
async fn a_node_cut_off_longer_than_its_lease_cannot_write_over_what_the_others_decided() {
    let provider = ScriptedProvider::start().await;
    let script = Script::new().text("one ").text("two ").wait_for("too late");
    provider.on("count", script.text("three").finish("stop").done());
    let mut fleet = Fleet::start(2, &provider, &[]).await;
    let session = fleet.session("alice").await;
    for node in 0..2 {
        fleet.device("alice", &session, node);
    }
    fleet.devices[0].ask("q1", "count", "enqueue");
    let database = fleet.database.clone();
    eventually("the text is stored", || async {
        database
            .count("SELECT coalesce(sum(octet_length(content)), 0) FROM agent.chunks")
            .await
            == 8
    })
    .await;

    fleet.proxy(0).refuse();
    eventually("the other node has ended the run", || async {
        database
            .count("SELECT count(*) FROM agent.runs WHERE state = 'incomplete'")
            .await
            == 1
    })
    .await;
    provider.open("too late");
    provider.wait_for(|tally| tally.played == 1).await;
    fleet.proxy(0).restore();
    fleet.devices[0].ask("q2", "And on?", "enqueue");

    fleet.rest().await;
    assert_eq!(fleet.verify().await.accepted, 2);
    let answers: Vec<(String, String)> =
        sqlx::query_as("SELECT state, content FROM agent.messages WHERE role = 'assistant' ORDER BY seq")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    assert_eq!(answers[0], ("incomplete".to_owned(), "one two ".to_owned()));
    assert_eq!(answers[1].0, "complete");
    assert_eq!(answers.len(), 2);
    fleet.shut_down().await;
}

#[tokio::test]
async fn a_node_whose_pool_is_all_taken_keeps_its_lease() {
    const POOL: i64 = 4;
    let provider = ScriptedProvider::start().await;
    let changes = [("DATABASE_MAX_CONNECTIONS", &*POOL.to_string())];
    let mut node = TestNode::start(&provider, &changes).await;
    let pool = node.database.pool.clone();
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE agent.chunks IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..POOL {
        let store = node.node().service().store.clone();
        waiting.spawn(async move { store.sweep_chunks(Duration::ZERO, 1).await });
    }
    eventually("the pool is all taken", || async {
        node.database
            .count(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .await
            == POOL
    })
    .await;
    let lease_until = async || {
        sqlx::query_scalar::<_, f64>(
            "SELECT extract(epoch FROM lease_until)::double precision FROM agent.nodes",
        )
        .fetch_one(&pool)
        .await
        .unwrap()
    };
    let before = lease_until().await;
    eventually("the lease is renewed", || async { lease_until().await > before }).await;
    assert!(
        waiting.try_join_next().is_none(),
        "the pool was taken all the time"
    );
    lock.rollback().await.unwrap();
    for swept in waiting.join_all().await {
        assert_eq!(swept.unwrap(), 0);
    }
    node.shut_down().await;
}

#[tokio::test]
async fn without_the_listening_connection_polling_delivers_and_readyz_says_degraded_until_it_is_back() {
    let provider = ScriptedProvider::start().await;
    let database = TestDatabase::new().await;
    let proxy = ChaosProxy::start(&database.server_url);
    let mut settings = values(&provider.base_url(), &database.server_url, &[]);
    settings.insert("LISTEN_DATABASE_URL".to_owned(), proxy.url.clone());
    let node = ServeProcess::start("node", settings).await;
    eventually("it hears", || async { node.ready().await.1["status"] == "ready" }).await;
    let mut client = TestClient::connect(&node.base, &token("alice"), "").await;
    client.live().await;

    proxy.refuse();

    eventually("it is degraded", || async {
        let (status, body) = node.ready().await;
        status == 200 && body["status"] == "degraded" && body["notify"] == "unavailable"
    })
    .await;
    database.notify("alice", "Polled").await;
    client.until(|frame| frame["content"] == "Polled").await;
    assert_eq!(client.ask("q", "Hello").await["state"], "complete");
    proxy.restore();
    eventually("it hears again", || async {
        node.ready().await.1["status"] == "ready"
    })
    .await;
}
