//! The benchmark's own SQL: what it looks at and puts in from outside, and what the floors store.
//!
//! Refuses to share `store`'s statements: the floor must not become faster or slower with them, and what counts what was
//! stored must not be what stored it. Called by `bed`, the suites and `floor`.

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};
use uuid::Uuid;

use super::bed::Contestant;

mod turns;

pub(super) use self::turns::Part;

/// Sessions that are stored in one statement.
const FILLED_AT_ONCE: usize = 1000;

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

    /// What every later connection to a database begins with.
    pub(super) async fn set_for_all(
        &mut self,
        database: &str,
        setting: &str,
        value: &str,
    ) -> anyhow::Result<()> {
        let alter = format!("ALTER DATABASE \"{database}\" SET {setting} = '{value}'");
        sqlx::raw_sql(AssertSqlSafe(alter)).execute(&mut self.0).await?;
        Ok(())
    }

    /// Notifies a user of the server, as a service does.
    pub(super) async fn notify(&mut self, user: &str, content: &str) -> anyhow::Result<()> {
        sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ($1, $2)")
            .bind(user)
            .bind(content)
            .execute(&mut self.0)
            .await?;
        Ok(())
    }

    /// Stores a row of the floor's and says so to who listens.
    pub(super) async fn notify_floor(&mut self, content: &str) -> anyhow::Result<()> {
        sqlx::query(
            "WITH stored AS (INSERT INTO bench_rows (session_id, role, content) VALUES (0, 'notification', $1) RETURNING content)
             SELECT pg_notify('bench_fan', content) FROM stored",
        )
        .bind(content)
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    pub(super) async fn drop_database(mut self, name: &str) -> anyhow::Result<()> {
        let drop = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut self.0).await?;
        Ok(self.0.close().await?)
    }

    /// How many messages a contestant has stored.
    pub(super) async fn stored(&mut self, contestant: Contestant) -> anyhow::Result<usize> {
        match contestant {
            Contestant::Service => self.count("SELECT count(*) FROM agent.messages").await,
            // In one of the two, as its route is.
            Contestant::Floor => {
                self.count("SELECT (SELECT count(*) FROM bench_rows) + (SELECT count(*) FROM agent.messages)")
                    .await
            }
        }
    }

    /// Lets Postgres look at its tables now, not when it next comes round.
    pub(super) async fn analyze(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql("ANALYZE").execute(&mut self.0).await?;
        Ok(())
    }

    /// Stores 100 sessions of 100 messages of one user, and so many messages of others; returns the user's sessions. Their
    /// words are used unevenly, and they lie in the past.
    pub(super) async fn fill(&mut self, user: &str, others: usize) -> anyhow::Result<Vec<String>> {
        self.fill_sessions(user, 100, 1).await?;
        let others = others / 100;
        for first in (0..others).step_by(FILLED_AT_ONCE) {
            self.fill_sessions("other", FILLED_AT_ONCE.min(others - first), first + 1000)
                .await?;
        }
        self.tidy(["VACUUM ANALYZE agent.sessions", "VACUUM ANALYZE agent.messages"])
            .await?;
        let rows =
            sqlx::query("SELECT session_id::text FROM agent.sessions WHERE user_id = $1 AND last_seq = 100")
                .bind(user)
                .fetch_all(&mut self.0)
                .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Sessions of 100 messages; where the user is `other`, ten each of one.
    async fn fill_sessions(&mut self, user: &str, sessions: usize, first: usize) -> anyhow::Result<()> {
        sqlx::query(
            "WITH made AS MATERIALIZED (
                 SELECT CASE $1 WHEN 'other' THEN 'other-' || n / 10 ELSE $1 END AS user_id, gen_random_uuid() AS session_id,
                        clock_timestamp() - interval '30 days' + n * interval '1 second' AS at
                 FROM generate_series($2::bigint, $2 + $3 - 1) AS n),
             sessions AS (
                 INSERT INTO agent.sessions (user_id, session_id, last_seq, created_at, last_activity_at)
                 SELECT user_id, session_id, 100, at, at FROM made)
             INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
             SELECT user_id, session_id, seq, gen_random_uuid(), CASE seq % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
                    (SELECT string_agg('w' || floor(5000 * power(random(), 3)), ' ') FROM generate_series(1, 25 + 0 * seq)),
                    at + seq * interval '1 millisecond'
             FROM made, generate_series(1, 100) AS seq",
        )
        .bind(user)
        .bind(i64::try_from(first)?)
        .bind(i64::try_from(sessions)?)
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Indexes the words of all that is stored, as the server does in the background.
    pub(super) async fn index_all(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql("UPDATE agent.search_progress SET indexed_until = '-infinity'")
            .execute(&mut self.0)
            .await?;
        while self.count("SELECT agent.index_messages(20000)").await? > 0 {}
        self.tidy(["VACUUM ANALYZE agent.search_index", "CHECKPOINT"])
            .await
    }

    /// Each in a statement of its own: no transaction may hold these.
    async fn tidy(&mut self, statements: [&'static str; 2]) -> anyhow::Result<()> {
        for statement in statements {
            sqlx::raw_sql(statement).execute(&mut self.0).await?;
        }
        Ok(())
    }

    async fn count(&mut self, sql: &'static str) -> anyhow::Result<usize> {
        let row = sqlx::query(sql).fetch_one(&mut self.0).await?;
        Ok(usize::try_from(row.try_get::<i64, _>(0)?)?)
    }

    /// Makes the floor's table.
    pub(super) async fn create_floor(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS bench_rows (
                 id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                 session_id bigint NOT NULL, role text NOT NULL, content text NOT NULL,
                 created_at timestamptz NOT NULL DEFAULT clock_timestamp());
             CREATE INDEX IF NOT EXISTS bench_rows_of ON bench_rows (session_id, id)",
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

/// Several connections to the floor's table.
#[derive(Debug)]
pub(super) struct Pool(PgPool);

impl Pool {
    pub(super) async fn connect(url: &str, connections: u32) -> anyhow::Result<Self> {
        let options = PgPoolOptions::new().max_connections(connections);
        Ok(Self(options.connect(url).await?))
    }

    /// Stores one row in a commit of its own.
    pub(super) async fn append_one(&self, session: i64, role: &str, content: &str) -> anyhow::Result<()> {
        sqlx::query("INSERT INTO bench_rows (session_id, role, content) VALUES ($1, $2, $3)")
            .bind(session)
            .bind(role)
            .bind(content)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// Makes a session of this schema, of a user by its name.
    pub(super) async fn open_session(&self, session: Uuid) -> anyhow::Result<()> {
        sqlx::query("INSERT INTO agent.sessions (user_id, session_id) VALUES ($1::uuid::text, $1)")
            .bind(session)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// A session's rows behind one of them, in their order.
    pub(super) async fn after(&self, session: i64, after: i64) -> anyhow::Result<Vec<(i64, String)>> {
        let rows =
            sqlx::query("SELECT id, content FROM bench_rows WHERE session_id = $1 AND id > $2 ORDER BY id")
                .bind(session)
                .bind(after)
                .fetch_all(&self.0)
                .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }
}

/// Hears what [`Rows::notify_floor`] says.
#[derive(Debug)]
pub(super) struct Ear(PgListener);

impl Ear {
    pub(super) async fn listen(url: &str) -> anyhow::Result<Self> {
        let mut listener = PgListener::connect(url).await?;
        listener.listen("bench_fan").await?;
        Ok(Self(listener))
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<String> {
        Ok(self.0.recv().await?.payload().to_owned())
    }
}
