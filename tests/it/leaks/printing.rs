//! What is printed beside the log: `--help`, why a start failed, `Debug` of everything that holds a secret.

use std::collections::HashMap;
use std::process::Command;

use agent_websocket::app::Node;
use agent_websocket::store::StoreError;
use sqlx::PgPool;

use super::{CANARY, KEY, PASSWORD, assert_without, with_password};
use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::node::{SECRET, parts, settings, token, values};
use crate::support::process::Process;
use crate::support::provider::{Script, ScriptedProvider};

/// Settings with a canary in each secret.
fn canaries(provider_url: &str, database_url: &str) -> HashMap<String, String> {
    values(provider_url, database_url, &[("OPENROUTER_API_KEY", KEY)])
}

#[test]
fn help_prints_the_defaults_and_not_what_is_set() {
    let set = canaries(
        "http://127.0.0.1:9/canary",
        &format!("postgres://app:{PASSWORD}@db/agent"),
    );
    let subcommands = ["serve", "dev", "migrate", "token", "notify", "export"];
    for arguments in subcommands
        .iter()
        .map(|name| vec![*name, "--help"])
        .chain([vec!["--help"]])
    {
        let output = Command::new(env!("CARGO_BIN_EXE_agent-websocket"))
            .args(&arguments)
            .env_clear()
            .envs(&set)
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success() && help.contains("Usage:"),
            "{arguments:?}: {help}"
        );
        assert_without(&help, &[CANARY, SECRET], "the help");
    }
}

#[tokio::test]
async fn a_start_that_fails_says_why_without_a_secret() {
    let database = TestDatabase::new().await;
    let no_database = with_password(&database.url).replacen("/test_", "/missing_test_", 1);
    let nobody = with_password(&database.url).replacen("//agent:", "//nobody:", 1);
    for (url, reason) in [(no_database, "does not exist"), (nobody, "nobody")] {
        let mut settings = canaries("http://127.0.0.1:9", &url);
        for (name, value) in [
            ("BIND_ADDR", "127.0.0.1:0"),
            ("ADMIN_BIND_ADDR", "127.0.0.1:0"),
            ("LOG", "trace"),
        ] {
            settings.insert(name.to_owned(), value.to_owned());
        }
        let mut process = Process::start("fails", "serve", &settings);
        assert_eq!(process.finished().await.code(), Some(1));
        let said = process.stdout() + &process.stderr();
        assert!(said.contains(reason), "{said}");
        assert_without(&said, &[CANARY, SECRET], "what it says of a failed start");
    }
}

#[tokio::test]
async fn debug_shows_no_secret_and_nothing_that_was_written() {
    let provider = ScriptedProvider::start().await;
    provider.on("canary", Script::answer("canary-answer"));
    let database = TestDatabase::new().await;
    let url = with_password(&database.url);
    let settings = settings(&provider.base_url(), &url, &[("OPENROUTER_API_KEY", KEY)]);
    let mut shown = vec![format!("{settings:?}")];
    let parts = parts(settings, &url, &url);
    shown.push(format!("{parts:?}"));
    let node = Node::start(parts).await.unwrap();
    let mut client = TestClient::connect(&node.address().to_string(), &token("alice"), "").await;
    client
        .command("rename", serde_json::json!({ "title": "canary-title" }))
        .await;
    client.ask("q", "canary-query").await;
    let service = node.service();
    shown.push(format!("{node:?}"));
    shown.push(format!("{service:#?}"));
    shown.push(format!("{:?}", service.store));
    shown.push(format!("{:?}", service.auth));
    for text in shown {
        assert!(text.len() > 20, "{text}");
        assert_without(&text, &[CANARY, SECRET], "Debug");
    }
    node.shut_down().await;
}

/// How an error of the database prints.
async fn printed(pool: &PgPool, sql: &'static str) -> String {
    StoreError::from(sqlx::query(sql).execute(pool).await.unwrap_err()).to_string()
}

#[tokio::test]
async fn of_the_databases_words_only_those_about_the_server_are_printed() {
    let pool = TestDatabase::new().await.pool;
    for (sql, expected) in [
        ("SELECT 'canary'::int", "the database refused: SQLSTATE 22P02"),
        (
            "DO $$ BEGIN RAISE EXCEPTION 'canary' USING DETAIL = 'canary'; END $$",
            "the database refused: SQLSTATE P0001",
        ),
        (
            "INSERT INTO agent.notifications (user_id, content, kind) VALUES ('u', 'canary', 'canary canary')",
            "the database refused: SQLSTATE 23514, table notifications, constraint notifications_kind_check",
        ),
        (
            "INSERT INTO agent.notifications (user_id, title) VALUES ('u', 'canary')",
            "the database refused: SQLSTATE 23502, table notifications, column content",
        ),
        (
            "SELECT 1 FROM agent.nothing",
            "the database refused: SQLSTATE 42P01: relation \"agent.nothing\" does not exist",
        ),
    ] {
        assert_eq!(printed(&pool, sql).await, expected, "{sql}");
    }
    let unreadable = sqlx::Error::ColumnDecode {
        index: "\"data\"".to_owned(),
        source: "canary".into(),
    };
    for (error, expected) in [
        (unreadable, "column \"data\" cannot be read"),
        (sqlx::Error::Decode("canary".into()), "a value cannot be read"),
        (sqlx::Error::Encode("canary".into()), "a value cannot be written"),
    ] {
        assert_eq!(
            StoreError::from(error).to_string(),
            format!("the database refused: {expected}")
        );
    }
}
