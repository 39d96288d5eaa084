//! Take-over: what a node that died left running is ended truthfully, once, and its late words are refused.
//!
//! The dead node is rows: a node whose lease is held for an hour, or has run out, and a run that is its own.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use agent_websocket::ids::{Fence, MessageId, RunId, Seq, SessionId, SessionKey, UserId};
use agent_websocket::log::{AnswerState, Claimed};
use agent_websocket::store::append::{AnswerOutcome, NewAnswer};
use agent_websocket::store::chunks::NewChunk;
use agent_websocket::trace::Origin;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};

/// What a node that is not there has left.
struct Left {
    pool: PgPool,
    node: i32,
    run: Claimed,
}

/// A session of alice's with the question `Well?`, and its run in a try of a node that is not there.
async fn left_behind(database: &TestDatabase, attempt: u32) -> Left {
    let pool = database.pool.clone();
    let node: i32 = sqlx::query_scalar(
        "INSERT INTO agent.nodes (lease_until, version) VALUES (now() + interval '1 hour', 'gone') RETURNING node_id",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let run = Claimed {
        key: SessionKey {
            user_id: UserId::new("alice").unwrap(),
            session_id: SessionId::new(),
        },
        run_id: RunId::new(),
        fence: Fence(7),
        attempt,
        query_id: MessageId::new(),
        query_seq: Seq(1),
        answer_id: MessageId::new(),
        model: None,
        session: None,
        origin: Origin::Row,
    };
    let left = Left { pool, node, run };
    left.execute(
        "INSERT INTO agent.sessions (user_id, session_id, title, last_seq, active_run_id, fence)
         VALUES ('alice', $1, 'Well?', 1, $2, 7)",
    )
    .await;
    sqlx::query(
        "INSERT INTO agent.messages (user_id, session_id, seq, message_id, client_id, role, content, run_id, created_at)
         VALUES ('alice', $1, 1, $3, 'q', 'user', 'Well?', $2, now())",
    )
    .bind(left.run.key.session_id.0)
    .bind(left.run.run_id.0)
    .bind(left.run.query_id.0)
    .execute(&left.pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO agent.runs (user_id, session_id, run_id, state, query_message_id, query_seq, answer_message_id,
                                 priority, queue_order, attempt, fence, node_id, queued_at, started_at)
         VALUES ('alice', $1, $2, 'running', $3, 1, $4, 2, 1, $5, 7, $6, now(), now())",
    )
    .bind(left.run.key.session_id.0)
    .bind(left.run.run_id.0)
    .bind(left.run.query_id.0)
    .bind(left.run.answer_id.0)
    .bind(i32::try_from(attempt).unwrap())
    .bind(left.node)
    .execute(&left.pool)
    .await
    .unwrap();
    left
}

impl Left {
    /// A statement about the session `$1` and the run `$2`.
    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql)
            .bind(self.run.key.session_id.0)
            .bind(self.run.run_id.0)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Pieces of the answer that were stored before the end.
    async fn wrote(&self, pieces: &[&str]) {
        let mut start = 0;
        for piece in pieces {
            sqlx::query(
                "INSERT INTO agent.chunks (user_id, session_id, run_id, attempt, start_at, content)
                 VALUES ('alice', $1, $2, $3, $4, $5)",
            )
            .bind(self.run.key.session_id.0)
            .bind(self.run.run_id.0)
            .bind(i32::try_from(self.run.attempt).unwrap())
            .bind(start)
            .bind(*piece)
            .execute(&self.pool)
            .await
            .unwrap();
            start += i32::try_from(piece.len()).unwrap();
        }
    }

    /// The node's lease runs out.
    async fn dies(&self) {
        sqlx::query("UPDATE agent.nodes SET lease_until = now() - interval '1 second' WHERE node_id = $1")
            .bind(self.node)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    async fn connect(&self, node: &TestNode) -> TestClient {
        node.resume("alice", &self.run.key.session_id.to_string(), 0)
            .await
    }

    /// The run's state and try, its fence and the session's.
    async fn stored(&self) -> (String, i32, i64, i64) {
        sqlx::query_as(
            "SELECT r.state, r.attempt, r.fence, s.fence
             FROM agent.runs AS r JOIN agent.sessions AS s USING (user_id, session_id)
             WHERE r.run_id = $1",
        )
        .bind(self.run.run_id.0)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }
}

/// A whole answer under a claim, however old.
fn late_answer(run: &Claimed, text: &str) -> NewAnswer {
    NewAnswer {
        run: run.clone(),
        content: text.into(),
        state: AnswerState::Complete,
        model: None,
        finish_reason: None,
        error: None,
        generation_id: None,
        usage: None,
        prompt: None,
        first_token_at: None,
        place: None,
    }
}

async fn response(client: &mut TestClient) -> Value {
    client.until(|frame| frame["type"] == "response").await
}

#[tokio::test]
async fn a_dead_nodes_answer_ends_as_incomplete_with_the_text_that_was_stored() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let left = left_behind(&node.database, 1).await;
    left.wrote(&["Half 🌍 ", "the way"]).await;
    let mut client = left.connect(&node).await;
    client.live().await;
    let delta = client
        .frames
        .iter()
        .find(|frame| frame["type"] == "delta")
        .unwrap();
    assert_eq!(
        (&delta["content"], &delta["replay"]),
        (&json!("Half 🌍 the way"), &json!(true))
    );

    left.dies().await;

    let response = response(&mut client).await;
    assert_eq!(
        (&response["state"], &response["content"]),
        (&json!("incomplete"), &json!("Half 🌍 the way"))
    );
    assert_eq!(
        (&response["seq"], &response["error"]["code"]),
        (&json!(2), &json!("internal"))
    );
    assert_eq!(response["message_id"], left.run.answer_id.to_string());
    let error = &client.frames[client.frames.len() - 2];
    assert!(
        error["content"]
            .as_str()
            .unwrap()
            .starts_with("Failed to generate response: "),
        "{error}"
    );
    let (state, attempt, run_fence, session_fence) = left.stored().await;
    assert_eq!((state.as_str(), attempt), ("incomplete", 1));
    assert!(run_fence > 7 && session_fence > 7, "{run_fence}, {session_fence}");
    assert_eq!(provider.calls(), 0, "it is not asked again");
    let after = client.ask("next", "And now?").await;
    assert_eq!(after["seq"], 4);
    node.shut_down().await;
}

