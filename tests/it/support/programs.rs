//! Programs that are not ours, run as a person would: installed by `scripts/example-clients` under target/clients, else found in PATH.
//!
//! One that lives as long as a test is driven by lines: a JSON array in, a line of JSON out.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use agent_websocket::postgres::Installation;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::PATIENCE;
use super::database::environment;

/// How long a browser may take to start on a machine that has much else to do.
const LAUNCH: Duration = Duration::from_mins(1);

pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that was installed under target/clients, else the one in PATH.
pub(crate) fn program(installed: &str, name: &str) -> PathBuf {
    let installed = file("target/clients").join(installed);
    if installed.exists() {
        installed
    } else {
        PathBuf::from(name)
    }
}

/// A program with nothing of the caller's environment that could lead it elsewhere.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let postgres = Installation::locate(&environment).unwrap();
    let path = environment("PATH").unwrap_or_default();
    let mut command = Command::new(program.as_ref());
    command
        .env_clear()
        .env("PATH", format!("{}:{path}", postgres.bin_dir().display()))
        .env("NO_COLOR", "1")
        .kill_on_drop(true);
    for name in ["HOME", "TMPDIR"] {
        if let Some(value) = environment(name) {
            command.env(name, value);
        }
    }
    command
}

pub(crate) async fn output(command: &mut Command) -> Output {
    let output = timeout(PATIENCE, command.output()).await;
    output
        .expect("the program should end")
        .unwrap_or_else(|error| panic!("{error}: {command:?}"))
}

/// What a program printed, which has succeeded.
pub(crate) async fn printed(command: &mut Command) -> String {
    let output = output(command).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Whether a client is there, which a harmless call of it shows.
pub(crate) async fn is_there(client: &str, call: &mut Command) -> bool {
    let why = match timeout(PATIENCE, call.output()).await {
        Ok(Ok(output)) if output.status.success() => return true,
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(late) => late.to_string(),
    };
    let is_required = environment("EXAMPLES_REQUIRED").is_some();
    assert!(!is_required, "{client} should be there: {why}");
    let why = why.lines().find(|line| line.contains("rror")).unwrap_or(&why);
    // Not by eprintln!, which is shown only of a test that fails.
    writeln!(
        std::io::stderr(),
        "!!! NOT CHECKED: the example for {client}, which is not installed: {why}"
    )
    .unwrap();
    false
}

/// A folder with a program of Node's and the libraries that were installed for its package: Node looks for them beside it.
pub(crate) fn beside_its_libraries(program: &str) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let from = file(program);
    let package = Path::new(program).parent().unwrap();
    let libraries = file("target/clients/tree").join(package).join("node_modules");
    std::os::unix::fs::symlink(libraries, place.path().join("node_modules")).unwrap();
    std::fs::copy(&from, place.path().join(from.file_name().unwrap())).unwrap();
    place
}

/// A program that answers lines with lines.
pub(crate) struct Driven {
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Driven {
    pub(crate) fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{error}: {piped:?}"));
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
            _child: child,
        }
    }

    /// Writes a line.
    pub(crate) async fn say(&mut self, line: &str) {
        self.stdin
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }

    /// The next line. What the first one waits for is the program's start.
    pub(crate) async fn hear(&mut self) -> String {
        let line = timeout(LAUNCH, self.stdout.next_line()).await;
        let line = line.expect("the program should say something").unwrap();
        line.expect("the program should not have ended")
    }

    /// Has a verb carried out.
    pub(crate) async fn call(&mut self, verb: Value) -> Value {
        self.say(&verb.to_string()).await;
        let answer = self.hear().await;
        serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{error} in the answer to {verb}: {answer}"))
    }
}
