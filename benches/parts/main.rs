//! What the parts cost by themselves, each at its scales: `cargo bench --bench parts`.
//!
//! Decoding a provider's stream, replaying a log into a connection, building a prompt, and the append into Postgres, beside what bare
//! INSERTs of the same rows take. Each is measured to the end of its work. Also counts the allocations on the way of a token.
//! Starts a private Postgres that flushes (or takes the fresh database at `DATABASE_URL`), and removes it. Fails when
//! something is lost on the way, never because of a time. docs/performance.md has figures.

mod append;
mod log;
mod pure;
#[path = "../support/server.rs"]
mod server;
mod tokens;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("\n{:<52} {:>12} {:>14}", "", "ns each", "allocations");
    pure::decode_a_stream()?;
    pure::replay_a_log()?;
    pure::build_prompts()?;
    tokio::task::spawn_blocking(tokens::on_their_way).await??;
    println!();
    server::on_a_server(append::measure).await
}
