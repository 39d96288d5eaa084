//! Many who come back at once: their sessions are opened together, each with what its client has missed; and what happens
//! meanwhile is neither lost nor doubled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use agent_websocket::clock::Clock;
use agent_websocket::feed::Feed;
use agent_websocket::ids::{NodeId, Seq, SessionId, SessionKey, UserId};
use agent_websocket::notify::hub::Hub;
use agent_websocket::notify::notifier::Notifier;
use agent_websocket::session::replay::Step;
use agent_websocket::store::Store;
use agent_websocket::store::sessions::{Mail, Opener, Watched};
use futures_util::future::join_all;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;
use crate::support::{PATIENCE, eventually};

const NODE: NodeId = NodeId(1);

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A session with messages of a length, written past the server.
async fn seeded(database: &TestDatabase, name: &str, messages: i64, bytes: i32) -> SessionKey {
    let session_id = SessionId::new();
    for sql in [
        "INSERT INTO agent.sessions (user_id, session_id, last_seq) SELECT $1, $2, $3 WHERE $4::integer > 0",
        "INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
         SELECT $1, $2, n, gen_random_uuid(), 'user', rpad(n::text, $4, '.'), clock_timestamp()
         FROM generate_series(1, $3) AS n",
    ] {
        sqlx::query(sql)
            .bind(name)
            .bind(session_id.0)
            .bind(messages)
            .bind(bytes)
            .execute(&database.pool)
            .await
            .unwrap();
    }
    SessionKey {
        user_id: user(name),
        session_id,
    }
}

/// The places of the messages that came with a session.
fn missed(watched: Option<&Watched>) -> Vec<i64> {
    let watched = watched.expect("a session that was opened");
    watched.missed.iter().map(|message| message.seq.0).collect()
}

async fn open_all(opener: &Opener, wanted: &[(&SessionKey, Option<i64>)]) -> Vec<Option<Watched>> {
    let found = join_all(wanted.iter().map(|(key, after)| opener.open(key, *after))).await;
    found.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn each_of_a_crowd_gets_what_he_has_missed_and_nothing_of_anybody_elses() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let (alice, bob) = (
        seeded(&database, "alice", 3, 10).await,
        seeded(&database, "bob", 60, 10).await,
    );
    let of_alice_by_bob = SessionKey {
        user_id: user("bob"),
        session_id: alice.session_id,
    };
    let nobodys = SessionKey {
        user_id: user("alice"),
        session_id: SessionId::new(),
    };
    let wanted = [
        (&of_alice_by_bob, Some(0)),
        (&alice, Some(1)),
        (&alice, Some(3)),
        (&alice, Some(4)),
        (&alice, None),
        (&nobodys, None),
        (&bob, Some(58)),
        (&bob, Some(10)),
        (&bob, None),
        (&bob, Some(9)),
        (&bob, Some(-1)),
    ];
    let (opener, task) = store.opener(NODE);
    let crowd = async {
        let found = open_all(&opener, &wanted).await;
        drop(opener);
        found
    };
    let (found, ()) = tokio::join!(crowd, task.run());
    assert_eq!(found[0], None, "another user's is none");
    assert_eq!(found[5], None);
    let newest: Vec<i64> = (11..=60).collect();
    let expected: [&[i64]; 9] = [
        &[2, 3],
        &[],
        // Beyond the head: the client drops its copy.
        &[1, 2, 3],
        &[1, 2, 3],
        &[59, 60],
        &newest,
        &newest,
        // One more than comes along.
        &[],
        &newest,
    ];
    let there = [1, 2, 3, 4, 6, 7, 8, 9, 10];
    for (place, expected) in there.into_iter().zip(expected) {
        assert_eq!(missed(found[place].as_ref()), expected, "{:?}", wanted[place]);
        let watched = found[place].as_ref().unwrap();
        assert_eq!(watched.session.session_id, wanted[place].0.session_id);
        for message in &watched.missed {
            assert_eq!(message.session_id, wanted[place].0.session_id);
        }
    }
    let watchers = "SELECT count(*) FROM agent.sessions WHERE watchers = '{1}'";
    assert_eq!(database.count(watchers).await, 2, "registered, and once");
    store.close().await;
}

#[tokio::test]
async fn what_comes_along_is_bounded_in_bytes_and_begins_with_what_is_kept() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let big = seeded(&database, "alice", 5, 15_000).await;
    let huge = seeded(&database, "bob", 5, 100_000).await;
    let pruned = seeded(&database, "carol", 9, 10).await;
    for sql in [
        "DELETE FROM agent.messages WHERE user_id = 'carol' AND seq < 6",
        "UPDATE agent.sessions SET first_seq = 6 WHERE user_id = 'carol'",
    ] {
        database.execute(sql).await;
    }
    let (opener, task) = store.opener(NODE);
    let crowd = async {
        let found = open_all(&opener, &[(&big, Some(0)), (&huge, Some(0)), (&pruned, None)]).await;
        drop(opener);
        found
    };
    let (found, ()) = tokio::join!(crowd, task.run());
    let found: Vec<Vec<i64>> = found.iter().map(|one| missed(one.as_ref())).collect();
    assert_eq!(found, [vec![4, 5], vec![], vec![6, 7, 8, 9]]);
    store.close().await;
}

