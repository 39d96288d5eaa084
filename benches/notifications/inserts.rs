//! Services that insert notifications, one row a transaction: as fast as they can, or at a rate. And the triggers that they
//! run into. Called by the other modules of this benchmark.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

/// What tells the nodes of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Nothing: nodes find rows by their poll.
    None,
    /// The schema's own: of transactions that insert at the same time one says NOTIFY.
    Hint,
    /// What one writes first: every statement says NOTIFY.
    Always,
}

impl Trigger {
    /// As the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "no trigger",
            Self::Hint => "the hint trigger",
            Self::Always => "NOTIFY in every statement",
        }
    }

    /// Makes the table have this one and no other.
    pub(crate) async fn set(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let hint = if self == Self::Hint { "ENABLE" } else { "DISABLE" };
        let mut sql = format!(
            "DROP TRIGGER IF EXISTS always ON agent.notifications;
             ALTER TABLE agent.notifications {hint} TRIGGER notifications_hint;"
        );
        if self == Self::Always {
            sql.push_str(
                "CREATE TRIGGER always AFTER INSERT ON agent.notifications
                 FOR EACH STATEMENT EXECUTE FUNCTION agent.notifications_hint();",
            );
        }
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(())
    }
}

/// Empties the table, so that no measurement carries the rows of the one before it.
pub(crate) async fn clear(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("TRUNCATE agent.notifications")
        .execute(connection)
        .await?;
    Ok(())
}

/// The name of one of the users.
pub(crate) fn user(number: usize) -> String {
    format!("user-{number}")
}

/// One row, one transaction. The statement is prepared once a connection.
pub(crate) async fn insert(connection: &mut PgConnection, user: &str, content: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ($1, $2)")
        .bind(user)
        .bind(content)
        .execute(connection)
        .await?;
    Ok(())
}

/// Services, each with a connection of its own.
pub(crate) struct Services(Vec<PgConnection>);

impl Services {
    pub(crate) async fn connect(url: &str, count: usize) -> sqlx::Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(PgConnection::connect(url).await?);
        }
        Ok(Self(connections))
    }

    /// All insert for some time as fast as they can, for `users` in turn. Returns rows a second.
    pub(crate) async fn flood(&mut self, time: Duration, users: usize) -> anyhow::Result<f64> {
        let began = Instant::now();
        let mut working = JoinSet::new();
        for (index, mut connection) in self.0.drain(..).enumerate() {
            working.spawn(async move {
                let mut rows = 0;
                while began.elapsed() < time {
                    insert(
                        &mut connection,
                        &user((index * 7919 + rows) % users),
                        "Build finished",
                    )
                    .await?;
                    rows += 1;
                }
                Ok::<_, sqlx::Error>((connection, rows))
            });
        }
        let mut rows = 0;
        while let Some(done) = working.join_next().await {
            let (connection, inserted) = done??;
            self.0.push(connection);
            rows += inserted;
        }
        Ok(rows as f64 / began.elapsed().as_secs_f64())
    }

    /// All together insert `rows` numbered rows at a rate, for `users` in turn. Returns when each row's insert began.
    pub(crate) async fn at_a_rate(
        &mut self,
        rows: usize,
        per_second: u32,
        users: usize,
    ) -> anyhow::Result<Vec<(usize, Instant)>> {
        let step = Duration::from_secs(1) / per_second;
        let services = self.0.len();
        let start = tokio::time::Instant::now();
        let mut working = JoinSet::new();
        for (index, mut connection) in self.0.drain(..).enumerate() {
            working.spawn(async move {
                let mut began = Vec::with_capacity(rows / services + 1);
                let first = start + step * u32::try_from(index)?;
                let mut due = interval_at(first, step * u32::try_from(services)?);
                due.set_missed_tick_behavior(MissedTickBehavior::Burst);
                for number in (index..rows).step_by(services) {
                    due.tick().await;
                    began.push((number, Instant::now()));
                    insert(&mut connection, &user(number % users), &number.to_string()).await?;
                }
                anyhow::Ok((connection, began))
            });
        }
        let mut began = Vec::with_capacity(rows);
        while let Some(done) = working.join_next().await {
            let (connection, own) = done??;
            self.0.push(connection);
            began.extend(own);
        }
        Ok(began)
    }
}
