//! A way to Postgres that leads through a proxy of the tests: a Unix socket in a directory of its own, so that "refused" is
//! the kernel's refusal and no port can be taken by somebody else meanwhile.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::net::UnixListener;

/// Where a proxy listens, and where the server does.
pub(crate) struct Detour {
    /// The database, through the proxy.
    pub(crate) url: String,
    pub(crate) listen_at: PathBuf,
    pub(crate) server: PathBuf,
    /// Holds the socket.
    pub(crate) directory: TempDir,
}

impl Detour {
    /// A detour to a database on a Unix socket.
    pub(crate) fn to(database_url: &str) -> Self {
        let (head, rest) = database_url.split_once("?host=").unwrap();
        let (server_directory, options) = rest.split_once('&').unwrap();
        let port = head.rsplit_once(':').unwrap().1.split('/').next().unwrap();
        let socket = format!(".s.PGSQL.{port}");
        let directory = tempfile::tempdir().unwrap();
        Self {
            url: format!("{head}?host={}&{options}", directory.path().display()),
            listen_at: directory.path().join(&socket),
            server: Path::new(server_directory).join(&socket),
            directory,
        }
    }
}

/// Listens anew where an earlier listener left its name.
pub(crate) fn listen(at: &Path) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(at);
    UnixListener::bind(at)
}