#[tokio::test]
async fn whoever_has_something_waiting_is_told_to_look_and_nobody_waits_for_anothers_session() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let mut keys = Vec::new();
    for name in ["alice", "bob", "carol"] {
        keys.push(seeded(&database, name, 1, 10).await);
    }
    database.notify("alice", "pending").await;
    database.notify("bob", "seen").await;
    database
        .execute("UPDATE agent.notifications SET acknowledged_at = now(), acknowledged_by = '1' WHERE user_id = 'bob'")
        .await;
    let mut other = PgConnection::connect(&database.url).await.unwrap();
    let mut held = other.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM agent.sessions WHERE user_id = 'carol' FOR UPDATE")
        .execute(&mut *held)
        .await
        .unwrap();
    let keys: Vec<&SessionKey> = keys.iter().collect();
    let found = timeout(PATIENCE, store.watch_sessions(&keys, NODE))
        .await
        .unwrap()
        .unwrap();
    let mail: Vec<Option<Mail>> = found
        .iter()
        .map(|watched| watched.as_ref().map(|watched| watched.mail))
        .collect();
    assert_eq!(mail, [Some(Mail::Perhaps), Some(Mail::None), None]);
    let users = ["carol", "alice", "bob", "alice"].map(user);
    let mail = store.find_mail(&users).await.unwrap();
    assert_eq!(mail, [Mail::None, Mail::Perhaps, Mail::None, Mail::Perhaps]);
    held.rollback().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn messages_that_cannot_be_read_keep_nobody_out_and_a_failure_reaches_all() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let key = seeded(&database, "alice", 2, 10).await;
    let (opener, task) = store.opener(NODE);
    let crowd = async {
        database
            .execute("ALTER TABLE agent.messages RENAME TO away")
            .await;
        let found = open_all(&opener, &[(&key, Some(0)), (&key, Some(1))]).await;
        assert!(found.iter().all(|watched| missed(watched.as_ref()).is_empty()));
        database
            .execute("ALTER TABLE agent.away RENAME TO messages")
            .await;
        database
            .execute("ALTER TABLE agent.sessions RENAME TO away")
            .await;
        let failed = join_all([opener.open(&key, Some(0)), opener.open(&key, Some(1))]).await;
        assert!(failed.iter().all(Result::is_err), "{failed:?}");
        database
            .execute("ALTER TABLE agent.away RENAME TO sessions")
            .await;
        let found = open_all(&opener, &[(&key, Some(0))]).await;
        assert_eq!(missed(found[0].as_ref()), [1, 2]);
        drop(opener);
    };
    tokio::join!(crowd, task.run());
    store.close().await;
}

#[tokio::test]
async fn a_room_that_is_opened_for_a_client_has_in_memory_what_the_client_has_missed() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let key = seeded(&database, "alice", 9, 10).await;
    let (notifier, _unused) = Notifier::new(store.options().clone());
    let (opener, task) = store.opener(NODE);
    let (feed, _follower) = Feed::new(
        Arc::new(Hub::default()),
        store.clone(),
        store.creator(NODE, 0).0,
        opener,
        notifier,
        NODE,
        Clock::system(),
    );
    let found = tokio::select! {
        () = task.run() => panic!("somebody may ask"),
        found = feed.open(&key, Some(6)) => found.unwrap().unwrap(),
    };
    assert_eq!((found.resumed, found.mail), (true, Mail::None));
    let room = found.room;
    assert!(room.has_all_after(Seq(6)));
    assert!(!room.has_all_after(Seq(5)));
    let (mut cursor, head) = room.cursor(Seq(6));
    assert_eq!(head, Seq(9));
    let Step::Message(first) = room.next(&mut cursor) else {
        panic!("it asks for nothing");
    };
    assert_eq!(first.seq, Seq(7));
    room.leave(agent_websocket::ids::ConnectionId::new(), Instant::now());
    store.close().await;
}

/// Waits until a statement of the server's waits for somebody's lock.
async fn a_lock_is_waited_for(database: &TestDatabase) {
    eventually("the server waits for the lock", || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        database.count(waiting).await > 0
    })
    .await;
}

