//! What an index of words costs those who store messages: as an index of the messages themselves, and as the table beside
//! them that is written behind. Two services, 64 rows a statement. Called by `main`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::corpus::Vocabulary;
use super::figures::median;
use super::indexing;

const SERVICES: u32 = 2;
const BATCH: usize = 64;
/// Sessions that each service writes to in turn: no batch has two rows of one, as with `agent.append`.
const SESSIONS: usize = 1000;
const WINDOW: Duration = Duration::from_secs(4);
/// Each order and its reverse, so many times.
const ROUNDS: usize = 2;

type Texts = Arc<Vec<Vec<String>>>;

/// The same batches with and without a GIN index on the messages: why the index is a table of its own.
pub(crate) async fn with_an_index_of_their_own(url: &str) -> anyhow::Result<()> {
    println!("\nMessages stored a second: {SERVICES} services, {BATCH} rows a statement");
    let mut admin = PgConnection::connect(url).await?;
    let texts = texts();
    append(url, &texts).await?;
    let mut without = Vec::new();
    let mut with = Vec::new();
    for round in 0..2 * ROUNDS {
        for side in [round % 2, (round + 1) % 2] {
            sqlx::raw_sql("TRUNCATE agent.messages; DROP INDEX IF EXISTS agent.messages_words")
                .execute(&mut admin)
                .await?;
            if side == 0 {
                without.push(append(url, &texts).await?);
                continue;
            }
            sqlx::raw_sql(
                "CREATE INDEX messages_words ON agent.messages USING gin (agent.words_of(content))",
            )
            .execute(&mut admin)
            .await?;
            with.push(append(url, &texts).await?);
        }
    }
    sqlx::raw_sql("DROP INDEX IF EXISTS agent.messages_words; TRUNCATE agent.messages")
        .execute(&mut admin)
        .await?;
    print(("as it is", &without), ("a GIN index on agent.messages", &with));
    Ok(admin.close().await?)
}

/// The same batches while nobody and while somebody indexes older messages.
pub(crate) async fn beside_the_indexer(url: &str) -> anyhow::Result<()> {
    println!("\nThe same beside agent.index_messages, which works through a backlog as fast as it can");
    let mut admin = PgConnection::connect(url).await?;
    indexing::forget_the_future(&mut admin).await?;
    let texts = texts();
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    let mut indexed = Vec::new();
    for round in 0..2 * ROUNDS {
        for side in [round % 2, (round + 1) % 2] {
            if side == 0 {
                alone.push(append(url, &texts).await?);
                continue;
            }
            let over = AtomicBool::new(false);
            let (rate, rows) = tokio::try_join!(
                async {
                    let rate = append(url, &texts).await;
                    over.store(true, Ordering::Relaxed);
                    rate
                },
                index_until(&mut admin, &over),
            )?;
            beside.push(rate);
            indexed.push(rows);
        }
    }
    sqlx::raw_sql("DELETE FROM agent.messages WHERE user_id LIKE 'writer-%'")
        .execute(&mut admin)
        .await?;
    sqlx::raw_sql("VACUUM ANALYZE agent.messages")
        .execute(&mut admin)
        .await?;
    print(("nobody indexes", &alone), ("one connection indexes", &beside));
    println!("meanwhile it indexed {:.0} messages/s", median(indexed));
    Ok(admin.close().await?)
}

/// Indexes until told that it is over, or until nothing is left. Returns messages a second.
async fn index_until(connection: &mut PgConnection, over: &AtomicBool) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut rows = 0;
    while !over.load(Ordering::Relaxed) {
        match indexing::step(connection).await? {
            0 => break,
            some => rows += some,
        }
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}

/// Batches of texts, made beforehand.
fn texts() -> Texts {
    let mut vocabulary = Vocabulary::new();
    let mut text = || {
        let mut text = String::new();
        vocabulary.speak(&mut text);
        text
    };
    Arc::new((0..256).map(|_| (0..BATCH).map(|_| text()).collect()).collect())
}

/// All services store messages for a while. Returns messages a second.
async fn append(url: &str, texts: &Texts) -> anyhow::Result<f64> {
    let mut services = JoinSet::new();
    for service in 0..SERVICES {
        let connection = PgConnection::connect(url).await?;
        services.spawn(serve(connection, service, Arc::clone(texts)));
    }
    let mut rate = 0.0;
    while let Some(served) = services.join_next().await {
        rate += served??;
    }
    Ok(rate)
}

async fn serve(mut connection: PgConnection, service: u32, texts: Texts) -> sqlx::Result<f64> {
    // Users of this call alone: an earlier one's are still there.
    let call = Uuid::new_v4().simple().to_string();
    let keys: Vec<(String, Uuid)> = (0..SESSIONS)
        .map(|number| (format!("writer-{call}-{service}-{number}"), Uuid::new_v4()))
        .collect();
    let began = Instant::now();
    let mut rows = 0;
    for texts in texts.iter().cycle() {
        if began.elapsed() >= WINDOW {
            break;
        }
        let chosen = keys.iter().cycle().skip(rows % SESSIONS).take(BATCH);
        let (users, sessions): (Vec<&str>, Vec<Uuid>) =
            chosen.map(|(user, session)| (user.as_str(), *session)).unzip();
        let seqs: Vec<i64> = (rows..rows + BATCH)
            .filter_map(|row| i64::try_from(row).ok())
            .collect();
        store(&mut connection, &users, &sessions, &seqs, texts).await?;
        rows += BATCH;
    }
    let rate = rows as f64 / began.elapsed().as_secs_f64();
    connection.close().await?;
    Ok(rate)
}

/// One batch, one transaction. Their time is to come, so that nobody indexes them: they are removed again.
async fn store(
    connection: &mut PgConnection,
    users: &[&str],
    sessions: &[Uuid],
    seqs: &[i64],
    texts: &[String],
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO agent.messages (user_id, session_id, seq, message_id, client_id, role, content, created_at)
         SELECT k.u, k.i, k.s, gen_random_uuid(), CASE k.s % 2 WHEN 1 THEN k.s::text END,
                CASE k.s % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, k.t, clock_timestamp() + interval '1 day'
         FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[]) AS k (u, i, s, t)",
    )
    .bind(users)
    .bind(sessions)
    .bind(seqs)
    .bind(texts)
    .execute(connection)
    .await?;
    Ok(())
}

fn print(without: (&str, &[f64]), with: (&str, &[f64])) {
    let ratio = median(with.1.iter().zip(without.1).map(|(with, without)| with / without));
    println!("{:<36} {:>9} {:>7}", "", "rows/s", "ratio");
    println!(
        "{:<36} {:>9.0} {:>7.2}",
        without.0,
        median(without.1.iter().copied()),
        1.0
    );
    println!(
        "{:<36} {:>9.0} {ratio:>7.2}",
        with.0,
        median(with.1.iter().copied())
    );
}
