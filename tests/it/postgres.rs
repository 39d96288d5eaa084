//! The embedded Postgres as a whole: real programs, real servers, holders that are really killed.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent_websocket::postgres::{Cluster, Installation, PostgresError};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

const NOBODY: u32 = 65534;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the composition root of the test program"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn installation() -> Installation {
    Installation::locate(&environment).unwrap()
}

/// A temporary directory that the server's account can reach when the tests run as root.
fn open_temp_dir() -> TempDir {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(&cluster.url("postgres")).await.unwrap()
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Waits for a condition that nothing announces. The deadline is an upper bound, never the signal.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn postmaster_note(data_dir: &Path) -> PathBuf {
    data_dir.join("cluster/postmaster.pid")
}

fn postmaster_id(data_dir: &Path) -> String {
    let note = fs::read_to_string(postmaster_note(data_dir)).unwrap();
    note.lines().next().unwrap().trim().to_owned()
}

/// The program `examples/hold_cluster.rs`, which `cargo test` builds: it stands beside this one's directory.
fn holder_program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let name = format!("hold_cluster{}", std::env::consts::EXE_SUFFIX);
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build --example hold_cluster` first, or all of `cargo test`",
        program.display()
    );
    program
}

/// Another process that holds a cluster.
struct Holder {
    process: Child,
    data_dir: PathBuf,
}

impl Holder {
    fn of_durable(data_dir: &Path) -> Self {
        Self::spawn(Command::new(holder_program()).arg(data_dir))
    }

    fn of_throw_away() -> Self {
        Self::spawn(&mut Command::new(holder_program()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let data_dir = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("HELD ")?.into()));
        Self {
            process,
            data_dir: data_dir.expect("the holder's cluster should start"),
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Already dead in most tests; this is for those that fail before they kill it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
async fn a_durable_cluster_keeps_its_data_over_a_restart() {
    let dir = open_temp_dir();
    let data_dir = dir.path().join("deep/data");
    let installation = installation();

    let cluster = Cluster::durable(&installation, &data_dir).await.unwrap();
    let mut connection = connect(&cluster).await;
    assert_eq!(setting(&mut connection, "fsync").await, "on");
    assert_eq!(setting(&mut connection, "data_checksums").await, "on");
    assert_eq!(setting(&mut connection, "listen_addresses").await, "");
    assert_eq!(setting(&mut connection, "server_encoding").await, "UTF8");
    sqlx::raw_sql("CREATE TABLE kept AS SELECT 42 AS answer")
        .execute(&mut connection)
        .await
        .unwrap();
    // The connection stays open: a stop does not wait for clients.
    cluster.stop().await.unwrap();
    assert!(!postmaster_note(&data_dir).exists());

    let cluster = Cluster::durable(&installation, &data_dir).await.unwrap();
    let mut connection = connect(&cluster).await;
    let answer: i32 = sqlx::query_scalar("SELECT answer FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(answer, 42);
    let mode = fs::metadata(cluster.data_dir()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else may reach the socket");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_ends_when_its_holder_is_killed() {
    let dir = open_temp_dir();
    let mut holder = Holder::of_durable(dir.path());
    let note = postmaster_note(&holder.data_dir);
    assert!(note.exists());

    holder.kill();
    eventually("the server has ended", || !note.exists()).await;
}

#[tokio::test]
async fn a_cluster_starts_again_right_after_its_holder_was_killed() {
    let dir = open_temp_dir();
    let mut holder = Holder::of_durable(dir.path());
    holder.kill();

    let cluster = Cluster::durable(&installation(), dir.path()).await.unwrap();
    connect(&cluster).await.ping().await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_throw_away_directory_is_gone_when_its_holder_is_killed() {
    let mut holder = Holder::of_throw_away();
    assert!(postmaster_note(&holder.data_dir).exists());

    holder.kill();
    eventually("the directory is gone", || !holder.data_dir.exists()).await;
}

#[tokio::test]
async fn a_second_process_on_a_data_directory_is_refused_and_told_who_has_it() {
    let dir = open_temp_dir();
    let holder = Holder::of_durable(dir.path());

    let error = Cluster::durable(&installation(), dir.path()).await.unwrap_err();
    assert!(matches!(error, PostgresError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&format!("process {}", holder.process.id())),
        "{text}"
    );
    assert!(text.contains(&*holder.data_dir.to_string_lossy()), "{text}");
    assert!(
        postmaster_note(&holder.data_dir).exists(),
        "the refused one must not disturb the first"
    );
}

#[tokio::test]
async fn a_throw_away_cluster_does_not_flush_and_leaves_nothing() {
    let cluster = Cluster::throw_away(&installation(), "leaves-nothing")
        .await
        .unwrap();
    let data_dir = cluster.data_dir().to_owned();
    let mut connection = connect(&cluster).await;
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(setting(&mut connection, name).await, "off", "{name}");
    }
    assert!(data_dir.exists());

    cluster.stop().await.unwrap();
    assert!(!data_dir.exists());
}

#[tokio::test]
async fn dropping_a_cluster_stops_it_in_the_background() {
    let cluster = Cluster::throw_away(&installation(), "dropped").await.unwrap();
    let data_dir = cluster.data_dir().to_owned();
    drop(cluster);
    eventually("the directory is gone", || !data_dir.exists()).await;
}

#[tokio::test]
async fn what_an_interrupted_initdb_left_is_harmless() {
    let dir = open_temp_dir();
    let leftover = dir.path().join("cluster.new.0badcafe");
    fs::create_dir_all(leftover.join("base")).unwrap();
    fs::write(leftover.join("PG_VERSION"), "15\n").unwrap();
    // As the killed process left it: unlocked, with its id inside.
    fs::write(dir.path().join("agent-websocket.lock"), "4194303\n").unwrap();

    let cluster = Cluster::durable(&installation(), dir.path()).await.unwrap();
    connect(&cluster).await.ping().await.unwrap();
    assert!(!leftover.exists());
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_note_with_the_id_of_an_unrelated_process_is_stale() {
    let dir = open_temp_dir();
    let installation = installation();
    Cluster::durable(&installation, dir.path())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    // As after a reboot: the number lives, but it is somebody else's now.
    fs::write(postmaster_note(dir.path()), format!("{}\n", std::process::id())).unwrap();

    let cluster = Cluster::durable(&installation, dir.path()).await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_major_version_is_left_alone() {
    let dir = open_temp_dir();
    let installation = installation();
    Cluster::durable(&installation, dir.path())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::write(dir.path().join("cluster/PG_VERSION"), "14\n").unwrap();

    let error = Cluster::durable(&installation, dir.path()).await.unwrap_err();
    assert!(
        matches!(&error, PostgresError::OtherMajor { found, .. } if found == "14"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_directory_with_foreign_files_is_left_alone() {
    let dir = open_temp_dir();
    fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();

    let error = Cluster::durable(&installation(), dir.path()).await.unwrap_err();
    assert!(matches!(error, PostgresError::NotOurs { .. }), "{error:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_one_for_the_run() {
    let dir = open_temp_dir();
    let data_dir = dir.path().join(format!("with a blank, {}", "long".repeat(30)));
    let cluster = Cluster::durable(&installation(), &data_dir).await.unwrap();
    connect(&cluster).await.ping().await.unwrap();
    let url = cluster.url("postgres");
    let (_, rest) = url.split_once("host=").unwrap();
    let socket_dir = PathBuf::from(rest.split('&').next().unwrap());
    assert!(socket_dir.exists() && !socket_dir.starts_with(&data_dir), "{url}");

    cluster.stop().await.unwrap();
    assert!(!socket_dir.exists());
    assert!(
        data_dir.join("cluster").exists(),
        "only the socket's directory was temporary"
    );
}

#[tokio::test]
async fn a_server_that_dies_is_noticed() {
    let dir = open_temp_dir();
    let mut cluster = Cluster::durable(&installation(), dir.path()).await.unwrap();
    let killed = Command::new("kill")
        .args(["-KILL", &postmaster_id(cluster.data_dir())])
        .status()
        .unwrap();
    assert!(killed.success());

    let error = cluster.wait_for_exit().await;
    assert!(matches!(error, PostgresError::Ended { .. }), "{error:?}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let dir = open_temp_dir();
    let installation = installation();
    Cluster::durable(&installation, dir.path())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::write(
        dir.path().join("cluster/postgresql.conf"),
        "shared_buffers = 'plenty'\n",
    )
    .unwrap();

    let error = Cluster::durable(&installation, dir.path()).await.unwrap_err();
    assert!(matches!(error, PostgresError::Ended { .. }), "{error:?}");
    assert!(error.to_string().contains("shared_buffers"), "{error}");
}

#[tokio::test]
async fn a_database_is_made_once_whatever_its_name() {
    let cluster = Cluster::throw_away(&installation(), "databases").await.unwrap();
    for name in ["agent", "agent", "odd \"name\"/?&%", "odd \"name\"/?&%"] {
        cluster.create_database_if_missing(name).await.unwrap();
        let mut connection = PgConnection::connect(&cluster.url(name)).await.unwrap();
        let current: String = sqlx::query_scalar("SELECT current_database()")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(current, name);
    }
    let error = cluster.create_database_if_missing("").await.unwrap_err();
    assert!(matches!(error, PostgresError::Database { .. }), "{error:?}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_line_for_a_person_works_in_a_shell() {
    let cluster = Cluster::throw_away(&installation(), "psql").await.unwrap();
    let line = format!("{} -XAtc 'SELECT current_user'", cluster.psql_line("postgres"));
    // Settings of the person's own must not lead it elsewhere.
    let output = Command::new("sh")
        .args(["-c", &line])
        .env("PGPORT", "1")
        .env("PGUSER", "x")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "agent\n", "{output:?}");
    cluster.stop().await.unwrap();
}

/// Run as root, all the tests above start the server as another user; this one is the ordinary case. Run as an
/// ordinary user, they are the ordinary case themselves.
#[tokio::test]
async fn an_ordinary_user_runs_the_server_as_themselves() {
    let dir = open_temp_dir();
    if fs::metadata(dir.path()).unwrap().uid() != 0 {
        return;
    }
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    // A copy, because the build directory may be closed to others.
    let program = dir.path().join("hold_cluster");
    fs::copy(holder_program(), &program).unwrap();
    let data_dir = dir.path().join("data");
    let mut holder = Holder::spawn(
        Command::new(&program)
            .arg(&data_dir)
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/"),
    );
    assert_eq!(fs::metadata(data_dir.join("cluster")).unwrap().uid(), NOBODY);

    holder.kill();
    eventually("the server has ended", || !postmaster_note(&data_dir).exists()).await;

    // Root after the user: the directory stays the user's.
    let cluster = Cluster::durable(&installation(), &data_dir).await.unwrap();
    assert_eq!(fs::metadata(postmaster_note(&data_dir)).unwrap().uid(), NOBODY);
    cluster.stop().await.unwrap();
}
