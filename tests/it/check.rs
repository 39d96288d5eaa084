//! `agent-websocket check`, the real program: against a server that is in order, and with each likely cause provoked.

use std::process::Command;
use std::time::Duration;

use agent_websocket::store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::eventually;
use crate::support::meddler::{Meddler, Vice};
use crate::support::node::{SECRET, TestNode, token, token_issued, token_with};
use crate::support::pooler::Pooler;
use crate::support::programs::file;
use crate::support::provider::{Script, ScriptedProvider};

/// What `check` said.
struct Checked {
    passed: bool,
    said: String,
}

impl Checked {
    /// A line of the table: its verdict and all that follows.
    fn line(&self, what: &str) -> &str {
        self.said
            .lines()
            .find(|line| line.split_whitespace().next() == Some(what))
            .unwrap_or_else(|| panic!("no {what} in\n{}", self.said))
    }

    fn has(&self, what: &str, verdict: &str) {
        assert_eq!(
            self.line(what).split_whitespace().nth(1),
            Some(verdict),
            "{what} in\n{}",
            self.said
        );
    }

    /// That a check failed, was explained by this cause, and that docs/check.md explains the cause.
    fn blames(&self, what: &str, cause: &str) {
        assert!(!self.passed, "{}", self.said);
        self.has(what, "FAIL");
        let (_, after) = self.said.split_once(self.line(what)).unwrap();
        let explained = after.trim_start().starts_with(&format!("likely cause: {cause}"));
        assert!(explained, "{what} is not explained by {cause} in\n{}", self.said);
        let documented = std::fs::read_to_string(file("docs/check.md")).unwrap();
        let name = cause.split(':').next().unwrap();
        assert!(
            documented.contains(&format!("**{name}**")),
            "docs/check.md lacks {name}"
        );
    }
}

/// Runs it with nothing but these variables, and with no silence unless the arguments name one.
async fn check(base: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Checked {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-websocket"));
    command.args(["check", "--url", base]).args(arguments).env_clear();
    if !arguments.contains(&"--idle-seconds") {
        command.args(["--idle-seconds", "0"]);
    }
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    Checked {
        passed: output.status.success(),
        said,
    }
}

/// As alice.
async fn check_as_alice(base: &str, arguments: &[&str]) -> Checked {
    check(base, &[("AGENT_WEBSOCKET_TOKEN", &token("alice"))], arguments).await
}

fn service_token() -> String {
    token_with("service", Duration::from_mins(10), Some("agent:notify"))
}

#[tokio::test]
async fn a_deployment_that_is_in_order_passes_and_nothing_is_left_behind() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let variables = [
        ("AGENT_WEBSOCKET_TOKEN", token("alice")),
        ("AGENT_WEBSOCKET_SERVICE_TOKEN", service_token()),
        ("DATABASE_URL", node.database.server_url.clone()),
    ];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let checked = check(&node.base, &variables, &["--idle-seconds", "1"]).await;
    assert!(checked.passed, "{}", checked.said);
    // What depends on how fast this machine is may be a warning.
    for what in [
        "address",
        "ready",
        "clock",
        "token",
        "connect",
        "streaming",
        "resume",
        "idle",
    ] {
        checked.has(what, "ok");
    }
    for what in ["schema", "role", "indexes", "LISTEN"] {
        checked.has(what, "ok");
    }
    for what in ["round", "answer", "notification"] {
        checked.line(what);
    }
    eventually("the session is gone", || async {
        node.database.count("SELECT count(*) FROM agent.sessions").await == 0
    })
    .await;
    let pending = "SELECT count(*) FROM agent.notifications WHERE acknowledged_at IS NULL";
    assert_eq!(node.database.count(pending).await, 0);

    // With the secret of this machine nothing else is needed; without the database's address that is not looked at.
    let signed = check(&node.base, &[("JWT_SECRET", SECRET)], &[]).await;
    assert!(signed.passed, "{}", signed.said);
    signed.has("idle", "skipped");
    signed.has("database", "skipped");
    signed.line("notification");
    node.shut_down().await;
}

#[tokio::test]
async fn a_proxy_that_gathers_what_the_server_sends_is_named() {
    let provider = ScriptedProvider::start().await;
    let piece = Script::new().text("piece ").delay(Duration::from_millis(100));
    provider.then(piece.times(45).finish("stop").done());
    let mut node = TestNode::start(&provider, &[]).await;
    let proxy = Meddler::start(&node.base, Vice::Gathers(Duration::from_secs(1))).await;
    let checked = check_as_alice(&proxy.base, &[]).await;
    checked.blames("streaming", "proxy buffering: ");
    node.shut_down().await;
}

#[tokio::test]
async fn a_proxy_that_cuts_idle_sockets_is_named() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let proxy = Meddler::start(&node.base, Vice::CutsIdle(Duration::from_secs(2))).await;
    let checked = check_as_alice(&proxy.base, &["--idle-seconds", "6"]).await;
    checked.blames("idle", "idle cut: ");
    node.shut_down().await;
}

#[tokio::test]
async fn a_proxy_that_drops_the_upgrade_is_named() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let proxy = Meddler::start(&node.base, Vice::DropsUpgrade).await;
    check_as_alice(&proxy.base, &[])
        .await
        .blames("connect", "proxy without upgrade: ");
    node.shut_down().await;
}

