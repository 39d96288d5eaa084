//! Postgres: all SQL is in this room and nowhere else.
//!
//! Owns the pool, the migrations, and the translation of rows into the log's own words. Refuses to know frames, sockets
//! or providers. A transaction here is one short function of SQL, never held across anything else. `runs`, `feed`, `ws`
//! and `http` call it.

pub mod append;
mod batch;
pub mod chunks;
pub mod connections;
mod crowd;
pub mod feedback;
pub mod fitness;
pub mod inspect;
mod line;
pub mod messages;
pub mod nodes;
pub mod notifications;
pub mod quota;
pub mod removal;
pub mod revocations;
pub mod runs;
pub mod search;
pub mod sessions;
pub mod tickets;
pub mod usage;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use uuid::Uuid;

use crate::ids::SessionKey;
use line::Line;
use words::Words;

/// What the database can answer beside what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres cannot be reached, or takes no more work: later it may.
    #[error("the database is unavailable: {}", Words(.0))]
    Unavailable(#[source] sqlx::Error),
    /// The database refused what was asked, which is a fault of ours.
    #[error("the database refused: {}", Words(.0))]
    Refused(#[source] sqlx::Error),
    /// A stored value that this version cannot read.
    #[error("inconsistent row in {table}.{column}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The migrations could not be applied.
    #[error("migration failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The writer is gone: the server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl StoreError {
    /// The database took longer than the caller could wait.
    pub fn too_late() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }

    /// Whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Stopping)
    }

    /// The same for another who waited for the same work, without its words.
    fn for_another(&self) -> Self {
        if self.is_retryable() {
            Self::too_late()
        } else {
            Self::Refused(sqlx::Error::RowNotFound)
        }
    }

    /// A name for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
            Self::Inconsistent { .. } => "inconsistent",
            Self::Migration(_) => "migration",
            Self::Stopping => "stopping",
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let refused = match &error {
            // Class 08 is the connection, 53 resources, 57 an operator's intervention, 40 a serialisation or a deadlock.
            sqlx::Error::Database(database) => !database.code().is_some_and(|code| {
                ["08", "40", "53", "55", "57"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => false,
            _ => true,
        };
        if refused {
            Self::Refused(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

/// The log and everything beside it.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
}

/// The pool's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// In use.
    pub used: usize,
    /// Open and free.
    pub idle: usize,
    /// The most that there may be.
    pub max: usize,
}

/// How long anything that somebody waits for may take: a connection that is stalled, not broken, never answers.
const PATIENCE: Duration = Duration::from_secs(12);

/// Gives up on the database after a while.
///
/// # Errors
/// [`StoreError::Unavailable`] when it took too long, else what the work says.
pub async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(StoreError::too_late()))
}

/// A value of each of these, as an array, for `unnest`.
fn column<T, R>(items: &[T], value: impl Fn(&T) -> R) -> Vec<R> {
    items.iter().map(value).collect()
}

/// Users and sessions of these keys, each as an array, for `unnest`.
fn columns<'k>(keys: impl IntoIterator<Item = &'k SessionKey>) -> (Vec<String>, Vec<Uuid>) {
    keys.into_iter()
        .map(|key| (key.user_id.as_str().to_owned(), key.session_id.0))
        .unzip()
}

/// How long a connection that was given back may take to answer.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Whether a connection answers. One whose user gave up on it may never: then it is closed, and makes room for another.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(SIGN_OF_LIFE, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// How every connection of ours is set up.
fn connect_options(url: &str, application: &str) -> Result<PgConnectOptions, StoreError> {
    Ok(PgConnectOptions::from_str(url)?
        .application_name(application)
        // A query of ours that takes longer than this is a fault; the client has long been told to come back.
        .options([
            ("statement_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "10s"),
            ("lock_timeout", "5s"),
            ("jit", "off"),
            // Notices quote what users wrote, and would reach the log.
            ("client_min_messages", "warning"),
        ]))
}

/// Without the options, which hold the database's password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Connects, waiting up to ten seconds for the first connection.
    ///
    /// # Errors
    /// When the URL is no Postgres URL, or no connection could be made in time.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        let options = connect_options(url, "agent-websocket")?;
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(10))
            // The pool finds a dead connection when it is used; asking each time costs a round trip on every query.
            .test_before_acquire(false)
            // The pool's own test of a connection that comes back waits for ever, and the connection's place with it.
            .after_release(|connection, _| Box::pin(answers(connection)))
            .connect_with(options.clone())
            .await?;
        Ok(Self { pool, options })
    }

    /// Brings the schema up to this version. Safe to run by several processes at once.
    ///
    /// # Errors
    /// When a migration fails, or the database was migrated by a newer version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrator().run(&self.pool).await?;
        Ok(())
    }

    /// Whether the schema is the one that this version needs.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn is_migrated(&self) -> Result<bool, StoreError> {
        let exists =
            sqlx::query_scalar!(r#"SELECT to_regclass('agent.migrations') IS NOT NULL AS "exists!""#)
                .fetch_one(&self.pool)
                .await?;
        if !exists {
            return Ok(false);
        }
        // The table is made by the migrator, not by a migration, so the macros cannot check this query.
        let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM agent.migrations WHERE success")
            .fetch_all(&self.pool)
            .await?;
        Ok(migrator()
            .iter()
            .all(|migration| applied.contains(&migration.version)))
    }

    /// The roles of the schema that this user could not make: until somebody does, only the schema's owner can use it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn missing_roles(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT role AS "role!"
            FROM unnest(ARRAY['agent_app', 'agent_reader', 'agent_notifier', 'agent_user']) AS role
            WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role)
            "#
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!(r#"SELECT 1 AS "one!""#)
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }

    /// How many of the pool's connections are in use.
    pub fn pool_use(&self) -> PoolUse {
        let open = usize::try_from(self.pool.size()).unwrap_or(usize::MAX);
        let idle = self.pool.num_idle().min(open);
        let max = self.pool.options().get_max_connections();
        PoolUse {
            used: open - idle,
            idle,
            max: usize::try_from(max).unwrap_or(usize::MAX),
        }
    }

    /// How a connection beside the pool is made: the notifier's.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// A connection beside the pool, for a task of the store's own.
    fn line(&self) -> Line {
        Line::new(&self.options)
    }

    /// Closes the pool; what is in progress ends first.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The migrations, recorded in our own schema so that nothing of ours is outside it.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.table_name = Cow::Borrowed("agent.migrations");
    migrator.create_schemas = Cow::Owned(vec![Cow::Borrowed("agent")]);
    migrator
}
