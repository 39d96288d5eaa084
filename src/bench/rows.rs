//! The benchmark's own SQL: what it looks at and puts in from outside, and the floor's table.
//!
//! Refuses to share `store`'s statements: the floor must not become faster or slower with them, and what counts what was
//! stored must not be what stored it. Called by `bed`, the suites and `floor`.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// A connection to a benchmark's database.
#[derive(Debug)]
pub(super) struct Rows(PgConnection);

impl Rows {
    pub(super) async fn connect(url: &str) -> anyhow::Result<Self> {
        Ok(Self(PgConnection::connect(url).await?))
    }

    /// Version and durability.
    pub(super) async fn describe(mut self) -> anyhow::Result<String> {
        let row = sqlx::query(
            "SELECT format('PostgreSQL %s, fsync %s, synchronous_commit %s, shared_buffers %s',
                           split_part(current_setting('server_version'), ' ', 1), current_setting('fsync'),
                           current_setting('synchronous_commit'), current_setting('shared_buffers'))",
        )
        .fetch_one(&mut self.0)
        .await?;
        Ok(row.try_get(0)?)
    }

    pub(super) async fn drop_database(mut self, name: &str) -> anyhow::Result<()> {
        let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut self.0).await?;
        Ok(self.0.close().await?)
    }

    /// How many messages the server has stored.
    pub(super) async fn messages(&mut self) -> anyhow::Result<usize> {
        self.count("SELECT count(*) FROM agent.messages").await
    }

    /// How many rows the floor has stored.
    pub(super) async fn floor_rows(&mut self) -> anyhow::Result<usize> {
        self.count("SELECT count(*) FROM bench_rows").await
    }

    async fn count(&mut self, sql: &'static str) -> anyhow::Result<usize> {
        let row = sqlx::query(sql).fetch_one(&mut self.0).await?;
        Ok(usize::try_from(row.try_get::<i64, _>(0)?)?)
    }

    /// Makes the floor's table.
    pub(super) async fn create_floor(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql(
            "CREATE TABLE bench_rows (
                 id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                 session_id bigint NOT NULL, role text NOT NULL, content text NOT NULL,
                 created_at timestamptz NOT NULL DEFAULT clock_timestamp());
             CREATE INDEX ON bench_rows (session_id, id)",
        )
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Stores rows in one statement, which is one commit.
    pub(super) async fn append_floor(
        &mut self,
        sessions: &[i64],
        roles: &[&str],
        contents: &[&str],
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO bench_rows (session_id, role, content) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])",
        )
        .bind(sessions)
        .bind(roles)
        .bind(contents)
        .execute(&mut self.0)
        .await?;
        Ok(())
    }
}
