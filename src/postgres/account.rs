//! Who runs the server. Postgres refuses root, so root hands it to the account `postgres` or, failing that,
//! `nobody`; an ordinary user runs it as themselves. Reads `/etc/passwd` and file modes; changes owners of what
//! `directory` has made, nothing else.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use super::error::{PostgresError, file_error};

const NAMES_IN_ORDER: [&str; 2] = ["postgres", "nobody"];

/// A user other than this process's own, for the server to run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The first account of [`NAMES_IN_ORDER`] that this machine has.
    pub(super) fn for_server() -> Result<Self, PostgresError> {
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).map_err(file_error("read", path))?;
        Self::in_passwd(&passwd).ok_or(PostgresError::NoAccount)
    }

    pub(super) fn in_passwd(passwd: &str) -> Option<Self> {
        NAMES_IN_ORDER.iter().find_map(|wanted| {
            passwd.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                let (uid, gid) = (fields.nth(1)?, fields.next()?);
                let account = Self {
                    uid: parse_id(uid)?,
                    gid: parse_id(gid)?,
                };
                (name == *wanted && account.uid != 0).then_some(account)
            })
        })
    }

    /// Whether this account can step through `dir` and every directory above it. Access lists are not looked at.
    pub(super) fn can_reach(self, dir: &Path) -> io::Result<bool> {
        for dir in fs::canonicalize(dir)?.ancestors() {
            if self.granted(dir)? & 0o1 == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether this account can reach `dir` and make and remove entries in it.
    pub(super) fn can_write(self, dir: &Path) -> io::Result<bool> {
        Ok(self.can_reach(dir)? && self.granted(dir)? & 0o2 != 0)
    }

    pub(super) fn give(self, path: &Path) -> Result<(), PostgresError> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(file_error("change the owner of", path))
    }

    /// The three permission bits that apply to this account, as the lowest of the mode.
    fn granted(self, dir: &Path) -> io::Result<u32> {
        let metadata = fs::metadata(dir)?;
        Ok(granted(self, metadata.mode(), metadata.uid(), metadata.gid()))
    }
}

/// The first class that matches decides, as in the kernel: an owner without the bit is not saved by the others.
pub(super) fn granted(account: Account, mode: u32, owner: u32, group: u32) -> u32 {
    let class = if account.uid == owner {
        mode >> 6
    } else if account.gid == group {
        mode >> 3
    } else {
        mode
    };
    class & 0o7
}

/// The user that this process acts as. Asking the kernel for it takes unsafe code, so look at what it says
/// elsewhere: on Linux the owner of our own directory in `/proc` (always the effective user, whatever the
/// process's "dumpable" flag makes of the files inside), on other systems `id -u`.
pub(super) fn effective_uid() -> Result<u32, PostgresError> {
    if let Ok(metadata) = fs::metadata("/proc/self") {
        return Ok(metadata.uid());
    }
    let program_error = |source| PostgresError::Program {
        program: "id".into(),
        source,
    };
    let output = Command::new("id").arg("-u").output().map_err(program_error)?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|error| program_error(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// macOS writes the ids of `nobody` as -2.
fn parse_id(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(i32::cast_unsigned))
}