#[tokio::test]
async fn a_dead_nodes_run_without_text_is_tried_again_before_those_that_wait() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let left = left_behind(&node.database, 1).await;
    let mut client = left.connect(&node).await;
    client.live().await;
    let waiting = client.query("next", "And now?").await;
    assert_eq!(waiting["queue_position"], 1);

    left.dies().await;

    let first = response(&mut client).await;
    assert_eq!((&first["state"], &first["seq"]), (&json!("complete"), &json!(3)));
    assert_eq!(first["message_id"], left.run.answer_id.to_string());
    let attempts: Vec<i64> = client
        .frames
        .iter()
        .filter(|frame| frame["type"] == "delta")
        .map(|frame| frame["attempt"].as_i64().unwrap())
        .collect();
    assert!(
        !attempts.is_empty() && attempts.iter().all(|attempt| *attempt == 2),
        "{attempts:?}"
    );
    let second = response(&mut client).await;
    assert_eq!(
        (&second["in_reply_to"], &second["seq"]),
        (&waiting["message_id"], &json!(4))
    );
    let (state, attempt, run_fence, _) = left.stored().await;
    assert_eq!((state.as_str(), attempt), ("complete", 2));
    assert!(run_fence > 7, "{run_fence}");
    assert_eq!(provider.calls(), 2);
    node.shut_down().await;
}

#[tokio::test]
async fn a_run_that_outlived_its_tries_ends_as_failed() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("MAX_RUN_ATTEMPTS", "2")]).await;
    let left = left_behind(&node.database, 2).await;
    left.dies().await;
    let mut client = left.connect(&node).await;
    let response = response(&mut client).await;
    assert_eq!(
        (&response["state"], &response["content"]),
        (&json!("failed"), &json!(""))
    );
    assert_eq!(response["error"]["code"], "internal");
    assert_eq!(provider.calls(), 0);
    assert_eq!(left.stored().await.1, 2);
    node.shut_down().await;
}

