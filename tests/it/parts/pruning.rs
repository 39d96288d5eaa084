//! Which parts the statements of one user's conversation read: those of that user.
//!
//! Postgres counts the scans of each table. The statements are the program's own, called as it calls them, on tables with
//! enough rows that a plan made for small tables would show.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use agent_websocket::ids::{ClientName, MessageId, NodeId, RunId, Seq, SessionId, SessionKey, UserId};
use agent_websocket::log::{AnswerState, Claimed};
use agent_websocket::metrics::Metrics;
use agent_websocket::protocol::client::{OnBusy, Priority};
use agent_websocket::store::Store;
use agent_websocket::store::append::{
    AnswerOutcome, AppendLimits, Appender, NewAnswer, NewQuery, QueryOutcome,
};
use agent_websocket::store::chunks::NewChunk;
use agent_websocket::store::feedback::StoredFeedback;
use agent_websocket::store::quota::Reserve;
use agent_websocket::store::sessions::{Known, Stretch};

use sqlx::{Connection, PgConnection};

use crate::support::PATIENCE;
use crate::support::database::TestDatabase;

/// Two thousand users with a session of ten messages and five runs each, of which the last goes on.
const MANY: &str = "
    INSERT INTO agent.sessions (user_id, session_id, last_seq)
    SELECT 'u_' || n, gen_random_uuid(), 10 FROM generate_series(1, 2000) AS n;
    INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
    SELECT user_id, session_id, n, gen_random_uuid(), CASE n % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, 'text', now()
    FROM agent.sessions, generate_series(1, 10) AS n;
    INSERT INTO agent.runs (user_id, session_id, run_id, state, query_message_id, query_seq, answer_message_id, priority,
                            queue_order, queued_at)
    SELECT user_id, session_id, gen_random_uuid(), CASE seq WHEN 9 THEN 'running' ELSE 'complete' END, message_id, seq,
           gen_random_uuid(), 2, seq, created_at
    FROM agent.messages WHERE role = 'user';
    INSERT INTO agent.chunks (user_id, session_id, run_id, attempt, start_at, content)
    SELECT user_id, session_id, run_id, 1, 0, 'text' FROM agent.runs;
    INSERT INTO agent.usage (user_id, session_id, run_id, attempt, source)
    SELECT user_id, session_id, run_id, 1, 'provider' FROM agent.runs;
    ANALYZE agent.sessions, agent.messages, agent.runs, agent.chunks, agent.usage";

