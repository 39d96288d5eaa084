//! The real program as a process of its own: started, signalled, killed, and its log shown when a test fails.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output as Written, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::database::environment;
use super::eventually;
use super::gauge::Usage;

/// Lines of output that are kept of a process: more than any test makes, even of the loudest log.
const KEPT_LINES: usize = 100_000;

/// Lines that are shown of a process when its test fails.
const SHOWN_LINES: usize = 400;

/// What the program needs of this process's environment; everything else would be a setting nobody chose.
const INHERITED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// Runs the program to its end with these arguments and a database.
pub(crate) async fn program(database_url: &str, arguments: &[&str]) -> Written {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-websocket"));
    command
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", database_url);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// The last lines that a process wrote.
#[derive(Debug, Default)]
struct Output(Mutex<VecDeque<String>>);

impl Output {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// The last lines, for a person.
    fn end(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = lines.len().saturating_sub(SHOWN_LINES);
        lines.iter().skip(skipped).flat_map(|line| [line, "\n"]).collect()
    }

    /// Keeps what comes through a pipe, on a thread that ends with it.
    fn follow(self: &Arc<Self>, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let output = Arc::clone(self);
        thread::spawn(move || {
            BufReader::new(pipe)
                .lines()
                .map_while(Result::ok)
                .for_each(|line| output.push(line));
        })
    }
}

/// A running program. Dropping it kills it, as nothing else would.
pub(crate) struct Process {
    child: Child,
    name: String,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
    followers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts the program with a command and nothing but these settings.
    pub(crate) fn start(name: &str, command: &str, settings: &HashMap<String, String>) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_agent-websocket"));
        Self::run(name, program, &[command], settings, Stdio::null())
    }

    /// Starts a program with arguments and nothing but these settings.
    pub(crate) fn run(
        name: &str,
        program: &Path,
        arguments: &[&str],
        settings: &HashMap<String, String>,
        stdin: Stdio,
    ) -> Self {
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), environment(name)?)));
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .envs(settings)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (Arc::<Output>::default(), Arc::<Output>::default());
        let followers = vec![
            stdout.follow(child.stdout.take().unwrap()),
            stderr.follow(child.stderr.take().unwrap()),
        ];
        let name = name.to_owned();
        Self {
            child,
            name,
            stdout,
            stderr,
            followers,
        }
    }

    /// What it has printed.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has logged.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Its standard input, if that was to be a pipe.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Asks it to stop what it does, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal("-INT");
    }

    /// Waits until it has ended, and until all that it wrote was read.
    pub(crate) async fn finished(&mut self) -> ExitStatus {
        let status = self.exit().await;
        for follower in self.followers.drain(..) {
            follower.join().unwrap();
        }
        status
    }

    /// Ends it as a power cut would, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as an orchestrator does.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("/bin/kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success(), "{} could not be signalled", self.name);
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.child.try_wait().unwrap();
            std::future::ready(status.is_some())
        })
        .await;
        status.unwrap()
    }

    /// What it takes now, where the system tells.
    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.child.id())
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let (stdout, stderr) = (self.stdout.end(), self.stderr.end());
            eprintln!(
                "--- {} wrote:\n{stdout}{stderr}--- end of {}",
                self.name, self.name
            );
        }
    }
}

/// `serve` as a process.
pub(crate) struct ServeProcess {
    pub(crate) process: Process,
    /// Where clients connect.
    pub(crate) base: String,
    /// Where operators connect.
    pub(crate) admin: String,
    /// Its number in the database.
    pub(crate) node_id: i32,
}

impl ServeProcess {
    /// Starts it with settings as [`super::node::values`] gives them, logging JSON unless they say otherwise, and waits until
    /// it serves.
    pub(crate) async fn start(name: &str, settings: HashMap<String, String>) -> Self {
        Self::start_on(None, name, settings).await
    }

    /// Does the same on one core, where it serves on one thread; on all where the system does not tell which there are.
    pub(crate) async fn start_on_one_core(name: &str, settings: HashMap<String, String>) -> Self {
        let core = first_core();
        let node = Self::start_on(core.as_deref(), name, settings).await;
        let one_thread = node.process.stderr().contains("CurrentThread");
        assert!(core.is_none() || one_thread, "{name} runs on one thread");
        node
    }

    async fn start_on(core: Option<&str>, name: &str, mut settings: HashMap<String, String>) -> Self {
        for (name, value) in [
            ("BIND_ADDR", "127.0.0.1:0"),
            ("ADMIN_BIND_ADDR", "127.0.0.1:0"),
            ("LOG_FORMAT", "json"),
        ] {
            settings
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        let mut process = match core {
            Some(core) => {
                let program = env!("CARGO_BIN_EXE_agent-websocket");
                let arguments = ["-c", core, program, "serve"];
                Process::run(name, Path::new("taskset"), &arguments, &settings, Stdio::null())
            }
            None => Process::start(name, "serve", &settings),
        };
        let mut served = None;
        eventually("the process serves", || {
            assert!(process.is_alive(), "{name} ended instead of serving");
            served = process.stderr().lines().find_map(serving);
            std::future::ready(served.is_some())
        })
        .await;
        let Serving { base, admin, node_id } = served.unwrap();
        Self {
            process,
            base,
            admin,
            node_id,
        }
    }

    /// Waits until it has ended as it should: without a fault, and with nothing left behind.
    pub(crate) async fn ended(&mut self) {
        let status = self.process.finished().await;
        let log = self.process.stderr();
        assert!(status.success(), "a node ended with a fault: {status}");
        assert!(
            log.contains("shutting down"),
            "the end of its log was not written"
        );
        assert!(!log.contains("panicked"), "something panicked in a node");
        assert!(!log.contains("left behind"), "a node left tasks behind");
    }

    /// What `/readyz` says: the status, and the body as JSON.
    pub(crate) async fn ready(&self) -> (u16, serde_json::Value) {
        let (status, body) = get(&self.base, "/readyz").await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

/// The first core that this process may use, where the system tells: `0` of `Cpus_allowed_list: 0-1`.
fn first_core() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let cores = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    cores.trim().split(['-', ',']).next().map(str::to_owned)
}

/// What a server logs once it serves.
struct Serving {
    base: String,
    admin: String,
    node_id: i32,
}

/// Reads the line that a server logs once it serves, in either format.
fn serving(line: &str) -> Option<Serving> {
    let json = serde_json::from_str::<serde_json::Value>(line).ok();
    let field = |name: &str| match &json {
        Some(line) => line["fields"][name].as_str().map(str::to_owned),
        None => line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(&format!("{name}=")).map(str::to_owned)),
    };
    let says_so = match &json {
        Some(line) => line["fields"]["message"] == "serving",
        None => line.contains(" serving "),
    };
    says_so.then(|| Serving {
        base: field("address").unwrap(),
        admin: field("admin").unwrap(),
        node_id: field("node").unwrap().parse().unwrap(),
    })
}

/// A plain GET: status and body.
async fn get(base: &str, path: &str) -> (u16, String) {
    exchange(
        base,
        &format!("GET {path} HTTP/1.1\r\nhost: {base}\r\nconnection: close\r\n\r\n"),
    )
    .await
}

/// Posts an empty object with a token, and returns the JSON of the answer.
pub(crate) async fn post(base: &str, path: &str, token: &str) -> serde_json::Value {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {base}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    let (status, body) = exchange(base, &request).await;
    assert!((200..300).contains(&status), "{path}: {status} {body}");
    serde_json::from_str(&body).unwrap()
}

async fn exchange(base: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(base).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
