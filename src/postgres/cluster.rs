//! A running private cluster: initdb when there is none, start, connect, stop. Listens on a Unix socket in a
//! directory that only its owner may enter, which is why it can trust whoever comes. Refuses TCP. Called by the
//! `dev` command with a durable directory and by the tests with a throw-away one.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::directory::{Home, Keep};
use super::error::PostgresError;
use super::initdb::{self, SUPERUSER};
use super::locate::Installation;
use super::log::ServerLog;
use super::previous;
use super::watchdog::Watchdog;

/// Only part of the socket's file name, as nothing listens on TCP.
const PORT: u16 = 5432;

const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The watchdog goes from fast to immediate shutdown after 10 s and kills after 16 s.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// Codes of Postgres for "that database is there already": the second is what a lost race looks like.
const DUPLICATE_DATABASE: [&str; 2] = ["42P04", "23505"];

/// A private Postgres that lives no longer than this value, or than this process, whichever ends first: also
/// when the process is killed. Dropping it stops the server in the background; [`Self::stop`] waits for the end.
#[derive(Debug)]
pub struct Cluster {
    // The order of the fields is the order of their drop: the server is told to stop before the lock goes.
    watchdog: Watchdog,
    log: ServerLog,
    home: Home,
}

impl Cluster {
    /// Starts the cluster in `data_dir`, which is made on the first run and found again on the next. As root the
    /// server runs as `postgres` or `nobody`, and where that account cannot reach `data_dir`, the data goes to
    /// `/var/lib/agent-websocket/<hash of the path>`: [`Self::data_dir`] has the real place.
    ///
    /// # Errors
    ///
    /// Among others [`PostgresError::InUse`] when another living process holds the directory and
    /// [`PostgresError::OtherMajor`] after an upgrade of Postgres; each message says what to do.
    pub async fn durable(installation: &Installation, data_dir: &Path) -> Result<Self, PostgresError> {
        Self::start(installation, Home::durable(data_dir)?).await
    }

    /// Starts an empty cluster in a new temporary directory that is gone when the server has stopped. It does
    /// not flush to the disk. `hint` becomes part of the directory's name, so that a person can tell whose it is.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or the server does not start; each message says what to do.
    pub async fn throw_away(installation: &Installation, hint: &str) -> Result<Self, PostgresError> {
        Self::start(installation, Home::throw_away(installation.temp_dir(), hint)?).await
    }

    async fn start(installation: &Installation, mut home: Home) -> Result<Self, PostgresError> {
        let started = Instant::now();
        previous::clear_away(&home).await?;
        initdb::ensure_cluster(installation, &home).await?;
        let log = ServerLog::open(home.dir(), home.account())?;
        let watchdog = Watchdog::start(installation, &home, &log, server_arguments(&home))?;
        // The watchdog removes it now: it still can when we are dead.
        home.hand_over_scratch();
        let mut cluster = Self { watchdog, log, home };
        if let Err(error) = cluster.wait_until_ready().await {
            // The first error is the one that explains; this only leaves nothing behind.
            drop(cluster.stop().await);
            return Err(error);
        }
        tracing::info!(
            data_dir = %cluster.data_dir().display(),
            version = installation.major(),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "PostgreSQL is ready"
        );
        Ok(cluster)
    }

    /// Where the data really is.
    pub fn data_dir(&self) -> &Path {
        self.home.dir()
    }

    /// The URL of a database of this cluster, for sqlx and for `psql` alike. All that the environment (`PGPORT`,
    /// `PGSSLMODE`, …) could otherwise decide is spelled out.
    pub fn url(&self, database: &str) -> String {
        let database = percent_encode(database);
        let socket_dir = self.home.socket_dir().display();
        format!("postgres://{SUPERUSER}@localhost:{PORT}/{database}?host={socket_dir}&sslmode=disable")
    }

