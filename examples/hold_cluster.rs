//! Starts an embedded Postgres, says where, and holds it until it is killed or its input ends.
//!
//! The tests of `postgres` start this and kill it: a holder that really dies needs a process of its own.
//!
//! ```text
//! hold_cluster <directory>   a durable cluster in that directory
//! hold_cluster               a throw-away cluster
//! ```

use std::path::PathBuf;

use agent_websocket::postgres::{Cluster, Installation};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let installation = Installation::locate(&environment)?;
    let cluster = match std::env::args_os().nth(1).map(PathBuf::from) {
        Some(data_dir) => Cluster::durable(&installation, &data_dir).await?,
        None => Cluster::throw_away(&installation, "held").await?,
    };
    println!("HELD {}", cluster.data_dir().display());
    // Until the starter kills us, or is dead itself.
    std::io::stdin().read_line(&mut String::new())?;
    cluster.stop().await?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the composition root of the program"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
