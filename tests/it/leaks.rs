//! Nothing leaks: every secret and everything that people write holds a word that is then looked for in all that comes out.
//!
//! The real program runs with the loudest log that an operator can ask for, in both formats, over ways that succeed and
//! ways that fail. What is the user's own may come back to the user, in an answer that is no error; nothing else may.

mod failure;
mod printing;
mod success;

use serde_json::Value;

use crate::support::client::{Refused, TestClient};
use crate::support::collector::{Collector, Mood};
use crate::support::database::TestDatabase;
use crate::support::http::{Reply, request};
use crate::support::node::{SECRET, token, token_with, values};
use crate::support::process::ServeProcess;
use crate::support::provider::ScriptedProvider;
use crate::support::{PATIENCE, eventually};

/// In each canary, so that one search finds them all.
const CANARY: &str = "canary";

const KEY: &str = "sk-or-canary-key-4711";
const PASSWORD: &str = "canary-password-4711";
const SYSTEM: &str = "canary-system-prompt";
const PROVIDER: &str = "canary-provider-words";
const DATABASE: &str = "canary-database-words";
const COLLECTOR: &str = "canary-collector-key";

/// How a JSON Web Token begins.
const ANY_TOKEN: &str = "eyJ";

/// A filter that names every crate which could print what passes through it.
const LOUDEST: &str = "trace,agent_websocket=trace,hyper=trace,hyper::proto=trace,hyper_util=trace,tungstenite=trace,\
    tungstenite::protocol=trace,tokio_tungstenite=trace,sqlx=trace,sqlx::query=trace,sqlx::postgres::notice=trace,\
    reqwest=trace,reqwest::connect=trace,rustls=trace,h2=trace,axum=trace,axum::rejection=trace,tower_http=trace";

/// A subject that would end a line and turn the rest of it around.
const FORGER: &str = "mallory\u{2028}\u{202e}INFO forged";

/// A server of its own process, and everything that it said to anybody.
struct Scene {
    serve: ServeProcess,
    database: TestDatabase,
    provider: ScriptedProvider,
    collector: Collector,
    frames: Vec<Value>,
    replies: Vec<Reply>,
    refused: Vec<Refused>,
}