    /// The line that a person pastes into a shell to look into a database.
    pub fn psql_line(&self, database: &str) -> String {
        format!("psql \"{}\"", self.url(database))
    }

    /// Makes an empty database of this name, unless there is one.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Database`] when the server refuses.
    pub async fn create_database_if_missing(&self, name: &str) -> Result<(), PostgresError> {
        let quoted = name.replace('"', "\"\"");
        let create = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE \"{quoted}\"")));
        let created = async {
            let mut connection = PgConnection::connect(&self.url("postgres")).await?;
            let created = create.execute(&mut connection).await;
            connection.close().await?;
            created
        };
        match created.await {
            Err(source) if !is_duplicate(&source) => Err(PostgresError::Database {
                database: name.to_owned(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// Waits for the server to end without having been told to, which is always a fault: the value is that fault.
    /// May be dropped and called again.
    pub async fn wait_for_exit(&mut self) -> PostgresError {
        match self.watchdog.wait().await {
            Ok(status) => PostgresError::Ended {
                status,
                log: self.log.path().to_owned(),
                tail: self.log.tail(),
            },
            Err(error) => error,
        }
    }

    /// Stops the server and waits for its end: connections are cut, what is committed stays. The directory of a
    /// throw-away cluster is gone afterwards.
    ///
    /// # Errors
    ///
    /// [`PostgresError::NotStopped`] when even an immediate shutdown has not ended the server in time.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        self.watchdog.close();
        match timeout(STOPPED_WITHIN, self.watchdog.wait()).await {
            Ok(ended) => {
                tracing::info!(data_dir = %self.data_dir().display(), "PostgreSQL has stopped");
                ended.map(drop)
            }
            Err(_) => Err(PostgresError::NotStopped {
                seconds: STOPPED_WITHIN.as_secs(),
                log: self.log.path().to_owned(),
            }),
        }
    }

    /// Only a connection counts: the socket is there before the server accepts, and a recovery comes in between.
    async fn wait_until_ready(&mut self) -> Result<(), PostgresError> {
        let url = self.url("postgres");
        let mut last_error = None;
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.watchdog.ended()? {
                let log = self.log.path().to_owned();
                return Err(PostgresError::Ended {
                    status,
                    log,
                    tail: self.log.tail(),
                });
            }
            match timeout_at(deadline, PgConnection::connect(&url)).await {
                Ok(Ok(connection)) => {
                    // It has served its purpose; how it closes changes nothing.
                    drop(connection.close().await);
                    return Ok(());
                }
                Ok(Err(error)) => last_error = Some(error),
                Err(_) => break,
            }
            sleep(LOOK_AGAIN).await;
        }
        Err(PostgresError::NotReady {
            seconds: READY_WITHIN.as_secs(),
            log: self.log.path().to_owned(),
            tail: self.log.tail(),
            source: last_error,
        })
    }
}

fn server_arguments(home: &Home) -> Vec<OsString> {
    let sockets = format!("unix_socket_directories={}", home.socket_dir().display());
    // The log goes into the file that the watchdog holds, whatever the cluster's own configuration says.
    let fixed = [
        "listen_addresses=",
        &sockets,
        "unix_socket_permissions=0700",
        "logging_collector=off",
    ];
    let by_keep: &[&str] = match home.keep() {
        Keep::Durable => &["fsync=on"],
        // Nothing here outlives a crash anyway. Many tests share one server, each with a pool of its own.
        Keep::ThrowAway => &[
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_connections=300",
        ],
    };
    let mut arguments: Vec<OsString> = vec!["-D".into(), home.cluster_dir().into()];
    arguments.extend(["-p".into(), PORT.to_string().into()]);
    arguments.extend(
        fixed
            .iter()
            .chain(by_keep)
            .flat_map(|setting| ["-c".into(), setting.into()]),
    );
    arguments
}

fn is_duplicate(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| DUPLICATE_DATABASE.contains(&code.as_ref()))
}

fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
