//! Many who begin at once: their sessions are created together, each by its own user's limit and nobody twice.

use std::collections::HashSet;

use agent_websocket::ids::{NodeId, SessionId, SessionKey, UserId};
use agent_websocket::store::Store;
use agent_websocket::store::sessions::Mail;
use futures_util::future::join_all;

use crate::support::database::TestDatabase;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

const NODE: NodeId = NodeId(1);

fn key(user: &str) -> SessionKey {
    SessionKey {
        user_id: UserId::new(user).unwrap(),
        session_id: SessionId::new(),
    }
}

#[tokio::test]
async fn a_crowd_is_held_to_each_users_limit_and_to_no_others() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    assert_eq!(
        store
            .create_sessions(&[&key("alice")], NODE, 3)
            .await
            .unwrap()
            .len(),
        1
    );
    let (alice, bob): (Vec<_>, Vec<_>) = (
        (0..4).map(|_| key("alice")).collect(),
        (0..2).map(|_| key("bob")).collect(),
    );
    let asked: Vec<&SessionKey> = alice.iter().chain(&bob).collect();
    let created = store.create_sessions(&asked, NODE, 3).await.unwrap();
    let of = |keys: &[SessionKey]| keys.iter().filter(|key| created.contains_key(key)).count();
    assert_eq!((of(&alice), of(&bob)), (2, 2), "she has one already");
    let without_limit = store.create_sessions(&asked, NODE, 0).await.unwrap();
    assert_eq!(without_limit.len(), 2, "those that were left out");
    store.close().await;
}

#[tokio::test]
async fn of_two_who_ask_for_the_same_session_one_creates_it() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let same = key("alice");
    let (creator, creating) = store.creator(NODE, 0);
    let (answers, ()) = tokio::join!(
        async move { join_all((0..5).map(|_| creator.create(&same)).collect::<Vec<_>>()).await },
        creating.run(),
    );
    let created: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(created, [Mail::None]);
    store.close().await;
}

#[tokio::test]
async fn whoever_has_something_waiting_is_told_to_look() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    database.notify("alice", "pending").await;
    database.notify("bob", "seen").await;
    database
        .execute("UPDATE agent.notifications SET acknowledged_at = now(), acknowledged_by = '1' WHERE user_id = 'bob'")
        .await;
    let (alice, bob, carol) = (key("alice"), key("bob"), key("carol"));
    let created = store
        .create_sessions(&[&alice, &bob, &carol], NODE, 0)
        .await
        .unwrap();
    assert_eq!(
        [&alice, &bob, &carol].map(|key| created[key]),
        [Mail::Perhaps, Mail::None, Mail::None]
    );
    store.close().await;
}

#[tokio::test]
async fn everyone_who_waited_for_a_failure_hears_of_it_and_the_next_are_served() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let (creator, creating) = store.creator(NODE, 0);
    let crowd = async {
        database
            .execute("ALTER TABLE agent.sessions RENAME TO away")
            .await;
        let keys: Vec<_> = (0..3).map(|n| key(&format!("u{n}"))).collect();
        let failed = join_all(keys.iter().map(|key| creator.create(key))).await;
        assert!(failed.iter().all(Result::is_err), "{failed:?}");
        database
            .execute("ALTER TABLE agent.away RENAME TO sessions")
            .await;
        let served = join_all(keys.iter().map(|key| creator.create(key))).await;
        assert!(
            served.iter().all(|one| matches!(one, Ok(Some(Mail::None)))),
            "{served:?}"
        );
        drop(creator);
    };
    tokio::join!(crowd, creating.run());
    store.close().await;
}

#[tokio::test]
async fn a_crowd_of_clients_has_a_session_each() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("CONNECTIONS_PER_MINUTE_PER_ADDRESS", "1000")]).await;
    node.database.notify("u7", "waiting").await;
    let connected = join_all((0..60).map(|n| {
        let node = &node;
        async move { node.connect(&format!("u{n}")).await }
    }));
    let mut clients = connected.await;
    let mut sessions = HashSet::new();
    for client in &mut clients {
        let live = client.live().await;
        sessions.insert(live["session_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(sessions.len(), 60);
    assert_eq!(clients[7].told(), ["waiting"], "before she was live");
    node.shut_down().await;
}

#[tokio::test]
async fn what_each_of_a_crowd_keeps_is_summed_up_for_that_one() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    database
        .execute(
            "INSERT INTO agent.sessions (user_id, session_id, stored_bytes)
             VALUES ('alice', gen_random_uuid(), 3), ('alice', gen_random_uuid(), 4), ('bob', gen_random_uuid(), 5)",
        )
        .await;
    let (meter, metering) = store.storage_meter();
    let crowd = async {
        let users = ["bob", "alice", "carol", "alice"].map(|name| UserId::new(name).unwrap());
        let ask = || join_all(users.iter().map(|user| meter.stored_bytes(user)));
        let sums: Vec<u64> = ask().await.into_iter().map(Result::unwrap).collect();
        assert_eq!(sums, [5, 7, 0, 7]);
        database
            .execute("ALTER TABLE agent.sessions RENAME TO away")
            .await;
        let failed = ask().await;
        assert!(failed.iter().all(Result::is_err), "{failed:?}");
        database
            .execute("ALTER TABLE agent.away RENAME TO sessions")
            .await;
        assert!(ask().await.iter().all(Result::is_ok), "the next are served");
        drop(meter);
    };
    tokio::join!(crowd, metering.run());
    store.close().await;
}