#[tokio::test]
async fn a_dead_nodes_run_that_was_to_stop_ends_as_cancelled() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let left = left_behind(&node.database, 1).await;
    left.wrote(&["Half "]).await;
    let mut client = left.connect(&node).await;
    let done = client.command("cancel", json!({})).await;
    assert_eq!(done["data"]["state"], "cancelling");
    left.dies().await;
    let response = response(&mut client).await;
    assert_eq!(
        (&response["state"], &response["content"]),
        (&json!("cancelled"), &json!("Half "))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn two_nodes_recover_a_run_once() {
    recovered_once(TestDatabase::new().await).await;
}

/// Two nodes find ten runs of dead ones.
pub(crate) async fn recovered_once(database: TestDatabase) {
    let provider = ScriptedProvider::start().await;
    let mut first = TestNode::start_on(database, &provider, &[]).await;
    let mut second = TestNode::start_on(first.database.clone(), &provider, &[]).await;
    let mut left = Vec::new();
    for _ in 0..10 {
        left.push(left_behind(&first.database, 1).await);
    }
    for run in &left {
        run.dies().await;
    }
    for (index, run) in left.iter().enumerate() {
        let mut client = run.connect(if index % 2 == 0 { &first } else { &second }).await;
        let response = response(&mut client).await;
        assert_eq!(
            (&response["state"], &response["seq"]),
            (&json!("complete"), &json!(2))
        );
        assert_eq!(run.stored().await.1, 2);
    }
    assert_eq!(provider.calls(), 10);
    assert_eq!(
        first.database.count("SELECT count(*) FROM agent.messages").await,
        20
    );
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_zombies_answer_and_text_are_refused() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let left = left_behind(&node.database, 1).await;
    left.wrote(&["Stored "]).await;
    left.dies().await;
    let mut client = left.connect(&node).await;
    let recovered = response(&mut client).await;
    assert_eq!(recovered["content"], "Stored ");

    let service = node.node().service();
    let outcome = service
        .appender
        .answer(late_answer(&left.run, "Stored and finished"))
        .await
        .unwrap();
    assert_eq!(outcome, AnswerOutcome::Fenced);
    let chunk = NewChunk {
        key: left.run.key.clone(),
        claim: left.run.claim(),
        attempt: 1,
        start_at: 7,
        content: "and more".to_owned(),
        prompt: None,
        generation_id: None,
    };
    let written = service.store.chunk_writer().write(&[chunk]).await.unwrap();
    assert!(written.is_empty(), "{written:?}");
    assert_eq!(service.store.release_run(&left.run).await.unwrap(), None);
    let again = service
        .store
        .take_over_run(service.node, &left.run)
        .await
        .unwrap();
    assert!(again.is_none(), "what has ended is nobody's");

    let stored = node.database.transcript(&client.session).await;
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[&2].1, "Stored ");
    let chunks = node
        .database
        .count("SELECT count(*) FROM agent.chunks WHERE content = 'and more'")
        .await;
    assert_eq!(chunks, 0);
    node.shut_down().await;
}

/// The run of a session as the store has it.
async fn claimed(database: &TestDatabase, session: &str) -> Claimed {
    let session: Uuid = session.parse().unwrap();
    let (run, query, answer, fence): (Uuid, Uuid, Uuid, i64) = sqlx::query_as(
        "SELECT run_id, query_message_id, answer_message_id, fence FROM agent.runs WHERE session_id = $1",
    )
    .bind(session)
    .fetch_one(&database.pool)
    .await
    .unwrap();
    Claimed {
        key: SessionKey {
            user_id: UserId::new("alice").unwrap(),
            session_id: SessionId(session),
        },
        run_id: RunId(run),
        fence: Fence(fence),
        attempt: 1,
        query_id: MessageId(query),
        query_seq: Seq(1),
        answer_id: MessageId(answer),
        model: None,
        session: None,
        origin: Origin::Row,
    }
}

#[tokio::test]
async fn a_node_that_was_given_up_while_it_wrote_shows_what_the_other_made_of_it() {
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Half ")
            .wait_for("end")
            .text("whole")
            .finish("stop")
            .done(),
    );
    // The end of the answer comes before its text would be stored behind: it is the end that is refused.
    let mut zombie = TestNode::start(&provider, &[("CHUNK_FLUSH_MS", "400")]).await;
    let mut client = zombie.connect("alice").await;
    client.query("q", "Well?").await;
    client.until(|frame| frame["type"] == "delta").await;
    eventually("the text is stored", || async {
        zombie
            .database
            .count("SELECT count(*) FROM agent.chunks WHERE content = 'Half '")
            .await
            == 1
    })
    .await;
    let run = claimed(&zombie.database, &client.session).await;
    // The other node does by hand what its reaper would do had the lease run out.
    let mut other = TestNode::start_on(zombie.database.clone(), &provider, &[]).await;
    let service = other.node().service();
    let taken = service
        .store
        .take_over_run(service.node, &run)
        .await
        .unwrap()
        .unwrap();
    assert!(taken.run.fence > run.fence);
    let mut answer = late_answer(&taken.run, "Half ");
    answer.state = AnswerState::Incomplete;
    let outcome = service.appender.answer(answer).await.unwrap();
    assert!(matches!(outcome, AnswerOutcome::Stored(_)), "{outcome:?}");
    provider.open("end");

    let response = response(&mut client).await;
    assert_eq!(
        (&response["state"], &response["content"]),
        (&json!("incomplete"), &json!("Half "))
    );
    assert_eq!(response["seq"], 2);
    eventually("the zombie has let go", || async {
        zombie.node().service().runs.count() == 0
    })
    .await;
    assert_eq!(zombie.node().service().runs.late_writes_refused(), 1);
    assert_eq!(zombie.database.transcript(&client.session).await.len(), 2);
    let after = client.ask("next", "And now?").await;
    assert_eq!(after["seq"], 4);
    zombie.shut_down().await;
    other.shut_down().await;
}