/// Parts that were read or looked into, by connections that have ended: what one has counted is there for all by then.
async fn scanned(onlooker: &mut PgConnection) -> BTreeSet<String> {
    let began = Instant::now();
    let others = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    while sqlx::query_scalar::<_, i64>(others)
        .fetch_one(&mut *onlooker)
        .await
        .unwrap()
        > 0
    {
        assert!(
            began.elapsed() < PATIENCE,
            "waited in vain until the others have ended"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let parts: Vec<String> = sqlx::query_scalar(
        r"SELECT relname::text FROM (
              SELECT schemaname, relname, seq_scan AS scans FROM pg_stat_user_tables
              UNION ALL
              SELECT schemaname, relname, idx_scan FROM pg_stat_user_indexes
              -- Of the waiting runs, while they are few: to read them all is as good as to look one up.
              WHERE indexrelname NOT LIKE 'runs%queue_order_idx') AS s
          WHERE schemaname = 'agent' AND relname ~ '_\d+$' AND scans > 0",
    )
    .fetch_all(onlooker)
    .await
    .unwrap();
    parts.into_iter().collect()
}

/// A user's question, its answer as it is written, and what else a conversation asks of the database.
async fn conversation(store: &Store, appender: Appender, node: NodeId, key: &SessionKey) {
    let user = &key.user_id;
    assert_eq!(store.create_sessions(&[key], node, 100).await.unwrap().len(), 1);
    let run = question(store, &appender, key).await;
    answer(store, &appender, key, &run).await;

    assert!(store.watch_session(key, node).await.unwrap().is_some());
    let watched = store.watch_sessions(&[key], node).await.unwrap();
    assert!(watched.iter().all(Option::is_some));
    let stretch = Stretch {
        key,
        after: Seq(0),
        upto: Seq(2),
    };
    let newest = store.newest_messages(&[stretch]).await.unwrap();
    assert_eq!(newest.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
    assert!(store.find_session(key).await.unwrap().is_some());
    assert_eq!(
        store.find_latest_session(user).await.unwrap(),
        Some(key.session_id)
    );
    assert_eq!(store.list_sessions(user, None, 20).await.unwrap().len(), 1);
    let start = store.catch_up_start(key, Seq(0), Seq(2), 1000, 1 << 20).await;
    assert_eq!(start.unwrap(), Seq(0));
    for messages in [
        store.messages_after(key, Seq(0), Seq(2), 100).await.unwrap(),
        store.messages_before(key, Seq(3), 100).await.unwrap(),
    ] {
        assert_eq!(messages.len(), 2);
    }
    let rating = StoredFeedback {
        rating: Some(1),
        comment: None,
        correction: None,
        tags: Vec::new(),
    };
    assert!(store.put_feedback(key, run.answer_id, &rating).await.unwrap());
    assert_eq!(store.feedback_of(key).await.unwrap().len(), 1);
    assert!(store.rename_session(key, "Title").await.unwrap().is_some());
    let known = Known {
        key: key.clone(),
        head: Seq(1),
        first: Seq(1),
        run: None,
        title: None,
    };
    assert_eq!(store.changed_sessions(&[known]).await.unwrap(), [key.session_id]);
    store
        .unwatch_sessions(std::slice::from_ref(key), node)
        .await
        .unwrap();
}

/// A query is stored and starts its run.
async fn question(store: &Store, appender: &Appender, key: &SessionKey) -> Claimed {
    let (run_id, query_id, answer_id) = (RunId::new(), MessageId::new(), MessageId::new());
    let day = Reserve {
        tokens: 1,
        cost_usd: 0.1,
        max_tokens: 1000,
        max_cost_usd: 1.0,
    };
    assert_eq!(store.reserve(key, run_id, &day).await.unwrap(), None);
    let place = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    let query = NewQuery {
        key: key.clone(),
        message_id: query_id,
        client_id: Some(ClientName::new("q1").unwrap()),
        content: "Well?".into(),
        metadata: None,
        run_id,
        answer_id,
        model: None,
        priority: Priority::Normal,
        on_busy: OnBusy::Enqueue,
        parent: None,
        place: place.try_acquire_owned().ok(),
    };
    let QueryOutcome::Accepted(accepted) = appender.query(query).await.unwrap() else {
        panic!("the query was not accepted");
    };
    assert_eq!((accepted.seq, accepted.queue_position), (Seq(1), 0));
    let active = store.find_active_run(key).await.unwrap().unwrap();
    assert_eq!(active.run_id, run_id);
    Claimed {
        key: key.clone(),
        run_id,
        fence: agent_websocket::ids::Fence(1),
        attempt: 1,
        query_id,
        query_seq: Seq(1),
        answer_id,
        model: None,
        session: None,
        origin: agent_websocket::trace::Origin::Row,
    }
}

/// Its answer is written piece by piece, asked to stop, and stored.
async fn answer(store: &Store, appender: &Appender, key: &SessionKey, run: &Claimed) {
    let chunk = NewChunk {
        key: key.clone(),
        claim: run.claim(),
        attempt: 1,
        start_at: 0,
        content: "So ".to_owned(),
        prompt: None,
        generation_id: Some("generation".to_owned()),
    };
    assert_eq!(store.chunk_writer().write(&[chunk]).await.unwrap().len(), 1);
    assert_eq!(store.chunk_text(key, run.run_id, 1, 0).await.unwrap(), "So ");
    store.cancel_run(key, None).await.unwrap();
    let to_stop = store.runs_to_stop(&[(key.clone(), run.run_id)]).await.unwrap();
    assert_eq!(to_stop.len(), 1);
    let whole = NewAnswer {
        run: run.clone(),
        content: "So what".into(),
        state: AnswerState::Cancelled,
        model: None,
        finish_reason: None,
        error: None,
        generation_id: None,
        usage: None,
        prompt: None,
        first_token_at: None,
        place: None,
    };
    let outcome = appender.answer(whole).await.unwrap();
    assert!(matches!(outcome, AnswerOutcome::Stored(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_conversation_reads_no_part_but_its_users_own() {
    let database = TestDatabase::in_parts().await;
    sqlx::raw_sql(MANY).execute(&database.pool).await.unwrap();
    database.pool.close().await;
    let mut onlooker = PgConnection::connect(&database.url).await.unwrap();
    let filled = scanned(&mut onlooker).await;
    assert!(filled.len() > 4, "filling the tables is counted: {filled:?}");
    sqlx::raw_sql("SELECT pg_stat_reset()")
        .execute(&mut onlooker)
        .await
        .unwrap();
    assert_eq!(scanned(&mut onlooker).await, BTreeSet::new());

    let store = Store::connect(&database.server_url, 2).await.unwrap();
    let key = SessionKey {
        user_id: UserId::new("alice").unwrap(),
        session_id: SessionId::new(),
    };
    let node = store
        .register_node("parts", Duration::from_mins(1))
        .await
        .unwrap();
    let limits = AppendLimits {
        max_queue: 20,
        max_runs_per_user: 3,
    };
    let (appender, writer) = store.writer(node, limits, Metrics::default().appends.clone(), drop);
    tokio::join!(writer.run(), conversation(&store, appender, node, &key));
    store.close().await;
    let scanned = scanned(&mut onlooker).await;

    let part: String = sqlx::query_scalar(
        "SELECT c.relname::text FROM agent.sessions AS s JOIN pg_class AS c ON c.oid = s.tableoid WHERE s.user_id = 'alice'",
    )
    .fetch_one(&mut onlooker)
    .await
    .unwrap();
    let part = part.strip_prefix("sessions").unwrap();
    let own = [
        "chunks",
        "feedback",
        "messages",
        "reservations",
        "runs",
        "sessions",
        "usage",
    ];
    assert_eq!(scanned, own.map(|table| format!("{table}{part}")).into());
}
