//! The program at the terminal: settings that cannot work, and `dev` with nothing set up before.

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::client::TestClient;
use crate::support::eventually;
use crate::support::process::Process;

fn settings(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn serve_names_every_faulty_setting_at_once_and_no_secret() {
    let faulty = settings(&[
        ("DATABASE_URL", "mysql://app:canary-password@db/agent"),
        ("JWT_SECRET", "canary-short"),
        ("BIND_ADDR", "everywhere"),
        ("LEASE_MS", "soon"),
        ("TEMPERATURE", "9"),
    ]);
    let mut process = Process::start("serve", "serve", &faulty);

    let status = process.finished().await;

    assert_eq!(status.code(), Some(1));
    let said = process.stderr();
    for name in faulty.keys().map(String::as_str).chain(["OPENROUTER_API_KEY"]) {
        assert!(said.contains(name), "{name} is not named:\n{said}");
    }
    assert!(!said.contains("canary"), "a secret was printed:\n{said}");
}

/// `dev` in a directory, and what it printed.
struct Dev {
    process: Process,
    base: String,
    token: String,
}

async fn dev(data_dir: &Path) -> Dev {
    let own = settings(&[
        ("DATA_DIR", data_dir.to_str().unwrap()),
        ("BIND_ADDR", "127.0.0.1:0"),
        ("ADMIN_BIND_ADDR", "127.0.0.1:0"),
    ]);
    let mut process = Process::start("dev", "dev", &own);
    eventually("dev is ready", || {
        assert!(process.is_alive(), "dev ended");
        std::future::ready(process.stdout().contains("psql "))
    })
    .await;
    let banner = process.stdout();
    let word_after = |label: &str| {
        let line = banner
            .lines()
            .find(|line| line.trim_start().starts_with(label))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let (address, token) = (word_after("Address"), word_after("Token"));
    assert!(
        banner.contains(&format!("npx wscat -c \"{address}?session_id=latest\"")),
        "{banner}"
    );
    let base = address
        .strip_prefix("ws://")
        .and_then(|rest| rest.strip_suffix("/v1/ws"))
        .unwrap()
        .to_owned();
    Dev { process, base, token }
}

/// The process of the Postgres under a data directory.
fn postmaster(data_dir: &Path) -> Option<u32> {
    fn find(dir: &Path) -> Option<PathBuf> {
        std::fs::read_dir(dir).ok()?.flatten().find_map(|entry| {
            let path = entry.path();
            if entry.file_name() == "postmaster.pid" {
                Some(path)
            } else if entry.file_type().ok()?.is_dir() {
                find(&path)
            } else {
                None
            }
        })
    }
    let text = std::fs::read_to_string(find(data_dir)?).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn lives(process: u32) -> bool {
    Command::new("/bin/kill")
        .args(["-0", &process.to_string()])
        .output()
        .unwrap()
        .status
        .success()
}

#[tokio::test]
async fn dev_starts_with_nothing_answers_keeps_its_history_and_takes_its_postgres_with_it() {
    // Postgres refuses root, so its account must reach the directory when the tests run as root.
    let data_dir: TempDir = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let mut first = dev(data_dir.path()).await;
    let mut client = TestClient::connect(&first.base, &first.token, "?session_id=latest").await;
    let session = client.session.clone();
    let response = client.ask("q1", "Do you remember?").await;
    assert_eq!(response["state"], "complete");
    assert_eq!(response["model"], agent_websocket::llm::OFFLINE_MODEL);
    assert!(!response["content"].as_str().unwrap().is_empty());
    drop(client);
    first.process.terminate();
    assert!(first.process.exit().await.success());
    assert_eq!(postmaster(data_dir.path()), None, "Postgres stopped with it");

    let mut second = dev(data_dir.path()).await;

    let mut client = TestClient::connect(&second.base, &first.token, "?session_id=latest").await;
    client.live().await;
    assert_eq!(client.session, session, "a token and a session outlive a restart");
    let replayed: Vec<_> = client
        .frames
        .iter()
        .filter(|frame| !frame["seq"].is_null())
        .map(|frame| frame["content"].clone())
        .collect();
    assert_eq!(replayed, ["Do you remember?".into(), response["content"].clone()]);
    let postgres = postmaster(data_dir.path()).expect("a Postgres that runs");
    second.process.kill9();
    eventually("Postgres has stopped", || std::future::ready(!lives(postgres))).await;
}
