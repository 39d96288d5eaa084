//! The clients under examples/notify, run for real by a login that may do nothing but notify: the row arrives.
//!
//! `scripts/example-clients` puts what they need under target/clients; `.ci/run` runs it and sets `EXAMPLES_REQUIRED`. Without that, one whose interpreter or
//! library is missing is not checked, and says so past the test runner's capture.

mod edge_function;

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnectOptions;

use crate::support::database::TestDatabase;
use crate::support::programs::{command, file, is_there, output, printed, program};

/// Text that is itself and no SQL, in every client.
const AWKWARD: &str = r#"It's "done": 100 % of $1, :'x' and \ 'ß'); --"#;

/// A variable of a program's environment.
type Setting = (&'static str, String);

/// A login that may do nothing but notify, and the ways in which a client can be told to connect as it.
struct Notifier {
    login: String,
    database: String,
    socket: PathBuf,
    by_variables: Vec<Setting>,
    by_url: Vec<Setting>,
}

impl Notifier {
    async fn of(database: &TestDatabase) -> Self {
        let options = PgConnectOptions::from_str(&database.url).unwrap();
        let name = options.get_database().unwrap().to_owned();
        let (directory, port) = (options.get_socket().unwrap(), options.get_port());
        let login = format!("notifier_of_{name}");
        let create = format!("CREATE ROLE {login} LOGIN IN ROLE agent_notifier");
        sqlx::query(AssertSqlSafe(create))
            .execute(&database.pool)
            .await
            .unwrap();
        let by_variables = vec![
            ("PGHOST", directory.display().to_string()),
            ("PGPORT", port.to_string()),
            ("PGUSER", login.clone()),
            ("PGDATABASE", name.clone()),
        ];
        let url = database.url.replacen("agent@", &format!("{login}@"), 1);
        Self {
            socket: directory.join(format!(".s.PGSQL.{port}")),
            by_url: vec![("DATABASE_URL", url)],
            database: name,
            login,
            by_variables,
        }
    }
}

/// A notification as it arrived: user, kind, text, data, key.
type Arrived = (String, String, String, Option<serde_json::Value>, Option<String>);

async fn arrived(database: &TestDatabase) -> Vec<Arrived> {
    sqlx::query_as(
        "SELECT user_id, kind, content, data, dedupe_key FROM agent.notifications ORDER BY user_id",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap()
}

fn row(user: &str, kind: &str, data: Option<serde_json::Value>, key: Option<&str>) -> Arrived {
    let key = key.map(str::to_owned);
    (user.to_owned(), kind.to_owned(), AWKWARD.to_owned(), data, key)
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok()
}

#[tokio::test]
async fn the_shell_script_notifies_once_for_a_key() {
    let database = TestDatabase::new().await;
    let notifier = Notifier::of(&database).await;
    let run = |settings: &[Setting], arguments: &[&str]| {
        let mut script = command(file("examples/notify/psql.sh"));
        script.args(arguments).envs(settings.iter().cloned());
        script
    };
    let id = printed(&mut run(&notifier.by_variables, &["u_42", AWKWARD, "k1"])).await;
    assert!(is_uuid(&id), "{id}");
    assert_eq!(
        printed(&mut run(&notifier.by_url, &["u_42", AWKWARD, "k1"])).await,
        ""
    );
    printed(&mut run(&notifier.by_url, &["u_7", AWKWARD])).await;
    for wrong in [&["u_42"][..], &[&"u".repeat(256), "text"]] {
        assert!(
            !output(&mut run(&notifier.by_url, wrong)).await.status.success(),
            "{wrong:?}"
        );
    }
    assert_eq!(
        arrived(&database).await,
        [
            row("u_42", "job", None, Some("k1")),
            row("u_7", "job", None, None)
        ]
    );
}

#[tokio::test]
async fn the_python_program_notifies_once_for_a_key() {
    let python = program("venv/bin/python", "python3");
    if !is_there("psycopg", command(&python).args(["-c", "import psycopg"])).await {
        return;
    }
    let database = TestDatabase::new().await;
    let notifier = Notifier::of(&database).await;
    let run = |settings: &[Setting], arguments: &[&str]| {
        let mut run = command(&python);
        run.arg(file("examples/notify/python/notify.py"));
        run.args(arguments).envs(settings.iter().cloned());
        run
    };
    let id = printed(&mut run(&notifier.by_variables, &["u_42", AWKWARD, "k1"])).await;
    assert!(is_uuid(&id), "{id}");
    assert_eq!(
        printed(&mut run(&notifier.by_url, &["u_42", AWKWARD, "k1"])).await,
        "None"
    );
    assert!(
        !output(&mut run(&notifier.by_url, &["u_42", ""]))
            .await
            .status
            .success()
    );
    let data = serde_json::json!({ "paid": true });
    assert_eq!(
        arrived(&database).await,
        [row("u_42", "invoice", Some(data), Some("k1"))]
    );
}

#[tokio::test]
async fn the_node_program_notifies_many_in_one_statement() {
    // Node looks for a library beside the program, so the program stands where its library was installed.
    let place = tempfile::tempdir().unwrap();
    let own = file("examples/notify/node");
    let installed = [file("target/clients/tree/examples/notify/node"), own.clone()]
        .map(|folder| folder.join("node_modules"));
    if let Some(library) = installed.iter().find(|folder| folder.exists()) {
        std::os::unix::fs::symlink(library, place.path().join("node_modules")).unwrap();
    }
    let notify = place.path().join("notify.mjs");
    std::fs::copy(own.join("notify.mjs"), &notify).unwrap();
    let mut probe = command("node");
    probe.current_dir(&place).args(["-e", "require('pg')"]);
    if !is_there("Node's pg", &mut probe).await {
        return;
    }
    let database = TestDatabase::new().await;
    let notifier = Notifier::of(&database).await;
    let run = |settings: &[Setting]| {
        let mut run = command("node");
        run.arg(&notify).args([AWKWARD, "u_42", "u_7"]);
        run.envs(settings.iter().cloned());
        run
    };
    assert_eq!(printed(&mut run(&notifier.by_variables)).await, "2 of 2 notified");
    assert_eq!(printed(&mut run(&notifier.by_url)).await, "0 of 2 notified");
    let data = serde_json::json!({ "window": "22:00-23:00" });
    let of = |user| {
        row(
            user,
            "maintenance",
            Some(data.clone()),
            Some("maintenance-2026-11-21"),
        )
    };
    assert_eq!(arrived(&database).await, [of("u_42"), of("u_7")]);
}
