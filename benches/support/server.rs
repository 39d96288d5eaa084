//! A Postgres for one benchmark, migrated and empty: a private one that flushes, in a directory that is gone afterwards, or
//! a fresh database at `DATABASE_URL`, from which the schema is removed again. Refuses a database that has the schema
//! already. Called by the benchmarks' `main`.

use agent_websocket::postgres::{Cluster, Installation};
use agent_websocket::store::Store;
use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Runs a benchmark on a server, and ends and removes the server whatever came of it, an interrupt included.
pub(crate) async fn on_a_server(measure: impl AsyncFnOnce(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let measured = tokio::select! {
        measured = measured_on(&server.url, measure) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let stopped = server.stop().await;
    measured.and(stopped)
}

async fn measured_on(url: &str, measure: impl AsyncFnOnce(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let store = Store::connect(url, 1).await?;
    store.migrate().await?;
    store.close().await;
    let mut connection = PgConnection::connect(url).await?;
    let of: String = sqlx::query_scalar(
        "SELECT format('PostgreSQL %s, fsync %s, synchronous_commit %s, shared_buffers %s',
                       current_setting('server_version'), current_setting('fsync'),
                       current_setting('synchronous_commit'), current_setting('shared_buffers'))",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    println!("{of}");
    measure(url).await
}

/// Where a benchmark's figures come from.
struct Server {
    url: String,
    /// Ours to stop and to remove; none when the database is somebody else's.
    private: Option<(Cluster, TempDir)>,
}

impl Server {
    async fn start() -> anyhow::Result<Self> {
        if let Some(url) = environment("DATABASE_URL") {
            let mut connection = PgConnection::connect(&url).await.context("DATABASE_URL")?;
            let taken: bool = sqlx::query_scalar("SELECT to_regnamespace('agent') IS NOT NULL")
                .fetch_one(&mut connection)
                .await?;
            connection.close().await?;
            ensure!(
                !taken,
                "DATABASE_URL names a database that has the schema agent already: a benchmark needs one of its own"
            );
            return Ok(Self { url, private: None });
        }
        let installation = Installation::locate(&environment)?;
        let directory = tempfile::Builder::new().prefix("agent-ws-bench-").tempdir()?;
        open_to_the_server(&directory)?;
        let cluster = Cluster::durable(&installation, &directory.path().join("data")).await?;
        Ok(Self {
            url: cluster.url("postgres"),
            private: Some((cluster, directory)),
        })
    }

    async fn stop(self) -> anyhow::Result<()> {
        let Some((cluster, directory)) = self.private else {
            let mut connection = PgConnection::connect(&self.url).await?;
            sqlx::raw_sql("DROP SCHEMA agent CASCADE")
                .execute(&mut connection)
                .await?;
            return Ok(connection.close().await?);
        };
        // Not below the temporary directory where the server's account could not reach that.
        let data_dir = cluster.data_dir().to_owned();
        cluster.stop().await?;
        std::fs::remove_dir_all(data_dir)?;
        Ok(directory.close()?)
    }
}

/// As root the server runs under another account, which must get through to its data; that is closed to all others.
fn open_to_the_server(directory: &TempDir) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))
}

/// What the environment says, to the benchmarks as to the library.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the composition root of the benchmarks"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
