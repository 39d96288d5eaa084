//! What an earlier process, killed without a word, has left in the data directory: a server that its watchdog
//! is just stopping, or the note of a server that is long gone. Called by `cluster` when it holds
//! the directory's lock, so whatever it finds belongs to nobody alive. Refuses to stop a server: it only waits.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::directory::Home;
use super::error::{PostgresError, file_error};

/// The watchdog of a killed process needs at most ten seconds before it turns to harder means.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Who has the process id in `postmaster.pid`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// Nobody, or a Postgres of another directory: Postgres itself knows what to do.
    LeftToPostgres,
    /// The server of this directory, alive.
    Server(u32),
    /// A process that has nothing to do with it and only got the number. Postgres would refuse to start.
    Stranger,
}

/// Waits until no server runs on the home's cluster, and removes what stands in the way of a new one.
pub(super) async fn clear_away(home: &Home) -> Result<(), PostgresError> {
    let cluster_dir = home.cluster_dir();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match occupant(&cluster_dir) {
            Occupant::LeftToPostgres => return Ok(()),
            Occupant::Stranger => {
                let path = cluster_dir.join("postmaster.pid");
                return fs::remove_file(&path).map_err(file_error("remove", &path));
            }
            Occupant::Server(pid) if Instant::now() >= deadline => {
                return Err(PostgresError::StillRunning {
                    pid,
                    data_dir: home.dir().to_owned(),
                });
            }
            Occupant::Server(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

fn occupant(cluster_dir: &Path) -> Occupant {
    let note = fs::read_to_string(cluster_dir.join("postmaster.pid")).unwrap_or_default();
    let Some(pid) = note.lines().next().and_then(|line| line.trim().parse().ok()) else {
        return Occupant::LeftToPostgres;
    };
    match command_line(pid) {
        Some(command_line) => judge(pid, &command_line, cluster_dir),
        None => Occupant::LeftToPostgres,
    }
}

/// A server of ours carries its directory among its arguments.
pub(super) fn judge(pid: u32, command_line: &str, cluster_dir: &Path) -> Occupant {
    let program = command_line.split_whitespace().next().unwrap_or_default();
    let is_postgres = program.trim_end_matches(':').ends_with("postgres");
    if !is_postgres {
        Occupant::Stranger
    } else if command_line.contains(&*cluster_dir.to_string_lossy()) {
        Occupant::Server(pid)
    } else {
        Occupant::LeftToPostgres
    }
}

/// The arguments of a living process with spaces between them. Not its working directory, which would be more
/// exact: root in a container may not look at that of another user's process.
fn command_line(pid: u32) -> Option<String> {
    let bytes = if Path::new("/proc/self").exists() {
        fs::read(format!("/proc/{pid}/cmdline")).ok()?
    } else {
        Command::new("ps")
            .args(["-o", "args=", "-p"])
            .arg(pid.to_string())
            .output()
            .ok()?
            .stdout
    };
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}
