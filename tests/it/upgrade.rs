//! The upgrade from the previous release: its database is migrated while its node runs, and both versions serve.
//!
//! The previous program itself is not built here, which would take as long as everything else and need the history of the
//! repository. What stands for it is every statement that it makes (tests/fixtures/previous): each must mean the same after
//! the migrations, and the ones by which it takes questions, writes text and stores answers are carried out as it carries
//! them out, beside a node of this version. What it does between its statements is therefore not tested.

mod previous;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, Row, SqlSafeStr, Statement};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use self::previous::{OldNode, Previous, Stored, statements};
use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::{TestNode, token};
use crate::support::process::program;
use crate::support::provider::{Script, ScriptedProvider};

/// The sessions of tests/fixtures/previous/data.sql.
const OVER: &str = "01a20000-0000-7000-8000-00000000000a";
const CUT_OFF: &str = "01a20000-0000-7000-8000-00000000000b";
const WAITING: &str = "01a20000-0000-7000-8000-00000000000c";

/// Migrates as an operator does.
async fn migrate(database: &TestDatabase) {
    let output = program(&database.url, &["migrate"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn no_migration_of_the_previous_release_was_changed() {
    let now = Previous::migrations_now();
    for (version, checksum) in Previous::migrations() {
        assert_eq!(
            now.get(&version),
            Some(&checksum),
            "{version} has landed, and databases out there hold its checksum: what it should do otherwise is a new migration"
        );
    }
}

/// What each statement takes and gives: the types of its parameters, the names and types of its columns.
async fn meanings(connection: &mut PgConnection) -> BTreeMap<String, String> {
    let mut meanings = BTreeMap::new();
    for statement in statements() {
        let prepared = (&mut *connection)
            .prepare(AssertSqlSafe(statement.clone()).into_sql_str())
            .await;
        let meaning = match prepared {
            Ok(prepared) => {
                let columns: Vec<String> = prepared
                    .columns()
                    .iter()
                    .map(|column| format!("{} {}", column.name(), column.type_info()))
                    .collect();
                format!("{:?} → {columns:?}", prepared.parameters())
            }
            Err(error) => format!("refused: {error}"),
        };
        meanings.insert(statement, meaning);
    }
    meanings
}

#[tokio::test]
async fn every_statement_of_the_previous_version_means_the_same_after_the_migrations() {
    let database = Previous::database().await;
    let mut before = database.pool.acquire().await.unwrap();
    let before = meanings(&mut before).await;
    assert!(before.len() > 50, "{}", before.len());
    for (statement, meaning) in &before {
        assert!(!meaning.starts_with("refused"), "{statement}\n{meaning}");
    }
    migrate(&database).await;
    let mut after = database.pool.acquire().await.unwrap();
    assert_eq!(meanings(&mut after).await, before);
}

#[tokio::test]
async fn a_database_of_the_previous_release_is_migrated_under_its_node_and_both_versions_serve() {
    let provider = ScriptedProvider::start().await;
    let database = Previous::database().await;
    let old = OldNode::start(&database).await;
    // The old node is in the middle of an answer, and takes questions all the time.
    let session = old.open_session("alice").await;
    let asked = old.ask("alice", session, "before", "Before?").await;
    assert_eq!((asked.outcome.as_str(), asked.seq), ("appended", Some(1)));
    old.write(&asked, 0, "From the old ").await;
    let (stop, stopped) = watch::channel(false);
    let mut busy = JoinSet::new();
    busy.spawn(OldNode::start(&database).await.keep_talking("bob", stopped));

    migrate(&database).await;
    let mut new = TestNode::start_on(database.clone(), &provider, &[]).await;

    left_by_the_old_release(&new).await;
    let mut reader = read_while_it_is_written(&old, &new, &asked).await;
    questions_by_both(&old, &mut reader, &provider, session).await;

    stop.send_replace(true);
    let turns = busy.join_next().await.unwrap().unwrap();
    assert!(turns > 0, "the old node took something meanwhile");
    whole(&database).await;
    new.shut_down().await;
}

/// What the old release left: a history, a notification, an answer that nobody writes any more, a question that waits.
async fn left_by_the_old_release(new: &TestNode) {
    let mut alice = new.resume("alice", OVER, 0).await;
    alice.live().await;
    let told: Vec<&str> = alice.told();
    assert_eq!(told, ["Before the upgrade"]);
    let texts: Vec<&Value> = alice
        .frames
        .iter()
        .filter(|frame| frame["seq"].is_i64())
        .map(|frame| &frame["content"])
        .collect();
    assert_eq!(texts, ["What is a log?", "A list 🌍 that grows."]);
    let again = alice.query("q-1", "What is a log?").await;
    assert_eq!((&again["duplicate"], &again["seq"]), (&json!(true), &json!(1)));
    let next = alice.ask("q-4", "And now?").await;
    assert_eq!((&next["state"], &next["seq"]), (&json!("complete"), &json!(4)));
    let cut_off = answer(new, CUT_OFF, 1).await;
    assert_eq!(
        (&cut_off["state"], &cut_off["content"]),
        (&json!("incomplete"), &json!("Half 🌍 the way"))
    );
    assert_eq!(answer(new, WAITING, 1).await["state"], "complete");
}

/// The old node's answer, read through the new node while it is written.
async fn read_while_it_is_written(old: &OldNode, new: &TestNode, asked: &Stored) -> TestClient {
    let mut reader = new.resume("alice", &asked.session.to_string(), 0).await;
    let delta = reader.until(|frame| frame["type"] == "delta").await;
    assert_eq!(delta["content"], "From the old ");
    let rest = old.write(asked, 13, "version").await;
    old.hint(&rest, asked.session).await;
    reader
        .until(|frame| frame["type"] == "delta" && frame["content"] == "version")
        .await;
    let stored = old.answer(asked, "From the old version").await;
    assert_eq!((stored.outcome.as_str(), stored.seq), ("appended", Some(2)));
    old.hint(&stored.watchers, asked.session).await;
    let response = reader.until(|frame| frame["type"] == "response").await;
    assert_eq!(
        (&response["content"], &response["seq"]),
        (&json!("From the old version"), &json!(2))
    );
    reader
}

/// One session, questions by both: the same order, and an id is known to both.
async fn questions_by_both(
    old: &OldNode,
    reader: &mut TestClient,
    provider: &ScriptedProvider,
    session: Uuid,
) {
    assert_eq!(reader.ask("by-the-new", "New?").await["seq"], 4);
    let known = old.ask("alice", session, "by-the-new", "New?").await;
    assert_eq!((known.outcome.as_str(), known.seq), ("duplicate", Some(3)));
    let known = reader.query("before", "Before?").await;
    assert_eq!((&known["duplicate"], &known["seq"]), (&json!(true), &json!(1)));
    // What the old node takes while the new one answers waits, and the new one runs it.
    provider.then(Script::new().text("Slow").wait_for("go on").finish("stop").done());
    reader.query("slow", "Slow?").await;
    provider.wait_for(|tally| tally.calls == 4).await;
    let queued = old.ask("alice", session, "queued", "Queued?").await;
    assert_eq!(
        (queued.outcome.as_str(), queued.queue_position),
        ("appended", Some(1))
    );
    provider.open("go on");
    let last = reader
        .until(|frame| frame["type"] == "response" && frame["seq"] == 8)
        .await;
    assert_eq!(last["in_reply_to"], queued.message.to_string());
}

#[tokio::test]
async fn an_answer_of_an_old_node_that_was_given_up_is_refused_once_a_new_one_has_taken_it_over() {
    let provider = ScriptedProvider::start().await;
    let database = Previous::database().await;
    let old = OldNode::start(&database).await;
    let session = old.open_session("alice").await;
    let asked = old.ask("alice", session, "q", "Well?").await;
    old.write(&asked, 0, "Half").await;
    migrate(&database).await;
    let mut new = TestNode::start_on(database.clone(), &provider, &[]).await;
    old.lose_lease().await;
    let taken = answer(&new, &session.to_string(), 1).await;
    assert_eq!(
        (&taken["state"], &taken["content"]),
        (&json!("incomplete"), &json!("Half"))
    );
    assert_eq!(old.answer(&asked, "Half and the rest").await.outcome, "fenced");
    assert_eq!(old.write(&asked, 4, " and the rest").await, Vec::<i32>::new());
    whole(&database).await;
    new.shut_down().await;
}

/// The answer to a session's message, once there is one.
async fn answer(node: &TestNode, session: &str, to: i64) -> Value {
    let mut client = TestClient::connect(
        &node.base,
        &token("alice"),
        &format!("?session_id={session}&after={to}"),
    )
    .await;
    client.until(|frame| frame["type"] == "response").await
}

/// At rest every session is without gaps, and ends where its row says.
async fn whole(database: &TestDatabase) {
    eventually("nothing runs any more", || async {
        let active = "SELECT count(*) FROM agent.runs WHERE state IN ('running', 'queued')";
        database.count(active).await == 0
    })
    .await;
    let rows = sqlx::query(
        "SELECT s.last_seq, count(m.seq) AS n, max(m.seq) AS highest
         FROM agent.sessions AS s LEFT JOIN agent.messages AS m USING (user_id, session_id)
         GROUP BY s.user_id, s.session_id, s.last_seq",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let (last, n, highest): (i64, i64, Option<i64>) =
            (row.get("last_seq"), row.get("n"), row.get("highest"));
        assert_eq!((last, last), (n, highest.unwrap_or(0)));
    }
}
