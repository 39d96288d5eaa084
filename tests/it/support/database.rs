//! A database for each test, copied from one that was migrated once, in a throw-away Postgres of this test run.
//!
//! Tests look and insert as its superuser. Servers connect as a login that is `agent_app` and nothing else, so that a
//! privilege which a server lacks fails the test that needs it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use agent_websocket::postgres::{Cluster, Installation};
use agent_websocket::store::Store;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::{OnceCell, oneshot};

const TEMPLATE: &str = "template_agent";

/// docs/scaling.md: cuts the tables of the log.
const PARTITION: &str = include_str!("../../../deploy/partition.sql");

/// What servers connect as.
const SERVER_LOGIN: &str = "agent_server";

/// The run's server lives on a thread of its own: every test has its own runtime, which ends with it.
struct Server {
    admin_url: String,
    url_of: Box<dyn Fn(&str) -> String + Send + Sync>,
}

static SERVER: OnceCell<Server> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

#[expect(
    clippy::disallowed_methods,
    reason = "this is the composition root of the test program"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn server() -> &'static Server {
    SERVER
        .get_or_init(|| async {
            let (started, ready) = oneshot::channel();
            thread::spawn(move || hold(started));
            ready.await.expect("Postgres should start")
        })
        .await
}

/// Starts the server and keeps it until the process ends, when its watchdog stops it.
fn hold(started: oneshot::Sender<Server>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cluster = runtime.block_on(async {
        let installation = Installation::locate(&environment).unwrap();
        let cluster = Cluster::throw_away(&installation, "tests").await.unwrap();
        cluster.create_database_if_missing(TEMPLATE).await.unwrap();
        let store = Store::connect(&cluster.url(TEMPLATE), 1).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        execute(
            &cluster.url("postgres"),
            format!("CREATE ROLE {SERVER_LOGIN} LOGIN IN ROLE agent_app"),
        )
        .await;
        cluster
    });
    let admin_url = cluster.url("postgres");
    let known = cluster.url("NAME_GOES_HERE");
    let url_of = Box::new(move |name: &str| known.replace("NAME_GOES_HERE", name));
    drop(started.send(Server { admin_url, url_of }));
    let (_never, forever) = mpsc::channel::<()>();
    runtime.block_on(async {
        let _ = forever.recv();
    });
    drop(cluster);
}

/// One statement on a connection of its own.
async fn execute(url: &str, sql: String) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// The same database for the servers' login.
fn server_url(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    format!("postgres://{SERVER_LOGIN}@{rest}")
}

/// A migrated database of this test's own.
#[derive(Clone, Debug)]
pub(crate) struct TestDatabase {
    /// For a superuser: to look, to insert, to migrate.
    pub(crate) url: String,
    /// For servers: what they need and no more.
    pub(crate) server_url: String,
    /// Of the superuser.
    pub(crate) pool: PgPool,
}

impl TestDatabase {
    pub(crate) async fn new() -> Self {
        let server = server().await;
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        execute(
            &server.admin_url,
            format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"),
        )
        .await;
        let url = (server.url_of)(&name);
        let pool = PgPool::connect(&url).await.unwrap();
        let server_url = server_url(&url);
        Self {
            url,
            server_url,
            pool,
        }
    }

    /// The same with the tables of the log cut into parts by user.
    pub(crate) async fn in_parts() -> Self {
        let database = Self::new().await;
        database.cut().await;
        database
    }

    /// Cuts the tables of the log into parts as an operator does, but fewer, so that several users share one.
    pub(crate) async fn cut(&self) {
        let mut connection = self.pool.acquire().await.unwrap();
        for sql in ["SET agent.parts = 4", PARTITION, "RESET agent.parts"] {
            sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
        }
    }

    /// A database with nothing in it, on a server that has the roles.
    pub(crate) async fn empty() -> Self {
        let server = server().await;
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        execute(&server.admin_url, format!("CREATE DATABASE {name}")).await;
        let url = (server.url_of)(&name);
        let pool = PgPool::connect(&url).await.unwrap();
        let server_url = server_url(&url);
        Self {
            url,
            server_url,
            pool,
        }
    }

    /// One statement of a test's own making.
    pub(crate) async fn execute(&self, sql: impl Into<String>) {
        sqlx::query(sqlx::AssertSqlSafe(sql.into()))
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Inserts a notification as any service does.
    pub(crate) async fn notify(&self, user: &str, content: &str) {
        sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ($1, $2)")
            .bind(user)
            .bind(content)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Ends every connection that listens on this database; returns how many there were.
    pub(crate) async fn kill_listeners(&self) -> i64 {
        self.count(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND query ILIKE 'LISTEN %' AND pid <> pg_backend_pid()",
        )
        .await
    }

    /// A session's messages as they are stored: `seq` → (role, content), as a transcript of frames has them.
    pub(crate) async fn transcript(
        &self,
        session: &str,
    ) -> std::collections::BTreeMap<i64, (String, String)> {
        let session: uuid::Uuid = session.parse().unwrap();
        sqlx::query_as("SELECT seq, role, content FROM agent.messages WHERE session_id = $1")
            .bind(session)
            .fetch_all(&self.pool)
            .await
            .unwrap()
            .into_iter()
            .map(|(seq, role, content)| (seq, (role, content)))
            .collect()
    }

    /// One number.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}
