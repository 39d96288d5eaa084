//! A process of this program that is measured: started on a core, asked for its address, ended.
//!
//! Its log is read so that its pipe never fills, and the end of it is shown when it fails. Called by `bed`.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a process may take to listen, migrations included, and how long to end.
const READY_WITHIN: Duration = Duration::from_mins(1);
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// Lines of its log that are shown when it fails.
const SHOWN: usize = 20;

/// What a process needs of ours; everything else would be a setting that nobody chose.
const INHERITED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(in crate::bench) struct Child {
    process: tokio::process::Child,
    pub(in crate::bench) pid: u32,
    pub(in crate::bench) address: SocketAddr,
    log: Arc<Mutex<VecDeque<String>>>,
    followers: JoinSet<()>,
}

impl Child {
    /// Starts the program and waits until it says where it listens.
    pub(super) async fn start(
        program: &Path,
        arguments: &[&str],
        environment: &BTreeMap<&str, &str>,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let mut command = match core {
            Some(core) => {
                let mut taskset = Command::new("taskset");
                taskset.args(["-c", &core.to_string()]).arg(program);
                taskset
            }
            None => Command::new(program),
        };
        command.args(arguments).env_clear().envs(environment);
        for name in INHERITED {
            if let Some(value) = crate::config::environment(name) {
                command.env(name, value);
            }
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start a process of this program (--pin needs taskset)")?;
        let pid = process.id().context("the process ended at once")?;
        let lines = BufReader::new(process.stderr.take().context("no log")?).lines();
        let log = Arc::<Mutex<VecDeque<String>>>::default();
        let (lines, address) = timeout(READY_WITHIN, until_it_listens(lines, &log))
            .await
            .context("the process does not listen")?
            .with_context(|| format!("it did not start; its log ends so:\n{}", end_of(&log)))?;
        let mut followers = JoinSet::new();
        followers.spawn(follow(lines, Arc::clone(&log)));
        Ok(Self {
            process,
            pid,
            address,
            log,
            followers,
        })
    }

    /// Asks it to end, and waits.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.try_wait()? {
            anyhow::bail!(
                "a measured process had ended by itself ({status}); its log ends so:\n{}",
                end_of(&self.log)
            );
        }
        let asked = Command::new("kill").arg(self.pid.to_string()).status().await?;
        ensure!(asked.success(), "a measured process could not be asked to end");
        if timeout(ENDED_WITHIN, self.process.wait()).await.is_err() {
            self.process.kill().await?;
        }
        self.followers.shutdown().await;
        Ok(())
    }
}

type Log = Mutex<VecDeque<String>>;

async fn until_it_listens<R: AsyncRead + Unpin>(
    mut lines: Lines<BufReader<R>>,
    log: &Log,
) -> anyhow::Result<(Lines<BufReader<R>>, SocketAddr)> {
    while let Some(line) = lines.next_line().await? {
        let address = address_in(&line);
        keep(log, line);
        if let Some(address) = address {
            return Ok((lines, address));
        }
    }
    anyhow::bail!("it ended")
}

/// The address in the line of the log that says that it serves.
fn address_in(line: &str) -> Option<SocketAddr> {
    if !line.contains("\"message\":\"serving\"") {
        return None;
    }
    line.split("\"address\":\"")
        .nth(1)?
        .split('"')
        .next()?
        .parse()
        .ok()
}

async fn follow<R: AsyncRead + Unpin>(mut lines: Lines<BufReader<R>>, log: Arc<Log>) {
    while let Ok(Some(line)) = lines.next_line().await {
        keep(&log, line);
    }
}

fn keep(log: &Log, line: String) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if log.len() == SHOWN {
        log.pop_front();
    }
    log.push_back(line);
}

fn end_of(log: &Log) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::address_in;

    #[test]
    fn the_address_is_read_from_the_log() {
        let line = r#"{"level":"INFO","fields":{"message":"serving","node":"1","address":"127.0.0.1:4711"}}"#;
        assert_eq!(address_in(line), Some("127.0.0.1:4711".parse().unwrap()));
        assert_eq!(address_in(r#"{"fields":{"message":"else"}}"#), None);
    }
}