impl Scene {
    async fn start(log_format: &str) -> Self {
        let provider = ScriptedProvider::start().await;
        let collector = Collector::start(Mood::Takes).await;
        let collector_key = format!("authorization=Bearer%20{COLLECTOR}");
        let database = TestDatabase::new().await;
        let settings = values(
            &provider.base_url(),
            &with_password(&database.url),
            &[
                ("OPENROUTER_API_KEY", KEY),
                ("SYSTEM_PROMPT", SYSTEM),
                ("ALLOW_ACCESS_TOKEN_IN_URL", "true"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
                ("OTEL_EXPORTER_OTLP_HEADERS", &collector_key),
                ("LOG", LOUDEST),
                ("LOG_FORMAT", log_format),
            ],
        );
        Self {
            serve: ServeProcess::start(log_format, settings).await,
            database,
            provider,
            collector,
            frames: Vec::new(),
            replies: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Opens a socket, with or without success.
    async fn open(&mut self, path: &str, headers: &[(&str, &str)]) -> Option<TestClient> {
        match TestClient::open(&self.serve.base, path, headers).await {
            Ok(client) => Some(client),
            Err(refused) => {
                self.refused.push(refused);
                None
            }
        }
    }

    /// A socket of a user in a new session.
    async fn connect(&self, user: &str) -> TestClient {
        TestClient::connect(&self.serve.base, &token(user), "").await
    }

    /// Ends a socket, and remembers what it was told.
    fn heard(&mut self, client: TestClient) {
        self.frames.extend(client.cut());
    }

    /// A request of alice's, or of whoever's token is given.
    async fn call(&mut self, method: &str, path: &str, token: &str, body: Option<&str>) -> u16 {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let reply = request(&self.serve.base, method, path, &headers, body).await;
        let status = reply.status;
        self.replies.push(reply);
        status
    }

    /// Ends the server and gives all that it printed.
    async fn log(&mut self) -> String {
        self.serve.process.terminate();
        self.serve.ended().await;
        let (printed, log) = (self.serve.process.stdout(), self.serve.process.stderr());
        assert_eq!(printed, "", "serve prints nothing but its log");
        log
    }
}

/// A database's address with a password, for which the tests' Postgres does not ask.
fn with_password(url: &str) -> String {
    let with = url.replacen("@localhost", &format!(":{PASSWORD}@localhost"), 1);
    assert_ne!(with, url);
    with
}

/// A token that lets notify.
fn service_token() -> String {
    token_with("publisher", PATIENCE, Some("agent:notify"))
}

/// What the operator alone knows, and the words of those whom only the operator asks.
fn secrets() -> [&'static str; 7] {
    [KEY, PASSWORD, SYSTEM, PROVIDER, DATABASE, COLLECTOR, SECRET]
}

/// Checks that a text holds none of these words; a failure names the word and where it stands.
fn assert_without(text: &str, words: &[&str], what: &str) {
    for word in words {
        if let Some(at) = text.find(word) {
            let start = text.floor_char_boundary(at.saturating_sub(300));
            let end = text.floor_char_boundary((at + 300).min(text.len()));
            panic!("{word} is in {what}: …{}…", &text[start..end]);
        }
    }
}

/// Checks all that clients and operators were sent.
fn assert_told_no_secret(scene: &Scene) {
    for frame in &scene.frames {
        let text = frame.to_string();
        assert_without(&text, &secrets(), "a frame");
        assert_without(&text, &[ANY_TOKEN], "a frame");
        if frame["type"] == "error" {
            assert_without(&text, &[CANARY], "an error frame");
        }
    }
    for reply in &scene.replies {
        let text = format!("{reply:?}");
        assert_without(&text, &secrets(), "a response");
        assert_without(&text, &[ANY_TOKEN], "a response");
        if reply.status >= 400 {
            assert_without(&text, &[CANARY], "a problem");
        }
    }
    for refused in &scene.refused {
        assert_without(&format!("{refused:?}"), &[CANARY, SECRET, ANY_TOKEN], "a refusal");
    }
}

/// Checks what a collector of traces was sent: that it was told of answers and of failures, that its key came with it, and that
/// nothing that anybody wrote did, nor who it was.
fn assert_traced_without_words(collector: &Collector) {
    let key = format!("Bearer {COLLECTOR}");
    let posts = collector.posts();
    assert!(posts.iter().all(|post| post.headers["authorization"] == key));
    let text: String = posts.iter().map(|post| post.body.to_string()).collect();
    for words in ["chat test/model", "finish_reasons", "error.type"] {
        assert!(text.contains(words), "the collector was not told {words:?}");
    }
    assert_without(&text, &[CANARY, SECRET, ANY_TOKEN, "alice", "mallory"], "a trace");
}

/// Checks that each line is one event, whole, and holds no character that a terminal or a reader of lines obeys.
fn assert_lines_are_events(log: &str, log_format: &str) {
    for line in log.lines() {
        let is_event = match log_format {
            "json" => serde_json::from_str::<Value>(line).is_ok_and(|event| event["level"].is_string()),
            _ => line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T'),
        };
        assert!(is_event, "no event: {line:?}");
        let obeyed = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
        assert!(!line.contains(obeyed), "{line:?}");
    }
}

/// What must have been logged: else the test has not driven what it says, or the log was not loud.
const LOGGED: [&str; 10] = [
    "a token was refused",
    "the provider failed",
    "status 401",
    "status 400, invalid_request_error",
    "unexpected JSON at line 1",
    "SQLSTATE P0001",
    "SQLSTATE 23514, table messages, constraint trip_check",
    "an append failed; trying again",
    "mallory",
    "DEBUG",
];

async fn nothing_leaks(log_format: &str) {
    let mut scene = Scene::start(log_format).await;
    success::drive(&mut scene).await;
    failure::drive(&mut scene).await;
    let metrics = request(&scene.serve.admin, "GET", "/metrics", &[], None).await;
    assert_eq!(metrics.status, 200);
    assert_without(
        &metrics.body,
        &[CANARY, "alice", "mallory", "publisher", "test/"],
        "the metrics",
    );
    scene.replies.push(metrics);
    let log = scene.log().await;
    for words in LOGGED {
        assert!(log.contains(words), "the log does not say {words:?}");
    }
    assert_without(&log, &[CANARY, SECRET, ANY_TOKEN], "the log");
    assert_lines_are_events(&log, log_format);
    assert_traced_without_words(&scene.collector);
    assert_told_no_secret(&scene);
}

#[tokio::test]
async fn nothing_secret_and_nothing_that_was_written_reaches_the_json_log_or_anybody_elses_eyes() {
    nothing_leaks("json").await;
}

#[tokio::test]
async fn nothing_secret_and_nothing_that_was_written_reaches_the_text_log_or_anybody_elses_eyes() {
    nothing_leaks("text").await;
}
