//! The directory of a cluster: made with the right owner and mode, locked by the process that uses it, with a
//! socket directory whose path is short enough. Refuses directories with somebody else's files and those in use.
//! Called by `cluster`.
//!
//! ```text
//! <data_dir>/  agent-websocket.lock   locked by the living process, holds its id
//!              cluster/               Postgres's own data directory
//!              cluster.new.<id>/      an initdb under way, or what is left of one
//!              server.log             and beside it the socket, where its path fits
//! ```

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::{self, Account};
use super::error::{PostgresError, file_error};
use super::lock::{self, DirectoryLock};
use super::scratch::{self, Scratch};

/// Where root's data goes when the server's account cannot reach the directory asked for, such as one in `/root`.
const ROOT_FALLBACK: &str = "/var/lib/agent-websocket";
const SHORT_TEMP_DIR: &str = "/tmp";
/// The mode of what only the server's account may enter.
pub(super) const PRIVATE: u32 = 0o700;
const PASSABLE: u32 = 0o755;

/// The kernel allows 103 bytes (macOS) or 107 (Linux) for the whole path, of which `/.s.PGSQL.5432` takes 14.
const SOCKET_DIR_BYTES: usize = 88;

/// Whether what a cluster holds is to survive its server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep {
    Durable,
    ThrowAway,
}

/// A directory that this process holds, ready for a server.
#[derive(Debug)]
pub(super) struct Home {
    keep: Keep,
    dir: PathBuf,
    socket_dir: PathBuf,
    account: Option<Account>,
    scratch: Option<Scratch>,
    // Last, so that it is let go after all else. A throw-away directory needs none: nobody else has its name.
    _lock: Option<DirectoryLock>,
}

impl Home {
    /// The directory at `requested`, made if it is not there.
    pub(super) fn durable(requested: &Path) -> Result<Self, PostgresError> {
        Self::durable_or_below(Path::new(ROOT_FALLBACK), requested)
    }

    /// As [`Self::durable`], with another place for what root asks for and the server's account cannot reach.
    pub(super) fn durable_or_below(fallback: &Path, requested: &Path) -> Result<Self, PostgresError> {
        let requested = std::path::absolute(requested).map_err(file_error("resolve", requested))?;
        let own_uid = account::effective_uid()?;
        let (dir, account) = if own_uid == 0 {
            let (dir, account) = place_for_root(fallback, requested)?;
            (dir, Some(account))
        } else {
            (requested, None)
        };
        let dir = claim(&dir, own_uid, account)?;
        let lock = DirectoryLock::take(&dir, account)?;
        let (socket_dir, scratch) = if fits_socket(&dir) {
            (dir.clone(), None)
        } else {
            let scratch = Scratch::create(Path::new(SHORT_TEMP_DIR), "socket", account)?;
            (scratch.path().to_owned(), Some(scratch))
        };
        Ok(Self {
            keep: Keep::Durable,
            dir,
            socket_dir,
            account,
            scratch,
            _lock: Some(lock),
        })
    }

    /// A new directory below `temp_dir`, or below `/tmp` where that one is too deep or closed to the server.
    pub(super) fn throw_away(temp_dir: &Path, hint: &str) -> Result<Self, PostgresError> {
        let account = if account::effective_uid()? == 0 {
            Some(Account::for_server()?)
        } else {
            None
        };
        let short = Path::new(SHORT_TEMP_DIR);
        let usable = |base: &Path| {
            fits_socket(&base.join(scratch::name(hint)))
                && account.is_none_or(|account| account.can_write(base).unwrap_or(false))
        };
        let base = fs::canonicalize(temp_dir).ok().filter(|base| usable(base));
        let scratch = Scratch::create(base.as_deref().unwrap_or(short), hint, account)?;
        let (dir, socket_dir) = (scratch.path().to_owned(), scratch.path().to_owned());
        Ok(Self {
            keep: Keep::ThrowAway,
            dir,
            socket_dir,
            account,
            scratch: Some(scratch),
            _lock: None,
        })
    }