#[tokio::test]
async fn a_token_of_a_clock_that_goes_ahead_is_named_and_so_is_one_of_another_key() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let ahead = token_issued("alice", uuid::Uuid::new_v4(), 600);
    let checked = check(&node.base, &[("AGENT_WEBSOCKET_TOKEN", &ahead)], &[]).await;
    checked.blames("token", "clock skew: the token holds only in ");
    checked.has("connect", "skipped");
    let other = [("JWT_SECRET", "another secret, long enough to be one too")];
    check(&node.base, &other, &[])
        .await
        .blames("token", "wrong key: ");
    node.shut_down().await;
}

#[tokio::test]
async fn a_dropped_index_is_named() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.database
        .execute("DROP INDEX agent.notifications_pending")
        .await;
    let url = node.database.server_url.clone();
    let checked = check_as_alice(&node.base, &["--database-url", &url]).await;
    checked.blames("indexes", "missing index: ");
    assert!(
        checked.line("indexes").ends_with(": notifications_pending"),
        "{}",
        checked.said
    );
    node.shut_down().await;
}

#[tokio::test]
async fn every_index_of_the_migrations_is_missed_and_no_other() {
    let database = crate::support::database::TestDatabase::new().await;
    let store = Store::connect(&database.url, 1).await.unwrap();
    assert_eq!(store.missing_indexes().await.unwrap(), Vec::<String>::new());
    let made: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
         WHERE c.relnamespace = 'agent'::regnamespace
           AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)
         ORDER BY c.relname COLLATE \"C\"",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    assert!(made.len() > 10, "{made:?}");
    for index in &made {
        database.execute(format!("DROP INDEX agent.{index}")).await;
    }
    assert_eq!(store.missing_indexes().await.unwrap(), made);
    store.close().await;
}

#[tokio::test]
async fn a_login_with_another_role_is_named_with_what_it_lacks() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let database = &node.database;
    let (_, rest) = database.url.split_once('@').unwrap();
    let name = format!("reader_{}", uuid::Uuid::new_v4().simple());
    database
        .execute(format!("CREATE ROLE {name} LOGIN IN ROLE agent_reader"))
        .await;
    let url = format!("postgres://{name}@{rest}");
    let checked = check_as_alice(&node.base, &["--database-url", &url]).await;
    checked.blames("role", "wrong role: ");
    assert!(
        checked.line("role").contains(" lacks DELETE on "),
        "{}",
        checked.said
    );
    checked.blames("notification", "wrong role: ");

    // All rights, and no rows.
    database
        .execute(format!("GRANT USAGE ON SCHEMA agent TO {name}"))
        .await;
    database
        .execute(format!("GRANT ALL ON ALL TABLES IN SCHEMA agent TO {name}"))
        .await;
    database
        .execute(format!("GRANT ALL ON ALL FUNCTIONS IN SCHEMA agent TO {name}"))
        .await;
    let checked = check_as_alice(&node.base, &["--database-url", &url]).await;
    checked.blames("role", "wrong role: rights alone are not enough");
    database.execute(format!("DROP OWNED BY {name}")).await;
    database.execute(format!("DROP ROLE {name}")).await;

    let url = database.url.clone();
    let checked = check_as_alice(&node.base, &["--database-url", &url]).await;
    assert!(checked.passed, "{}", checked.said);
    checked.has("role", "WARN");
    node.shut_down().await;
}

#[tokio::test]
async fn a_service_token_without_the_scope_is_named() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let plain = token("service");
    let checked = check_as_alice(&node.base, &["--service-token", &plain]).await;
    checked.blames(
        "notification",
        "wrong role: the service's token has no scope agent:notify",
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_pooler_without_listen_is_named_by_what_the_server_says_and_by_trying() {
    let provider = ScriptedProvider::start().await;
    let database = crate::support::database::TestDatabase::new().await;
    let pooler = Pooler::start(&database.server_url);
    let mut node = TestNode::start_with(database, pooler.url.clone(), &provider, &[]).await;
    let checked = check_as_alice(&node.base, &["--database-url", &pooler.url]).await;
    checked.blames("ready", "pooler without LISTEN: ");
    checked.blames("LISTEN", "pooler without LISTEN: ");
    checked.has("resume", "ok");
    let direct = node.database.server_url.clone();
    let arguments = ["--database-url", &pooler.url, "--listen-database-url", &direct];
    check_as_alice(&node.base, &arguments).await.has("LISTEN", "ok");
    node.shut_down().await;
}

#[tokio::test]
async fn nothing_and_something_else_at_the_address_are_told_apart() {
    let nothing = check_as_alice("http://127.0.0.1:1", &[]).await;
    nothing.blames("address", "no way there: ");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = listener.local_addr().unwrap().to_string();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = client.read(&mut request).await;
            let page = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nHello";
            client.write_all(page.as_bytes()).await.unwrap();
        }
    });
    let other = check_as_alice(&base, &[]).await;
    other.blames("token", "something else: ");
    other.has("address", "WARN");
    other.has("connect", "skipped");
}

#[tokio::test]
async fn a_model_that_fails_is_told_apart_from_a_connection_that_does() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::status(
        402,
        r#"{"error":{"code":402,"message":"credit"}}"#,
    ));
    let mut node = TestNode::start(&provider, &[]).await;
    let checked = check_as_alice(&node.base, &[]).await;
    checked.blames("answer", "the model's provider: ");
    checked.has("connect", "ok");
    checked.has("resume", "skipped");
    node.shut_down().await;
}
