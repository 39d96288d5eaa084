//! What can go wrong with the embedded Postgres. Every message says what to do next, because its reader is a
//! person who just typed `agent-websocket dev`. Sources are kept, not repeated in the text.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why the embedded Postgres cannot be found, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No Postgres programs on this machine.
    #[error("no PostgreSQL on this machine: {advice}, or set DATABASE_URL to an existing server")]
    NotInstalled {
        /// How to install it here.
        advice: String,
    },

    /// Only programs of a version that lacks what the schema needs.
    #[error(
        "PostgreSQL {major} in {} is too old: {advice} (version {needed} or newer), \
         or set DATABASE_URL to an existing server",
        bin_dir.display()
    )]
    TooOld {
        /// The newest version found.
        major: u32,
        /// The oldest version that will do.
        needed: u32,
        /// Where it was found.
        bin_dir: PathBuf,
        /// How to install a newer one here.
        advice: String,
    },

    /// Another living process holds the data directory.
    #[error(
        "{} is in use by {holder}: stop that process, or choose another data directory",
        data_dir.display()
    )]
    InUse {
        /// The process that holds it, as far as it is known.
        holder: String,
        /// The directory in question.
        data_dir: PathBuf,
    },

    /// A server without a holder runs on the data directory and does not end by itself.
    #[error(
        "a PostgreSQL server (process {pid}) still runs on {}: stop it with `kill -INT {pid}`",
        data_dir.display()
    )]
    StillRunning {
        /// The server's process.
        pid: u32,
        /// The directory in question.
        data_dir: PathBuf,
    },

    /// The cluster was made by another major version.
    #[error(
        "{} holds data of PostgreSQL {found}, but {} is PostgreSQL {installed}: put the programs of \
         PostgreSQL {found} first in PATH, or move the directory away to begin with an empty one",
        data_dir.display(), bin_dir.display()
    )]
    OtherMajor {
        /// The version that made the data, as it wrote it down.
        found: String,
        /// The version of the programs in use.
        installed: u32,
        /// The directory in question.
        data_dir: PathBuf,
        /// Where those programs are.
        bin_dir: PathBuf,
    },

    /// A directory with somebody else's files in it.
    #[error(
        "{} is not empty and not one of ours: choose an empty or a new directory",
        data_dir.display()
    )]
    NotOurs {
        /// The directory in question.
        data_dir: PathBuf,
    },

    /// The data directory belongs to another user, and Postgres insists on its owner.
    #[error(
        "{} belongs to user id {owner}: run as that user, or choose another data directory",
        data_dir.display()
    )]
    OtherOwner {
        /// Its owner's user id.
        owner: u32,
        /// The directory in question.
        data_dir: PathBuf,
    },

    /// Running as root on a machine without an account for the server.
    #[error(
        "PostgreSQL refuses to run as root and there is no account `postgres` or `nobody` to run it as: \
         run as an ordinary user, or add one with `useradd --system postgres`"
    )]
    NoAccount,

    /// The file system refused.
    #[error("cannot {action} {}: check its permissions and the free space", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A program could not be run at all.
    #[error("cannot run {}: check that it is installed and may be executed", program.display())]
    Program {
        /// Which one.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// `initdb` ran and failed.
    #[error("initdb could not make a cluster; what it said is the thing to mend:\n{output}")]
    Initdb {
        /// The end of its output.
        output: String,
    },

    /// The server ended, at its start or later.
    #[error("PostgreSQL ended ({status}); the end of {} says why:\n{tail}", log.display())]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },

    /// The server runs but accepts no connection yet.
    #[error(
        "PostgreSQL accepted no connection within {seconds} s: if the end of {} shows a recovery, \
         start again, it goes on from there:\n{tail}",
        log.display()
    )]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
        /// What the last attempt to connect said.
        #[source]
        source: Option<sqlx::Error>,
    },

    /// The server outlived both the fast and the immediate shutdown.
    #[error("PostgreSQL did not stop within {seconds} s: see {}", log.display())]
    NotStopped {
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },

    /// The server refused to make a database.
    #[error("cannot make the database {database}: see the server's log")]
    Database {
        /// Its name.
        database: String,
        /// What the server said.
        #[source]
        source: sqlx::Error,
    },
}

/// Turns an I/O error into one that names what was tried, for `map_err`.
pub(super) fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    move |source| PostgresError::File {
        action,
        path: path.to_owned(),
        source,
    }
}
