//! The real server on a free port, with settings of a test's own.

use std::collections::HashMap;
use std::time::Duration;

use agent_websocket::app::{Node, Parts, provider};
use agent_websocket::auth::{MintRequest, mint};
use agent_websocket::clock::Clock;
use agent_websocket::config::{Mode, Settings};
use agent_websocket::http::listen;
use agent_websocket::ids::UserId;
use agent_websocket::secret::{DatabaseUrl, Secret};

use super::client::TestClient;
use super::database::TestDatabase;
use super::provider::ScriptedProvider;

/// The secret of every test's tokens.
pub(crate) const SECRET: &str = "a secret of the tests, long enough to be one";

/// Settings that make what has to be waited for come soon, and no limit interfere.
const QUICK: [(&str, &str); 17] = [
    ("OPENROUTER_API_KEY", "sk-or-test-key"),
    ("JWT_SECRET", SECRET),
    ("MODEL", "test/model"),
    ("ALLOWED_MODELS", "test/model,test/other"),
    ("RATE_LIMIT_PER_MINUTE", "0"),
    ("RATE_LIMIT_BURST", "0"),
    ("COMMANDS_PER_MINUTE", "0"),
    ("FRAMES_PER_SECOND", "0"),
    ("CONNECTIONS_PER_MINUTE_PER_ADDRESS", "0"),
    ("AUTH_FAILURES_PER_MINUTE_PER_ADDRESS", "0"),
    ("MAX_CONNECTIONS_PER_USER", "0"),
    ("CHUNK_FLUSH_MS", "20"),
    ("LEASE_MS", "1500"),
    ("MAX_RUN_ATTEMPTS", "3"),
    ("REAPER_INTERVAL_MS", "300"),
    ("POLL_INTERVAL_MS", "300"),
    ("DRAIN_SECONDS", "1"),
];

/// A token of a user that holds for ten minutes.
pub(crate) fn token(user: &str) -> String {
    token_with(user, Duration::from_mins(10), None)
}

/// A token with a lifetime and a scope.
pub(crate) fn token_with(user: &str, ttl: Duration, scope: Option<&str>) -> String {
    let request = MintRequest {
        user_id: &UserId::new(user).unwrap(),
        ttl,
        issuer: None,
        audience: None,
        authorized_party: None,
        scope,
        token_id: uuid::Uuid::new_v4(),
    };
    mint(&Secret::new(SECRET), &request, Clock::system().now()).unwrap()
}

/// A token with an id of its own that was issued some seconds from now, as by a clock that goes ahead or behind.
pub(crate) fn token_issued(user: &str, token_id: uuid::Uuid, seconds_from_now: i64) -> String {
    let request = MintRequest {
        user_id: &UserId::new(user).unwrap(),
        ttl: Duration::from_mins(10),
        issuer: None,
        audience: None,
        authorized_party: None,
        scope: None,
        token_id,
    };
    let issued_at = Clock::system().now() + time::Duration::seconds(seconds_from_now);
    mint(&Secret::new(SECRET), &request, issued_at).unwrap()
}

/// The settings of a test's node, as variables.
pub(crate) fn values(
    provider_url: &str,
    database_url: &str,
    changes: &[(&str, &str)],
) -> HashMap<String, String> {
    let mut values: HashMap<String, String> = QUICK
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    values.insert("OPENROUTER_BASE_URL".to_owned(), provider_url.to_owned());
    values.insert("PROVIDER_FLAVOR".to_owned(), "openrouter".to_owned());
    // Any Postgres URL will do for the settings: the node is handed the real one beside them.
    values.insert("DATABASE_URL".to_owned(), database_url.to_owned());
    for (name, value) in changes {
        values.insert((*name).to_owned(), (*value).to_owned());
    }
    values
}

/// The settings of a test's node.
pub(crate) fn settings(provider_url: &str, database_url: &str, changes: &[(&str, &str)]) -> Settings {
    let values = values(provider_url, database_url, changes);
    Settings::from_lookup(&|name| values.get(name).cloned(), Mode::Serve).unwrap_or_else(|faults| {
        panic!(
            "settings: {}",
            faults.iter().map(ToString::to_string).collect::<String>()
        )
    })
}

/// What a test's node is built from, on free ports.
pub(crate) fn parts(settings: Settings, database_url: &str, listen_url: &str) -> Parts {
    let bind = || listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    Parts {
        provider: provider(&settings).unwrap(),
        database_url: DatabaseUrl::new(database_url).unwrap(),
        listen_url: DatabaseUrl::new(listen_url).unwrap(),
        clock: Clock::system(),
        listener: bind(),
        admin: Some(bind()),
        settings,
    }
}

/// A node, its database and its provider.
pub(crate) struct TestNode {
    pub(crate) node: Option<Node>,
    pub(crate) database: TestDatabase,
    pub(crate) base: String,
    /// Where operators connect.
    pub(crate) admin: String,
}

impl TestNode {
    /// A node on a database of its own.
    pub(crate) async fn start(provider: &ScriptedProvider, changes: &[(&str, &str)]) -> Self {
        Self::start_on(TestDatabase::new().await, provider, changes).await
    }

    /// A further node on a database.
    pub(crate) async fn start_on(
        database: TestDatabase,
        scripted: &ScriptedProvider,
        changes: &[(&str, &str)],
    ) -> Self {
        let listen_url = database.server_url.clone();
        Self::start_with(database, listen_url, scripted, changes).await
    }

    /// A node that reaches its database, and listens to it, in its own ways.
    pub(crate) async fn start_with(
        database: TestDatabase,
        listen_url: String,
        scripted: &ScriptedProvider,
        changes: &[(&str, &str)],
    ) -> Self {
        let settings = settings(&scripted.base_url(), &database.server_url, changes);
        let parts = parts(settings, &database.server_url, &listen_url);
        let admin = parts.admin.as_ref().unwrap().local_addr().unwrap().to_string();
        let node = Node::start(parts).await.unwrap();
        let base = node.address().to_string();
        Self {
            node: Some(node),
            database,
            base,
            admin,
        }
    }

    pub(crate) fn node(&self) -> &Node {
        self.node.as_ref().expect("a node that runs")
    }

    /// A client of a user in a new session.
    pub(crate) async fn connect(&self, user: &str) -> TestClient {
        TestClient::connect(&self.base, &token(user), "").await
    }

    /// A client of a user in a session, from a cursor.
    pub(crate) async fn resume(&self, user: &str, session: &str, after: i64) -> TestClient {
        TestClient::connect(
            &self.base,
            &token(user),
            &format!("?session_id={session}&after={after}"),
        )
        .await
    }

    /// Waits until the node hears NOTIFY.
    pub(crate) async fn listening(&self) {
        super::eventually("the node listens", || async {
            self.node().service().listener.is_listening()
        })
        .await;
    }

    /// Ends the node as a signal does, and checks that it left nothing behind.
    pub(crate) async fn shut_down(&mut self) {
        let node = self.node.take().expect("a node that runs");
        let tasks = node.service().tasks.clone();
        node.shut_down().await;
        assert_eq!(tasks.alive(), 0, "tasks were left behind");
    }
}