#[tokio::test]
async fn a_node_that_lost_a_run_and_claimed_it_again_shows_and_stores_the_later_try_only() {
    let provider = ScriptedProvider::start().await;
    let script = |text: &str, gate: &str| {
        let whole = Script::new().text(text).wait_for(gate).text("whole");
        whole.finish("stop").done()
    };
    provider.then(script("Lost ", "never"));
    provider.then(script("Anew ", "end"));
    // The earlier try is not told of its loss by the text that it would store.
    let mut node = TestNode::start(&provider, &[("CHUNK_FLUSH_MS", "60000"), ("LEASE_MS", "120000")]).await;
    let mut client = node.connect("alice").await;
    client.query("q", "Well?").await;
    let lost = client.until(|frame| frame["type"] == "delta").await;
    assert_eq!((&lost["content"], &lost["attempt"]), (&json!("Lost "), &json!(1)));
    // By hand, what a reaper does that finds no text: it takes the run over and puts it back into its queue.
    let service = node.node().service();
    let run = claimed(&node.database, &client.session).await;
    let taken = service
        .store
        .take_over_run(service.node, &run)
        .await
        .unwrap()
        .unwrap();
    service.store.release_run(&taken.run).await.unwrap().unwrap();
    service.runs.look_for_work();

    // The earlier try has ended by then, and what it shows with it.
    provider.wait_for(|tally| tally.aborted == 1).await;
    let anew = client
        .until(|frame| frame["type"] == "delta" && frame["content"] == "Anew ")
        .await;
    assert_eq!((&anew["attempt"], &anew["offset"]), (&json!(2), &json!(0)));
    let mut second = node.resume("alice", &client.session, 0).await;
    second.live().await;
    let shown = second
        .frames
        .iter()
        .find(|frame| frame["type"] == "delta")
        .unwrap();
    assert_eq!(
        (&shown["content"], &shown["attempt"]),
        (&json!("Anew "), &json!(2))
    );
    provider.open("end");
    for client in [&mut client, &mut second] {
        let response = response(client).await;
        assert_eq!(
            (&response["state"], &response["content"]),
            (&json!("complete"), &json!("Anew whole"))
        );
        assert_eq!(response["seq"], 2);
    }
    eventually("both tries have ended", || async {
        node.node().service().runs.count() == 0
    })
    .await;
    assert_eq!(provider.calls(), 2);
    assert_eq!(node.database.transcript(&client.session).await.len(), 2);
    node.shut_down().await;
}

#[tokio::test]
async fn a_piece_is_stored_once_where_its_writer_was_cut_off() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let left = left_behind(&node.database, 1).await;
    let store = node.node().service().store.clone();
    let mut writer = store.chunk_writer();
    let piece = [NewChunk {
        key: left.run.key.clone(),
        claim: left.run.claim(),
        attempt: 1,
        start_at: 0,
        content: "begun ".to_owned(),
        prompt: None,
        generation_id: None,
    }];
    assert_eq!(writer.write(&piece).await.unwrap().len(), 1);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND query LIKE '%attempt, start_at, content, prompt, tokens, generation_id)%'
                 AND pid <> pg_backend_pid()";
    assert_eq!(node.database.count(cut).await, 1);
    let error = writer.write(&piece).await.unwrap_err();
    assert!(error.is_retryable(), "its key was taken: {error}");
    assert_eq!(writer.write(&piece).await.unwrap().len(), 1);
    let chunks = "SELECT count(*) FROM agent.chunks";
    assert_eq!(node.database.count(chunks).await, 1);
    node.shut_down().await;
}
