//! The server's log file: bounded over restarts, and its end quoted when the server does not do what it should.
//! Called by `cluster`; the watchdog only writes to it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::{PostgresError, file_error};

const ROTATE_BYTES: u64 = 10 * 1024 * 1024;
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 20;

/// An open log, and where this run's part of it begins.
#[derive(Debug)]
pub(super) struct ServerLog {
    path: PathBuf,
    file: File,
    begins_at: u64,
}

impl ServerLog {
    /// Opens `server.log` in `dir`; one that has grown large becomes `server.log.1`, over the one before it.
    pub(super) fn open(dir: &Path, account: Option<Account>) -> Result<Self, PostgresError> {
        let path = dir.join("server.log");
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > ROTATE_BYTES) {
            fs::rename(&path, dir.join("server.log.1")).map_err(file_error("rotate", &path))?;
        }
        let open = || -> io::Result<(File, u64)> {
            let file = File::options()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path)?;
            if let Some(Account { uid, gid }) = account {
                fchown(&file, Some(uid), Some(gid))?;
            }
            let begins_at = file.metadata()?.len();
            Ok((file, begins_at))
        };
        let (file, begins_at) = open().map_err(file_error("open", &path))?;
        Ok(Self {
            path,
            file,
            begins_at,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Another handle on the open file, for a child process to write to.
    pub(super) fn handle(&self) -> Result<File, PostgresError> {
        self.file.try_clone().map_err(file_error("write to", &self.path))
    }

    /// The last lines that this run has written; empty where the file cannot be read, for this only ever
    /// explains another error.
    pub(super) fn tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(
                self.begins_at.max(length.saturating_sub(TAIL_BYTES)),
            ))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        last_lines(&read().unwrap_or_default())
    }
}

/// The last lines of a program's output, as text to quote.
pub(super) fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
    lines.reverse();
    lines.join("\n")
}
