//! What is removed: everything of a user who wants it (`erasure`), and what is older than the operator keeps.

pub(crate) mod erasure;

use agent_websocket::ids::{Seq, SessionId, SessionKey, UserId};
use erasure::traces;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;

/// Runs statements that take nothing.
async fn execute(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

/// Removes what is older than a day, soon.
const A_DAY: [(&str, &str); 2] = [("RETENTION_DAYS", "1"), ("RETENTION_INTERVAL_MS", "30")];

/// Waits until the node knows where a session begins now.
async fn begins_at(node: &TestNode, client: &TestClient, first: Seq) {
    let key = SessionKey {
        user_id: UserId::new("alice").unwrap(),
        session_id: SessionId(client.session.parse().unwrap()),
    };
    let room = node.node().service().hub.find_room(&key).unwrap();
    eventually("the node has learned of it", || {
        std::future::ready(room.first() == first)
    })
    .await;
}

#[tokio::test]
async fn old_turns_are_removed_and_the_session_goes_on_with_what_is_left() {
    old_turns_are_removed(TestDatabase::new().await).await;
}

/// Two turns of three are past the time that the operator keeps them.
pub(crate) async fn old_turns_are_removed(database: TestDatabase) {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start_on(database, &provider, &A_DAY).await;
    node.listening().await;
    let mut client = node.connect("alice").await;
    for n in 1..=3 {
        client.ask(&format!("q{n}"), &format!("question {n}")).await;
    }
    client
        .send(&json!({ "type": "human_feedback", "id": "f", "rating": 1,
        "message_id": client.frames.iter().find(|frame| frame["seq"] == 2).unwrap()["message_id"] }))
        .await;
    client.until(|frame| frame["re"] == "f").await;
    execute(
        &node.database.pool,
        "UPDATE agent.messages SET created_at = created_at - interval '2 days' WHERE seq <= 4",
    )
    .await;
    eventually("the first two turns are gone", || async {
        node.database.count("SELECT first_seq FROM agent.sessions").await == 5
    })
    .await;
    begins_at(&node, &client, Seq(5)).await;
    for (sql, left) in [
        ("SELECT count(*) FROM agent.messages", 2),
        ("SELECT count(*) FROM agent.runs", 1),
        ("SELECT count(*) FROM agent.feedback", 0),
        ("SELECT count(*) FROM agent.usage", 3),
    ] {
        assert_eq!(node.database.count(sql).await, left, "{sql}");
    }
    // Whoever was connected goes on.
    assert_eq!(client.ask("q4", "question 4").await["seq"], 8);
    begins_at_five(&node, &client.session).await;
    // The model is sent what is left.
    let prompt = provider.requests().last().unwrap().body["messages"].to_string();
    assert!(
        !prompt.contains("question 2") && prompt.contains("question 3"),
        "{prompt}"
    );
    node.shut_down().await;
}

/// Whoever comes, with whatever cursor, is told that the session begins at 5 and sent what is left.
async fn begins_at_five(node: &TestNode, session: &str) {
    for (after, gap) in [
        ("&after=0", json!({ "from": 1, "to": 4 })),
        ("&after=4", Value::Null),
        ("", Value::Null),
    ] {
        let query = format!("?session_id={session}{after}");
        let mut late = TestClient::connect(&node.base, &token("alice"), &query).await;
        late.live().await;
        let welcome = &late.frames[0];
        assert_eq!(
            (&welcome["first_available"], &welcome["gap"]),
            (&json!(5), &gap),
            "{welcome}"
        );
        let seqs: Vec<&Value> = late
            .frames
            .iter()
            .map(|frame| &frame["seq"])
            .filter(|seq| !seq.is_null())
            .collect();
        assert_eq!(seqs, [5, 6, 7, 8]);
    }
}

#[tokio::test]
async fn what_another_process_removed_without_a_word_is_not_sent_to_the_model_for_long() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("POLL_INTERVAL_MS", "30")]).await;
    let mut client = node.connect("alice").await;
    for n in 1..=2 {
        client.ask(&format!("q{n}"), &format!("question {n}")).await;
    }
    execute(
        &node.database.pool,
        "DELETE FROM agent.messages WHERE seq <= 2; UPDATE agent.sessions SET first_seq = 3",
    )
    .await;
    begins_at(&node, &client, Seq(3)).await;
    client.ask("q3", "question 3").await;
    let prompt = provider.requests().last().unwrap().body["messages"].to_string();
    assert!(
        !prompt.contains("question 1") && prompt.contains("question 2"),
        "{prompt}"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn old_sessions_are_removed_with_everything_but_their_costs_and_their_sockets_told() {
    old_sessions_are_removed(TestDatabase::new().await).await;
}

/// One session of two is past that time.
pub(crate) async fn old_sessions_are_removed(database: TestDatabase) {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start_on(database, &provider, &A_DAY).await;
    node.listening().await;
    let mut old = node.connect("alice").await;
    old.ask("q1", "long ago").await;
    let mut young = node.connect("alice").await;
    young.ask("q1", "just now").await;
    sqlx::query(
        "WITH aged AS (UPDATE agent.sessions SET last_activity_at = last_activity_at - interval '2 days' WHERE session_id = $1)
         UPDATE agent.messages SET created_at = created_at - interval '2 days' WHERE session_id = $1",
    )
    .bind(old.session.parse::<uuid::Uuid>().unwrap())
    .execute(&node.database.pool)
    .await
    .unwrap();
    assert_eq!(old.closed().await.0, 4509);
    let left: Vec<String> = sqlx::query_scalar("SELECT session_id::text FROM agent.sessions")
        .fetch_all(&node.database.pool)
        .await
        .unwrap();
    assert_eq!(left, [young.session.clone()]);
    assert_eq!(traces(&node.database.pool, &old.session).await, ["usage"]);
    assert_eq!(young.ask("q2", "still here").await["seq"], 4);
    node.shut_down().await;
}

/// Two sessions of 30 messages that are 30, 29 … days old; the first one's last query waits for its run since day 5.
async fn two_old_sessions(pool: &PgPool) {
    execute(
        pool,
        "INSERT INTO agent.sessions (user_id, session_id, last_seq, last_activity_at)
         SELECT 'u', ('00000000-0000-7000-8000-00000000000' || s)::uuid, 30, clock_timestamp() - interval '1 day'
         FROM generate_series(1, 2) AS s;
         INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
         SELECT 'u', session_id, n, gen_random_uuid(), 'user', 'text', clock_timestamp() - make_interval(days => 31 - n)
         FROM agent.sessions, generate_series(1, 30) AS n;
         INSERT INTO agent.runs (user_id, session_id, run_id, state, query_message_id, query_seq, answer_message_id, priority,
                                 queue_order, queued_at)
         SELECT user_id, session_id, gen_random_uuid(), 'queued', message_id, seq, gen_random_uuid(), 2, seq, created_at
         FROM agent.messages WHERE seq = 10 AND session_id = '00000000-0000-7000-8000-000000000001';",
    )
    .await;
}

async fn prune(pool: &PgPool, limit: i32) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT right(session_id::text, 1), removed
         FROM agent.prune_messages(clock_timestamp() - interval '5.5 days', $1) ORDER BY 1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn removing_goes_from_the_front_in_small_steps_and_not_past_a_question_that_waits() {
    let database = TestDatabase::new().await;
    two_old_sessions(&database.pool).await;
    let steps = [prune(&database.pool, 12).await, prune(&database.pool, 12).await];
    assert!(
        steps.iter().flatten().all(|(_, removed)| *removed <= 12),
        "{steps:?}"
    );
    while !prune(&database.pool, 100).await.is_empty() {}
    let left: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT right(session_id::text, 1), first_seq, min(seq), count(*)
         FROM agent.sessions JOIN agent.messages USING (user_id, session_id) GROUP BY 1, 2 ORDER BY 1",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    assert_eq!(left, [("1".to_owned(), 10, 10, 21), ("2".to_owned(), 26, 26, 5)]);
}

#[tokio::test]
async fn removing_waits_for_nobody_who_writes() {
    let database = TestDatabase::new().await;
    two_old_sessions(&database.pool).await;
    let mut writer = database.pool.begin().await.unwrap();
    sqlx::query(
        "SELECT 1 FROM agent.sessions WHERE session_id = '00000000-0000-7000-8000-000000000002' FOR UPDATE",
    )
    .execute(&mut *writer)
    .await
    .unwrap();
    // It would wait for ever.
    assert_eq!(prune(&database.pool, 100).await, [("1".to_owned(), 9)]);
    writer.rollback().await.unwrap();
    assert_eq!(prune(&database.pool, 100).await, [("2".to_owned(), 25)]);
}

#[tokio::test]
async fn notifications_go_once_they_are_done_and_those_who_wait_stay() {
    let database = TestDatabase::new().await;
    execute(
        &database.pool,
        "INSERT INTO agent.notifications (user_id, content, created_at, acknowledged_at, expires_at, dedupe_key) VALUES
             ('u', 'seen long ago', now() - interval '40 days', now() - interval '35 days', NULL, 'a'),
             ('u', 'expired long ago', now() - interval '40 days', NULL, now() - interval '35 days', 'b'),
             ('u', 'seen lately', now() - interval '40 days', now() - interval '5 days', NULL, 'c'),
             ('u', 'waits', now() - interval '40 days', NULL, NULL, 'd')",
    )
    .await;
    let mut gone = Vec::new();
    for (done, created) in [(Some(30), None), (None, None), (None, Some(30))] {
        let n: i64 = sqlx::query_scalar(
            "SELECT agent.prune_notifications(now() - make_interval(days => $1), now() - make_interval(days => $2), 100)",
        )
        .bind(done)
        .bind(created)
        .fetch_one(&database.pool)
        .await
        .unwrap();
        gone.push(n);
    }
    assert_eq!(
        gone,
        [2, 0, 2],
        "done long ago; nothing asked for; older than that whatever became of it"
    );
}
