//! How long a search of one's own history takes, and what the index costs those who write: `cargo bench --bench search`.
//!
//! Starts a private Postgres that flushes (or takes the fresh database at `DATABASE_URL`), stores a million messages (or
//! `SEARCH_MESSAGES` of them), prints tables, removes all of it. Exits with an error when a search finds something else than
//! reading everything does, or goes another way than by its index; never because of a time. docs/benchmarks.md has figures.

mod append;
mod corpus;
#[path = "../support/figures.rs"]
mod figures;
mod indexing;
mod queries;
#[path = "../support/server.rs"]
mod server;

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection};

use corpus::Corpus;

const MESSAGES: usize = 1_000_000;
/// Fewer, and the longest history is too short for the words to be looked up.
const FEWEST: usize = 50_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let messages = match server::environment("SEARCH_MESSAGES") {
        Some(number) => number.parse().context("SEARCH_MESSAGES")?,
        None => MESSAGES,
    };
    ensure!(messages >= FEWEST, "SEARCH_MESSAGES must be at least {FEWEST}");
    server::on_a_server(async |url| measure(url, messages).await).await
}

async fn measure(url: &str, messages: usize) -> anyhow::Result<()> {
    append::with_an_index_of_their_own(url).await?;

    let mut connection = PgConnection::connect(url).await?;
    let mut corpus = Corpus::new(messages);
    corpus.store(&mut connection, corpus.beginning()).await?;
    indexing::catch_up(&mut connection).await?;
    let before = queries::of_the_early_user(&mut connection, &corpus).await?;

    corpus.store(&mut connection, messages).await?;
    append::beside_the_indexer(url).await?;
    indexing::catch_up(&mut connection).await?;
    queries::check_plans(&mut connection, &corpus).await?;
    queries::compare(&mut connection, &corpus).await?;
    let after = queries::of_the_early_user(&mut connection, &corpus).await?;
    queries::print_growth(&corpus, &before, &after);
    Ok(connection.close().await?)
}