/// A further message, as another process stores it.
async fn append(connection: &mut PgConnection, key: &SessionKey, seq: i64) {
    for sql in [
        "UPDATE agent.sessions SET last_seq = $3 WHERE user_id = $1 AND session_id = $2",
        "INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
         VALUES ($1, $2, $3, gen_random_uuid(), 'user', 'Meanwhile', clock_timestamp())",
    ] {
        sqlx::query(sql)
            .bind(key.user_id.as_str())
            .bind(key.session_id.0)
            .bind(seq)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

/// What a client was sent of the log, and how often.
fn sent(client: &TestClient) -> BTreeMap<i64, usize> {
    let mut times = BTreeMap::new();
    for frame in client.frames.iter().filter(|frame| frame["type"] == "query") {
        *times.entry(frame["seq"].as_i64().unwrap()).or_default() += 1;
    }
    times
}

#[tokio::test]
async fn a_message_that_is_being_stored_while_a_client_comes_back_comes_once() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let key = seeded(&node.database, "alice", 1, 10).await;
    let mut other = PgConnection::connect(&node.database.url).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    append(&mut transaction, &key, 2).await;
    let session = key.session_id.to_string();
    let storing = async {
        a_lock_is_waited_for(&node.database).await;
        transaction.commit().await.unwrap();
    };
    let (mut client, ()) = tokio::join!(node.resume("alice", &session, 0), storing);
    assert_eq!(client.live().await["head"], 2);
    assert_eq!(sent(&client), BTreeMap::from([(1, 1), (2, 1)]));
    node.shut_down().await;
}

#[tokio::test]
async fn what_happens_between_the_look_at_a_session_and_that_at_its_messages_comes_once() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let key = seeded(&node.database, "alice", 1, 10).await;
    let mut other = PgConnection::connect(&node.database.url).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE agent.messages IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let session = key.session_id.to_string();
    let meanwhile = async {
        a_lock_is_waited_for(&node.database).await;
        node.database.notify("alice", "Psst").await;
        append(&mut transaction, &key, 2).await;
        transaction.commit().await.unwrap();
    };
    let (mut client, ()) = tokio::join!(node.resume("alice", &session, 0), meanwhile);
    assert_eq!(client.live().await["head"], 1);
    client.until(|frame| frame["seq"] == 2).await;
    if client.told().is_empty() {
        client.notified("Psst").await;
    }
    let pong = client.command("ping", serde_json::json!({})).await;
    assert_eq!(pong["event"], "ping");
    assert_eq!(client.told(), ["Psst"]);
    assert_eq!(sent(&client), BTreeMap::from([(1, 1), (2, 1)]));
    node.shut_down().await;
}

#[tokio::test]
async fn the_inbox_is_asked_only_for_those_who_have_something_in_it() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let (alice, bob) = (
        seeded(&node.database, "alice", 1, 10).await,
        seeded(&node.database, "bob", 1, 10).await,
    );
    node.database.notify("bob", "waiting").await;
    let mut client = node.resume("bob", &bob.session_id.to_string(), 0).await;
    client.live().await;
    assert_eq!(client.told(), ["waiting"], "before live");
    let mut again = node.resume("bob", &bob.session_id.to_string(), 1).await;
    again.live().await;
    assert_eq!(again.told(), ["waiting"], "the session is in memory by now");
    node.database
        .execute("REVOKE SELECT ON agent.pending_notifications FROM agent_app")
        .await;
    let mut client = node.resume("alice", &alice.session_id.to_string(), 0).await;
    client.live().await;
    assert_eq!(sent(&client), BTreeMap::from([(1, 1)]));
    let mut again = node.resume("alice", &alice.session_id.to_string(), 0).await;
    again.live().await;
    assert_eq!(sent(&again), BTreeMap::from([(1, 1)]), "from memory");
    node.shut_down().await;
}

#[tokio::test]
async fn a_crowd_comes_back_and_each_has_his_own() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut keys = Vec::new();
    for n in 0..60 {
        keys.push(seeded(&node.database, &format!("u{n}"), n + 1, 10).await);
    }
    let returned = join_all(keys.iter().map(|key| {
        let node = &node;
        async move {
            let session = key.session_id.to_string();
            let mut client = node.resume(key.user_id.as_str(), &session, 0).await;
            client.live().await;
            client
        }
    }));
    for (n, client) in (0..60).zip(returned.await) {
        assert_eq!(sent(&client), (1..=n + 1).map(|seq| (seq, 1)).collect(), "u{n}");
    }
    let gone = keys.remove(0);
    node.database
        .execute("DELETE FROM agent.sessions WHERE user_id = 'u0'")
        .await;
    let mut other = TestNode::start_on(node.database.clone(), &provider, &[]).await;
    let authorization = format!("Bearer {}", token("u0"));
    let path = format!("/v1/ws?session_id={}&after=0", gone.session_id);
    let refused = TestClient::open(&other.base, &path, &[("authorization", &authorization)]).await;
    assert_eq!(refused.err().map(|refused| refused.status), Some(404), "deleted");
    other.shut_down().await;
    node.shut_down().await;
}
