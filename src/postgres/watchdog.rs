//! Keeps the server's life inside ours, without unsafe code: a small `/bin/sh` between us and Postgres reads a
//! pipe whose other end only this process holds. The kernel closes that end when we die, by SIGKILL too.
//! The script beside this file is the other half. Called by `cluster`.

use std::ffi::OsString;
use std::io::{self, PipeWriter};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

use super::directory::Home;
use super::error::PostgresError;
use super::locate::Installation;
use super::log::ServerLog;

const SHELL: &str = "/bin/sh";
const SCRIPT: &str = include_str!("watchdog.sh");

/// The running watchdog, and through it the server. Dropping it closes the pipe, and that stops the server.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// `None` once the server has been told to stop.
    pipe: Option<PipeWriter>,
    child: Child,
}

impl Watchdog {
    /// Starts `postgres` with these arguments. When it has ended, the watchdog removes the home's scratch directory.
    pub(super) fn start(
        installation: &Installation,
        home: &Home,
        log: &ServerLog,
        arguments: Vec<OsString>,
    ) -> Result<Self, PostgresError> {
        let (reader, pipe) = io::pipe().map_err(cannot_run_shell)?;
        let mut command = installation.command(Path::new(SHELL));
        command.args(["-c", SCRIPT, "agent-websocket-postgres"]);
        command.arg(home.scratch_path().map_or_else(PathBuf::new, Path::to_owned));
        command.arg(installation.program("postgres")).args(arguments);
        command
            .stdin(reader)
            .stdout(Stdio::from(log.handle()?))
            .stderr(Stdio::from(log.handle()?));
        // A group of its own: Ctrl-C in the terminal is for us, and we still need the database to drain.
        command.process_group(0);
        run_as_server(&mut command, home);
        let child = command.spawn().map_err(cannot_run_shell)?;
        Ok(Self {
            pipe: Some(pipe),
            child,
        })
    }

    /// Tells the server to stop; [`Self::wait`] says when it has. A second call changes nothing.
    pub(super) fn close(&mut self) {
        self.pipe = None;
    }

    /// Waits for the end of the server. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> Result<ExitStatus, PostgresError> {
        self.child.wait().await.map_err(cannot_run_shell)
    }

    /// How the server ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, PostgresError> {
        self.child.try_wait().map_err(cannot_run_shell)
    }
}

/// Sets the account that the home's files belong to. The standard library drops root's other groups with it.
pub(super) fn run_as_server(command: &mut Command, home: &Home) {
    if let Some(account) = home.account() {
        command.uid(account.uid).gid(account.gid);
    }
}

fn cannot_run_shell(source: io::Error) -> PostgresError {
    PostgresError::Program {
        program: SHELL.into(),
        source,
    }
}
