//! Makes a cluster where there is none, so that one is there as a whole or not at all: initdb works beside the
//! final place and a rename ends it. Refuses data of another major version. Called by `cluster`.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;

use super::directory::{Home, Keep};
use super::error::{PostgresError, file_error};
use super::locate::Installation;
use super::log::last_lines;
use super::watchdog::run_as_server;

/// The role that owns everything in the cluster; the socket's directory decides who may be it.
pub(super) const SUPERUSER: &str = "agent";

const UNFINISHED_PREFIX: &str = "cluster.new.";

/// Leaves a cluster of the installation's version in the home, new or found.
pub(super) async fn ensure_cluster(installation: &Installation, home: &Home) -> Result<(), PostgresError> {
    remove_unfinished(home.dir()).map_err(file_error("remove half a cluster in", home.dir()))?;
    match fs::read_to_string(home.cluster_dir().join("PG_VERSION")) {
        Ok(found) => check_major(installation, home, found.trim()),
        Err(_) => create(installation, home).await,
    }
}

async fn create(installation: &Installation, home: &Home) -> Result<(), PostgresError> {
    // Another name each time: the initdb of a killed process may still be writing to the one before.
    let unfinished = home
        .dir()
        .join(format!("{UNFINISHED_PREFIX}{:08x}", rand::random::<u32>()));
    run_initdb(installation, home, &unfinished).await?;
    let cluster_dir = home.cluster_dir();
    fs::rename(&unfinished, &cluster_dir).map_err(file_error("put in place", &cluster_dir))?;
    // A rename is on the disk only when its directory is.
    let flushed = File::open(home.dir()).and_then(|dir| dir.sync_all());
    flushed.map_err(file_error("flush", home.dir()))
}

async fn run_initdb(installation: &Installation, home: &Home, into: &Path) -> Result<(), PostgresError> {
    let initdb = installation.program("initdb");
    let mut command = installation.command(&initdb);
    command.args(["-A", "trust", "--no-locale", "-E", "UTF8", "-k", "-U", SUPERUSER]);
    match home.keep() {
        Keep::Durable => {}
        Keep::ThrowAway => _ = command.arg("--no-sync"),
    }
    command.arg("-D").arg(into);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    run_as_server(&mut command, home);
    let output = command.output().await;
    let output = output.map_err(|source| PostgresError::Program {
        program: initdb,
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(PostgresError::Initdb {
        output: last_lines(&text),
    })
}

fn check_major(installation: &Installation, home: &Home, found: &str) -> Result<(), PostgresError> {
    if found == installation.major().to_string() {
        return Ok(());
    }
    Err(PostgresError::OtherMajor {
        found: found.to_owned(),
        installed: installation.major(),
        data_dir: home.dir().to_owned(),
        bin_dir: installation.bin_dir().to_owned(),
    })
}

fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
