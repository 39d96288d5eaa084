//! The append: questions and answers through the one writer, at several numbers of senders, beside bare INSERTs of as many rows a statement
//! on one connection. Also a replay from the table. Called by `main`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent_websocket::ids::{MessageId, NodeId, RunId, Seq, SessionId, SessionKey, UserId};
use agent_websocket::log::{AnswerState, Claimed};
use agent_websocket::metrics::Metrics;
use agent_websocket::protocol::client::{OnBusy, Priority};
use agent_websocket::store::Store;
use agent_websocket::store::append::{
    AnswerOutcome, AppendLimits, Appender, Commit, NewAnswer, NewQuery, QueryOutcome,
};
use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SENDERS: [usize; 4] = [1, 16, 64, 256];

/// Messages in all at a scale with one sender, and how many more with many.
const MESSAGES: usize = 2000;

/// An answer's text: as long as common ones.
const ANSWER: &str =
    "An answer of some words. An answer of some words. An answer of some words. An answer of some words.";

const LIMITS: AppendLimits = AppendLimits {
    max_queue: 0,
    max_runs_per_user: 0,
};

type Claims = Arc<Mutex<HashMap<RunId, Claimed>>>;

pub(crate) async fn measure(url: &str) -> anyhow::Result<()> {
    let store = Store::connect(url, 8).await?;
    let node = store.register_node("bench", Duration::from_mins(10)).await?;
    let claims = Claims::default();
    let (appender, writer) = store.writer(node, LIMITS, Metrics::default().appends, {
        let claims = Arc::clone(&claims);
        move |commit: Commit| keep(&claims, commit)
    });
    let mut writing = JoinSet::new();
    writing.spawn(writer.run());
    let mut bare = PgConnection::connect(url).await?;
    sqlx::raw_sql("CREATE TABLE public.bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, role text, content text)")
        .execute(&mut bare)
        .await?;
    println!(
        "{:<52} {:>12} {:>14} {:>7}",
        "append, to the last commit", "messages/s", "bare INSERT", "ratio"
    );
    for senders in SENDERS {
        let each = MESSAGES / 2 / senders.min(16);
        let ours = converse(&store, &appender, &claims, node, senders, each).await?;
        let theirs = insert(&mut bare, senders, 2 * each).await?;
        println!(
            "{:<52} {ours:>12.0} {theirs:>14.0} {:>7.2}",
            format!("{} messages of {senders} senders", 2 * each * senders),
            ours / theirs
        );
    }
    replay(&store, &appender, &claims, node).await?;
    sqlx::raw_sql("DROP TABLE public.bare").execute(&mut bare).await?;
    bare.close().await?;
    drop(appender);
    writing.join_all().await;
    store.close().await;
    Ok(())
}

fn keep(claims: &Claims, commit: Commit) {
    if let Some((run, _place)) = commit.start {
        claims
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(run.run_id, run);
    }
}

/// Each sender asks and answers in a session of its own, one after the other. Returns messages a second.
async fn converse(
    store: &Store,
    appender: &Appender,
    claims: &Claims,
    node: NodeId,
    senders: usize,
    each: usize,
) -> anyhow::Result<f64> {
    let mut keys = Vec::new();
    for _ in 0..senders {
        keys.push(session(store, node).await?);
    }
    let places = Arc::new(Semaphore::new(senders));
    let began = Instant::now();
    let mut sending = JoinSet::new();
    for key in keys.clone() {
        let (appender, claims, places) = (appender.clone(), Arc::clone(claims), Arc::clone(&places));
        sending.spawn(async move {
            for _ in 0..each {
                turn(&appender, &claims, &places, &key).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    let took = began.elapsed().as_secs_f64();
    for key in &keys {
        let session = store.find_session(key).await?.context("a session was lost")?;
        let head = usize::try_from(session.last_seq.0)?;
        ensure!(head == 2 * each, "{head} of {} messages are stored", 2 * each);
    }
    Ok((2 * each * senders) as f64 / took)
}

async fn session(store: &Store, node: NodeId) -> anyhow::Result<SessionKey> {
    let key = SessionKey {
        user_id: UserId::new(&format!("bench-{}", SessionId::new()))?,
        session_id: SessionId::new(),
    };
    let created = store.create_sessions(&[&key], node, 0).await?;
    ensure!(created.len() == 1, "no session");
    Ok(key)
}

/// A question and its answer.
async fn turn(
    appender: &Appender,
    claims: &Claims,
    places: &Arc<Semaphore>,
    key: &SessionKey,
) -> anyhow::Result<()> {
    let run_id = RunId::new();
    let query = NewQuery {
        key: key.clone(),
        message_id: MessageId::new(),
        client_id: None,
        content: "What would a careful engineer measure first?".into(),
        metadata: None,
        run_id,
        answer_id: MessageId::new(),
        model: None,
        priority: Priority::default(),
        on_busy: OnBusy::Enqueue,
        parent: None,
        place: Some(Arc::clone(places).acquire_owned().await?),
    };
    let asked = appender.query(query).await?;
    ensure!(
        matches!(asked, QueryOutcome::Accepted(_)),
        "a question was refused"
    );
    let run = claims
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&run_id);
    let answer = NewAnswer {
        run: run.context("a run was not claimed")?,
        content: ANSWER.into(),
        state: AnswerState::Complete,
        model: Some("bench/model".to_owned()),
        finish_reason: Some("stop".to_owned()),
        error: None,
        generation_id: None,
        usage: None,
        prompt: None,
        first_token_at: None,
        place: None,
    };
    let answered = appender.answer(answer).await?;
    ensure!(
        matches!(answered, AnswerOutcome::Stored(_)),
        "an answer was refused"
    );
    Ok(())
}

/// So many statements of so many rows, one after the other. Returns rows a second.
async fn insert(bare: &mut PgConnection, rows: usize, statements: usize) -> anyhow::Result<f64> {
    let roles = vec!["user"; rows];
    let contents = vec![ANSWER; rows];
    let began = Instant::now();
    for _ in 0..statements {
        sqlx::query("INSERT INTO public.bare (role, content) SELECT * FROM unnest($1::text[], $2::text[])")
            .bind(&roles)
            .bind(&contents)
            .execute(&mut *bare)
            .await?;
    }
    Ok((rows * statements) as f64 / began.elapsed().as_secs_f64())
}

/// What who comes back is sent from the table.
async fn replay(store: &Store, appender: &Appender, claims: &Claims, node: NodeId) -> anyhow::Result<()> {
    let key = session(store, node).await?;
    let places = Arc::new(Semaphore::new(1));
    for _ in 0..500 {
        turn(appender, claims, &places, &key).await?;
    }
    println!("\n{:<52} {:>12}", "", "us each");
    for count in [2_u32, 50, 1000] {
        let began = Instant::now();
        let mut reads = 0;
        while began.elapsed() < Duration::from_secs(1) {
            let after = Seq(1000 - i64::from(count));
            let read = store.messages_after(&key, after, Seq(1000), count).await?;
            ensure!(read.len() == usize::try_from(count)?, "a message was lost");
            reads += 1;
        }
        let each = began.elapsed().as_secs_f64() * 1e6 / f64::from(reads);
        println!(
            "{:<52} {each:>12.0}",
            format!("replay: {count} messages from the table")
        );
    }
    Ok(())
}
