//! `kill -9` of the node that writes an answer.

use super::{is_response, resume, runs, serve};
use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::token;
use crate::support::provider::{Script, ScriptedProvider};

async fn stored_text(database: &TestDatabase) -> String {
    sqlx::query_scalar("SELECT coalesce(string_agg(content, '' ORDER BY start_at), '') FROM agent.chunks")
        .fetch_one(&database.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn kill_9_mid_answer_leaves_the_stored_text_as_incomplete_and_the_session_free() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("one ").text("two ").wait_for("never"));
    let database = TestDatabase::new().await;
    let mut owner = serve("owner", &database, &provider, &[]).await;
    let other = serve("other", &database, &provider, &[]).await;
    let mut asker = TestClient::connect(&owner.base, &token("alice"), "").await;
    let mut watcher = resume(&other, &asker.session).await;
    asker.query("q1", "Count").await;
    eventually("the text is stored", || async {
        stored_text(&database).await == "one two "
    })
    .await;

    owner.process.kill9();

    assert_eq!(asker.closed().await.0, 1006);
    let response = watcher.until(is_response).await;
    assert_eq!(response["state"], "incomplete");
    assert_eq!(response["content"], "one two ");
    assert_eq!(response["seq"], 2);
    assert_eq!(response["error"]["code"], "internal");
    let before = &watcher.frames[watcher.frames.len() - 2];
    assert_eq!(
        before["type"], "error",
        "the error comes before the response of a run that failed"
    );
    let mut back = resume(&other, &asker.session).await;
    let contents: Vec<_> = back
        .frames
        .iter()
        .filter(|frame| !frame["seq"].is_null())
        .map(|frame| &frame["content"])
        .collect();
    assert_eq!(contents, ["Count", "one two "]);
    assert_eq!(back.ask("q2", "Again").await["state"], "complete");
    assert_eq!(provider.calls(), 2, "the cut answer was not asked for again");
}

#[tokio::test]
async fn kill_9_before_the_first_word_is_retried_by_the_other_node_and_completes() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().head().wait_for("never"));
    provider.then(Script::answer("The second try"));
    let database = TestDatabase::new().await;
    let mut owner = serve("owner", &database, &provider, &[]).await;
    let other = serve("other", &database, &provider, &[]).await;
    let mut asker = TestClient::connect(&owner.base, &token("alice"), "").await;
    let mut watcher = resume(&other, &asker.session).await;
    let accepted = asker.query("q1", "Hello").await;
    provider.wait_for(|tally| tally.calls == 1).await;

    owner.process.kill9();

    let response = watcher.until(is_response).await;
    assert_eq!(response["state"], "complete");
    assert_eq!(response["content"], "The second try");
    assert_eq!(response["in_reply_to"], accepted["message_id"]);
    assert_eq!(runs(&database).await, [("complete".to_owned(), 2)]);
    let deltas: Vec<_> = watcher
        .frames
        .iter()
        .filter(|frame| frame["type"] == "delta")
        .map(|frame| &frame["attempt"])
        .collect();
    assert!(!deltas.is_empty() && deltas.iter().all(|attempt| **attempt == 2));
}

#[tokio::test]
async fn a_query_that_kills_every_node_that_tries_it_fails_after_the_last_attempt() {
    let provider = ScriptedProvider::start().await;
    provider.on("poison", Script::new().head().wait_for("never"));
    let database = TestDatabase::new().await;
    let changes = [("MAX_RUN_ATTEMPTS", "2")];
    let mut first = serve("first", &database, &provider, &changes).await;
    let mut asker = TestClient::connect(&first.base, &token("alice"), "").await;
    asker.query("q1", "poison").await;
    provider.wait_for(|tally| tally.calls == 1).await;
    first.process.kill9();
    let mut second = serve("second", &database, &provider, &changes).await;
    provider.wait_for(|tally| tally.calls == 2).await;
    second.process.kill9();

    let third = serve("third", &database, &provider, &changes).await;

    eventually("the run has failed", || async {
        runs(&database).await == [("failed".to_owned(), 2)]
    })
    .await;
    let mut back = resume(&third, &asker.session).await;
    let response = back.frames.iter().find(|frame| is_response(frame)).unwrap();
    assert_eq!(
        (&response["state"], &response["content"]),
        (&"failed".into(), &"".into())
    );
    assert_eq!(back.ask("q2", "Hello").await["state"], "complete");
    assert_eq!(provider.calls(), 3);
}

/// A node's own long answers must not hide those of the dead: the look for orphans is bounded.
#[tokio::test]
async fn a_busy_node_recovers_more_runs_of_a_dead_one_than_fit_one_look_besides_its_own() {
    const N: i64 = 60;
    let provider = ScriptedProvider::start().await;
    provider.on("long", Script::new().text("still ").wait_for("never"));
    let database = TestDatabase::new().await;
    let changes = [("MAX_RUNS_PER_USER", "0")];
    let mut dead = serve("dead", &database, &provider, &changes).await;
    let alive = serve("alive", &database, &provider, &changes).await;
    for node in [&alive, &dead] {
        for _ in 0..N {
            TestClient::connect(&node.base, &token("alice"), "")
                .await
                .query("q", "long")
                .await;
        }
    }
    eventually("all text is stored", || async {
        database
            .count("SELECT count(DISTINCT run_id) FROM agent.chunks")
            .await
            == 2 * N
    })
    .await;
    // As after some minutes.
    sqlx::query("UPDATE agent.runs SET started_at = started_at - interval '5 minutes'")
        .execute(&database.pool)
        .await
        .unwrap();

    dead.process.kill9();

    eventually(
        "the dead node's answers have ended and the others go on",
        || async {
            let count = |state: &'static str| database.count(state);
            count("SELECT count(*) FROM agent.runs WHERE state = 'incomplete'").await == N
                && count("SELECT count(*) FROM agent.runs WHERE state = 'running'").await == N
        },
    )
    .await;
}
