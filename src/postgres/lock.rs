//! The lock on a data directory: one living process at a time, and the mark by which a directory is known as one
//! of ours. Called by `directory`.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::account::Account;
use super::error::{PostgresError, file_error};

const LOCK_NAME: &str = "agent-websocket.lock";

/// Whether `dir` was ever one of ours.
pub(super) fn exists_in(dir: &Path) -> bool {
    dir.join(LOCK_NAME).is_file()
}

/// Held as long as this value lives. The kernel takes it back when its holder dies, so it is never stale.
#[derive(Debug)]
pub(super) struct DirectoryLock(File);

impl DirectoryLock {
    pub(super) fn take(dir: &Path, account: Option<Account>) -> Result<Self, PostgresError> {
        let path = dir.join(LOCK_NAME);
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(&path).map_err(file_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(dir, &path)),
            Err(TryLockError::Error(error)) => return Err(file_error("lock", &path)(error)),
        }
        if let Some(account) = account {
            account.give(&path)?;
        }
        let id = std::process::id();
        file.set_len(0)
            .and_then(|()| writeln!(file, "{id}"))
            .map_err(file_error("write", &path))?;
        Ok(Self(file))
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread is just forking holds a copy until it executes.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "cannot unlock the data directory before closing it");
        }
    }
}

fn in_use(dir: &Path, lock: &Path) -> PostgresError {
    // Empty for the moment between its locking and its writing.
    let id = fs::read_to_string(lock).unwrap_or_default();
    let holder = if id.trim().is_empty() {
        "another process".into()
    } else {
        format!("process {}", id.trim())
    };
    PostgresError::InUse {
        holder,
        data_dir: dir.to_owned(),
    }
}
