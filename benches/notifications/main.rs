//! What notifications cost the services that insert them, and how soon users have them: `cargo bench --bench notifications`.
//!
//! Starts a private Postgres that flushes (or takes the fresh database at `DATABASE_URL`), prints tables, removes all of it.
//! After `--` parts may be named: `listener`, `node`, `latency`, `statement`, `polling`; none means all. Exits with an error when a row was
//! lost or came twice, never because of a time. docs/benchmarks.md has figures.

mod audience;
mod delivery;
#[path = "../support/figures.rs"]
mod figures;
mod inserts;
#[path = "../support/server.rs"]
mod server;
mod target;
mod throughput;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let named: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    server::on_a_server(async |url| {
        if wanted("listener") {
            throughput::without_a_node(url).await?;
        }
        if wanted("node") {
            throughput::with_a_node(url).await?;
        }
        if wanted("latency") {
            delivery::by_hints(url).await?;
        }
        if wanted("statement") {
            delivery::one_statement(url).await?;
        }
        if wanted("polling") {
            delivery::by_polling(url).await?;
        }
        Ok(())
    })
    .await
}
