//! The edge function, served by Deno as Supabase serves it: who may call it, what it takes, and that the row arrives.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, UnixStream};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{AWKWARD, Notifier, arrived, command, file, is_there, is_uuid, program, row};
use crate::support::PATIENCE;
use crate::support::database::TestDatabase;
use crate::support::http::{Reply, request};

const SECRET: &str = "a secret between services";

/// Bodies that are refused, some by the function and some by the table.
const WRONG: [&str; 9] = [
    "no JSON",
    "null",
    r#"{"content": "to whom?"}"#,
    r#"{"user_id": 42, "content": "x"}"#,
    r#"{"user_id": "u_42", "content": ""}"#,
    r#"{"user_id": "u_42", "content": "x", "kind": "two words"}"#,
    r#"{"user_id": "u_42", "content": "x", "kind": null}"#,
    r#"{"user_id": "u_42", "content": "x", "kind": {"a": 1}}"#,
    r#"{"user_id": "u_42", "content": "nul \u0000"}"#,
];

/// The tests' Postgres has a Unix socket only, and the function's client takes none from a URL.
struct Door {
    address: String,
    _serving: JoinSet<()>,
}

impl Door {
    async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut visitors = JoinSet::new();
            while let Ok((mut visitor, _)) = listener.accept().await {
                let mut server = UnixStream::connect(&socket).await.unwrap();
                // Either end may close: that is how it ends.
                visitors.spawn(async move { drop(copy_bidirectional(&mut visitor, &mut server).await) });
            }
        });
        Self {
            address,
            _serving: serving,
        }
    }
}

/// The function, serving; dropping it kills it.
struct Function {
    base: String,
    _deno: Child,
    _log: BufReader<ChildStderr>,
}

impl Function {
    async fn serve(database_url: &str) -> Self {
        let mut deno = deno()
            .args([
                "run",
                "--cached-only",
                "--no-prompt",
                "--allow-env",
                "--allow-net=127.0.0.1",
            ])
            .arg(source())
            .env("SUPABASE_DB_URL", database_url)
            .env("NOTIFY_SECRET", SECRET)
            .env("DENO_SERVE_ADDRESS", "tcp:127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(deno.stderr.take().unwrap());
        let mut seen = String::new();
        let base = loop {
            let read = timeout(PATIENCE, log.read_line(&mut seen)).await;
            assert!(
                read.expect("Deno should serve").unwrap() > 0,
                "Deno ended: {seen}"
            );
            if let Some((_, address)) = seen.split_once("Listening on http://") {
                break address.trim_end().trim_end_matches('/').to_owned();
            }
        };
        Self {
            base,
            _deno: deno,
            _log: log,
        }
    }

    async fn post(&self, secret: &str, body: &str) -> Reply {
        let authorization = format!("Bearer {secret}");
        let headers = [("authorization", authorization.as_str())];
        request(&self.base, "POST", "/", &headers, Some(body)).await
    }
}

fn source() -> PathBuf {
    file("examples/notify/supabase/index.ts")
}

fn deno() -> Command {
    let mut deno = command(program("bin/deno", "deno"));
    deno.env("DENO_NO_UPDATE_CHECK", "1");
    let cache = file("target/clients/deno-cache");
    if cache.exists() {
        deno.env("DENO_DIR", cache);
    }
    deno
}

/// The function on a test's database, as a login that may only notify; with the way to that database.
async fn served(database: &TestDatabase) -> (Function, Door) {
    let notifier = Notifier::of(database).await;
    let door = Door::to(notifier.socket).await;
    let url = format!(
        "postgres://{}@{}/{}",
        notifier.login, door.address, notifier.database
    );
    let function = Function::serve(&url).await;
    (function, door)
}

#[tokio::test]
async fn the_edge_function_takes_what_is_right_from_who_knows_the_secret() {
    let mut probe = deno();
    probe.args(["check", "--cached-only"]).arg(source());
    if !is_there("Deno", &mut probe).await {
        return;
    }
    let database = TestDatabase::new().await;
    let (function, _door) = served(&database).await;
    let sound =
        json!({ "user_id": "u_42", "content": AWKWARD, "kind": "build", "dedupe_key": "b1" }).to_string();

    for unknown in ["another", ""] {
        assert_eq!(function.post(unknown, &sound).await.status, 401);
    }
    assert_eq!(request(&function.base, "GET", "/", &[], None).await.status, 405);
    let too_long = json!({ "user_id": "u_42", "content": "ß".repeat(16_385) }).to_string();
    for body in WRONG.into_iter().chain([too_long.as_str()]) {
        let reply = function.post(SECRET, body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.body);
    }
    assert_eq!(arrived(&database).await, []);

    let first = function.post(SECRET, &sound).await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert!(first.json()["notification_id"].as_str().is_some_and(is_uuid));
    let again = function.post(SECRET, &sound).await;
    assert_eq!(
        (again.status, &again.json()["notification_id"]),
        (200, &Value::Null)
    );
    assert_eq!(arrived(&database).await, [row("u_42", "build", None, Some("b1"))]);
}
