//! What the documents say to type into a shell, typed into one: beside a node that serves, on its database.
//!
//! Run as it stands there, but for addresses, which are the test's own. A step that fails ends its block.

use std::path::Path;

use tempfile::TempDir;

use super::file;
use crate::support::database::TestDatabase;
use crate::support::node::{SECRET, TestNode, token_with};
use crate::support::programs::{command, printed};
use crate::support::provider::ScriptedProvider;
use crate::support::tool;
use crate::tidy::blocks::run_by;

/// Documents with blocks for this test.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "docs/check.md",
    "docs/console.md",
    "docs/operations.md",
    "docs/tokens.md",
    "docs/troubleshooting.md",
];

/// The session that a document exports.
const A_CONVERSATION: &str = "
    INSERT INTO agent.sessions (user_id, session_id, last_seq) VALUES ('demo', '01a1fbdd-d763-760a-bd3a-95e101e578c0', 1);
    INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
    VALUES ('demo', '01a1fbdd-d763-760a-bd3a-95e101e578c0', 1, gen_random_uuid(), 'user', 'A durable question', now())";

/// A place to type in, with a node beside it.
struct Desk {
    _provider: ScriptedProvider,
    node: TestNode,
    target: TestDatabase,
    folder: TempDir,
    token: String,
}

impl Desk {
    async fn new() -> Self {
        let provider = ScriptedProvider::start().await;
        // `check` is silent for longer than the server.
        let node = TestNode::start(&provider, &[("HEARTBEAT_MS", "1000")]).await;
        node.listening().await;
        sqlx::raw_sql(A_CONVERSATION)
            .execute(&node.database.pool)
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let link =
            |from: &Path, name: &str| std::os::unix::fs::symlink(from, folder.path().join(name)).unwrap();
        link(
            Path::new(env!("CARGO_BIN_EXE_agent-websocket")),
            "agent-websocket",
        );
        link(&file("deploy"), "deploy");
        let life = std::time::Duration::from_mins(10);
        Self {
            target: TestDatabase::empty().await,
            token: token_with("demo", life, Some("agent:notify")),
            _provider: provider,
            node,
            folder,
        }
    }

    /// The addresses and tokens of a document as those of this desk.
    fn own(&self, text: &str) -> String {
        let base = format!("http://{}", self.node.base);
        [
            ("cargo run --quiet -- ", "agent-websocket "),
            ("https://agent.example.com", &base),
            ("127.0.0.1:8080", &self.node.base),
            ("127.0.0.1:9090", &self.node.admin),
            ("eyJ0eXAi…", &self.token),
        ]
        .iter()
        .fold(text.to_owned(), |text, (theirs, own)| text.replace(theirs, own))
    }

    /// Types a block.
    async fn type_in(&self, text: &str) {
        let mut shell = command("sh");
        let path = shell.as_std().get_envs().find(|(name, _)| *name == "PATH");
        let path = path
            .and_then(|(_, value)| value)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        shell
            .args(["-euc", &self.own(text)])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .env("DATABASE_URL", &self.node.database.url)
            .env("TARGET_URL", &self.target.url)
            .env("AGENT_WEBSOCKET_URL", &self.node.base)
            .env("JWT_SECRET", SECRET)
            .env("TOKEN", &self.token);
        printed(&mut shell).await;
    }
}

/// Types what a document says to.
async fn typed(document: &str) {
    for name in ["curl", "openssl"] {
        if tool::find(name).is_none() {
            return;
        }
    }
    let mut desk = Desk::new().await;
    for block in run_by("tests/it/operations/documents.rs", &DOCUMENTS) {
        if block.document == document {
            desk.type_in(&block.shell().unwrap()).await;
        }
    }
    desk.node.shut_down().await;
}

#[tokio::test]
async fn what_the_readme_says_to_type_can_be_typed() {
    typed("README.md").await;
}

#[tokio::test]
async fn what_the_page_about_operations_says_to_type_can_be_typed() {
    typed("docs/operations.md").await;
}

#[tokio::test]
async fn what_the_page_about_troubles_says_to_type_can_be_typed() {
    typed("docs/troubleshooting.md").await;
}

#[tokio::test]
async fn what_the_page_about_check_says_to_type_can_be_typed() {
    typed("docs/check.md").await;
}

#[tokio::test]
async fn what_the_pages_about_tokens_and_the_console_say_to_type_can_be_typed() {
    for document in ["docs/tokens.md", "docs/console.md"] {
        typed(document).await;
    }
}
