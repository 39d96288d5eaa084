//! A directory that does not outlive its use: that of a throw-away cluster, or of a socket whose own place has too
//! long a path. Refuses names that are taken. Called by `directory`.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::directory::PRIVATE;
use super::error::{PostgresError, file_error};

/// Ours to remove until the watchdog runs, its own afterwards.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Creating fails where the name is taken: nobody can lay a link in our way in a directory open to all.
    pub(super) fn create(base: &Path, hint: &str, account: Option<Account>) -> Result<Self, PostgresError> {
        let base = fs::canonicalize(base).map_err(file_error("resolve", base))?;
        let path = base.join(name(hint));
        DirBuilder::new()
            .mode(PRIVATE)
            .create(&path)
            .map_err(file_error("create", &path))?;
        let scratch = Self(path);
        if let Some(account) = account {
            account.give(&scratch.0)?;
        }
        Ok(scratch)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves the removal to somebody else.
    pub(super) fn hand_over(self) {
        std::mem::forget(self);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a temporary directory");
        }
    }
}

/// The prefix is what the watchdog's guard looks for.
pub(super) fn name(hint: &str) -> String {
    let hint: String = hint
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(16)
        .collect();
    format!("agent-ws-pg-{hint}-{:08x}", rand::random::<u32>())
}