    pub(super) fn keep(&self) -> Keep {
        self.keep
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn cluster_dir(&self) -> PathBuf {
        self.dir.join("cluster")
    }

    /// An ASCII path without anything that a URL or Postgres's list of directories would have to quote.
    pub(super) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Whom the server runs as, where that is not ourselves.
    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    /// What is to be removed when the server has stopped.
    pub(super) fn scratch_path(&self) -> Option<&Path> {
        self.scratch.as_ref().map(Scratch::path)
    }

    /// Somebody else removes the scratch directory now.
    pub(super) fn hand_over_scratch(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            scratch.hand_over();
        }
    }
}

/// Root keeps the owner that a directory already has, so that one made by an ordinary user stays theirs.
fn place_for_root(fallback: &Path, requested: PathBuf) -> Result<(PathBuf, Account), PostgresError> {
    let account = owner_or_server(&requested)?;
    let nearest = requested
        .ancestors()
        .find(|dir| dir.exists())
        .unwrap_or(Path::new("/"));
    if account
        .can_reach(nearest)
        .map_err(file_error("look at", nearest))?
    {
        return Ok((requested, account));
    }
    let dir = fallback.join(short_hash(&requested));
    tracing::warn!(
        requested = %requested.display(), used = %dir.display(),
        "the account that runs PostgreSQL for root cannot reach the data directory; using another"
    );
    let account = owner_or_server(&dir)?;
    Ok((dir, account))
}

fn short_hash(path: &Path) -> String {
    let digest: [u8; 32] = Sha256::digest(path.as_os_str().as_bytes()).into();
    format!(
        "{:016x}",
        digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    )
}

fn owner_or_server(dir: &Path) -> Result<Account, PostgresError> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.uid() != 0 => Ok(Account {
            uid: metadata.uid(),
            gid: metadata.gid(),
        }),
        _ => Account::for_server(),
    }
}

/// Makes `dir` ours, or refuses to. Gives back its real path.
fn claim(dir: &Path, own_uid: u32, account: Option<Account>) -> Result<PathBuf, PostgresError> {
    if let Some(parent) = dir.parent() {
        create_parents(parent, account)?;
    }
    match DirBuilder::new().mode(PRIVATE).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(file_error("create", dir)(error)),
        _ => Ok(()),
    }?;
    let dir = fs::canonicalize(dir).map_err(file_error("resolve", dir))?;
    let owner = fs::metadata(&dir).map_err(file_error("look at", &dir))?.uid();
    if account.is_none() && owner != own_uid {
        return Err(PostgresError::OtherOwner { owner, data_dir: dir });
    }
    let empty = fs::read_dir(&dir)
        .map_err(file_error("read", &dir))?
        .next()
        .is_none();
    if !empty && !lock::exists_in(&dir) {
        return Err(PostgresError::NotOurs { data_dir: dir });
    }
    if let Some(account) = account {
        account.give(&dir)?;
    }
    fs::set_permissions(&dir, Permissions::from_mode(PRIVATE)).map_err(file_error("close off", &dir))?;
    Ok(dir)
}

/// The server's account must be able to step through what root makes here, even if root's umask says otherwise.
fn create_parents(parent: &Path, account: Option<Account>) -> Result<(), PostgresError> {
    let missing: Vec<&Path> = parent.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::create_dir_all(parent).map_err(file_error("create", parent))?;
    if account.is_some() {
        for dir in missing {
            fs::set_permissions(dir, Permissions::from_mode(PASSABLE)).map_err(file_error("open up", dir))?;
        }
    }
    Ok(())
}

pub(super) fn fits_socket(dir: &Path) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(byte);
    let bytes = dir.as_os_str().as_bytes();
    // Two dots in a row would trip the watchdog's guard before it removes anything.
    bytes.len() <= SOCKET_DIR_BYTES && bytes.iter().all(plain) && !bytes.windows(2).any(|pair| pair == b"..")
}
