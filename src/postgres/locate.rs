//! Finds Postgres's own programs: PATH first, because that is where a person says which one they mean, then what
//! `pg_config` tells, then the places where packages put them. Refuses versions that are too old. Takes the
//! environment as a function, so that only `config` reads the real one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account;
use super::advice::{self, Invoker};
use super::error::PostgresError;

/// The oldest major version whose features the schema may use.
const OLDEST_MAJOR: u32 = 15;

/// What the server's processes may see of this process's environment. All else stays out: `PGPORT`, `PGDATA` or
/// `PGOPTIONS` would change the server, and API keys are none of its business.
const PASSED_ON: [&str; 4] = ["PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// Where packages put the programs: a directory, how the names in it begin before the major version, and the
/// rest of the path. Debian, PGDG on Fedora and RHEL, SUSE, Alpine, Homebrew (ARM, Intel), Postgres.app.
const VERSIONED_PLACES: [(&str, &str, &str); 7] = [
    ("usr/lib/postgresql", "", "bin"),
    ("usr", "pgsql-", "bin"),
    ("usr/lib", "postgresql", "bin"),
    ("usr/libexec", "postgresql", ""),
    ("opt/homebrew/opt", "postgresql@", "bin"),
    ("usr/local/opt", "postgresql@", "bin"),
    ("Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Postgres's programs on this machine, and what of the environment they get to see.
#[derive(Debug, Clone)]
pub struct Installation {
    bin_dir: PathBuf,
    major: u32,
    environment: Vec<(&'static str, String)>,
}

impl Installation {
    /// Finds the programs. Runs `postgres --version` of each candidate, so it blocks for some milliseconds; call
    /// it while starting. `lookup` is the environment: `PATH` decides, `TMPDIR` is where throw-away clusters go.
    ///
    /// # Errors
    ///
    /// [`PostgresError::NotInstalled`] or [`PostgresError::TooOld`], both with the command that mends it.
    pub fn locate(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, PostgresError> {
        Self::locate_under(Path::new("/"), lookup)
    }

    /// As [`Self::locate`], with the usual places below `root`: tests build a file system of their own.
    pub(super) fn locate_under(
        root: &Path,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, PostgresError> {
        let path = lookup("PATH").unwrap_or_default();
        let mut newest_refused: Option<(u32, PathBuf)> = None;
        for bin_dir in candidates(root, &path) {
            match major_version(&bin_dir) {
                Some(major) if major >= OLDEST_MAJOR => {
                    let seen = |name| lookup(name).map(|value| (name, value));
                    let environment = PASSED_ON.into_iter().filter_map(seen).collect();
                    return Ok(Self {
                        bin_dir,
                        major,
                        environment,
                    });
                }
                Some(major)
                    if newest_refused
                        .as_ref()
                        .is_none_or(|(refused, _)| *refused < major) =>
                {
                    newest_refused = Some((major, bin_dir));
                }
                _ => {}
            }
        }
        Err(nothing_found(newest_refused))
    }

    /// The directory that holds `postgres`, `initdb` and their kin.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// Their major version.
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    pub(super) fn temp_dir(&self) -> &Path {
        let tmpdir = self
            .environment
            .iter()
            .find(|(name, value)| *name == "TMPDIR" && !value.is_empty());
        Path::new(tmpdir.map_or("/tmp", |(_, value)| value))
    }

    /// A command in the environment that the server's processes get: C locale, a neutral working directory, no
    /// terminal, nothing of ours.
    pub(super) fn command(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        command
    }
}

fn nothing_found(newest_refused: Option<(u32, PathBuf)>) -> PostgresError {
    // An unreadable or absent file is an unknown distribution, and the advice has words for that.
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let invoker = match account::effective_uid() {
        Ok(0) => Invoker::Root,
        _ => Invoker::Ordinary,
    };
    let advice = advice::install(std::env::consts::OS, &os_release, invoker);
    match newest_refused {
        Some((major, bin_dir)) => PostgresError::TooOld {
            major,
            needed: OLDEST_MAJOR,
            bin_dir,
            advice,
        },
        None => PostgresError::NotInstalled { advice },
    }
}

/// Directories that really hold both programs, in the order of preference.
fn candidates(root: &Path, path: &str) -> Vec<PathBuf> {
    let path_dirs = || path.split(':').filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let pg_config = path_dirs()
        .map(|dir| dir.join("pg_config"))
        .find(|file| file.is_file());
    let mut places: Vec<PathBuf> = path_dirs().collect();
    places.extend(
        pg_config
            .and_then(|program| output_of(&program, "--bindir"))
            .map(PathBuf::from),
    );
    places.extend(usual_places(root));
    places.iter().filter_map(|dir| real_bin_dir(dir)).collect()
}

/// The usual places that exist below `root`, newest major version first within each.
pub(super) fn usual_places(root: &Path) -> Vec<PathBuf> {
    let versioned = VERSIONED_PLACES.iter().flat_map(|(parent, prefix, rest)| {
        let parent = root.join(parent);
        let mut majors = majors_in(&parent, prefix).unwrap_or_default();
        majors.sort_unstable_by(|a, b| b.cmp(a));
        majors
            .into_iter()
            .map(move |major| parent.join(format!("{prefix}{major}")).join(rest))
    });
    versioned.chain([root.join("usr/bin")]).collect()
}

fn majors_in(parent: &Path, prefix: &str) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(parent)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names
        .filter_map(|name| name.strip_prefix(prefix)?.parse().ok())
        .collect())
}

/// Follows a link such as `/usr/local/bin/postgres` to the directory where `initdb` and the libraries are too.
fn real_bin_dir(dir: &Path) -> Option<PathBuf> {
    let postgres = fs::canonicalize(dir.join("postgres")).ok()?;
    let bin_dir = postgres.parent()?;
    let complete = bin_dir.join("postgres").is_file() && bin_dir.join("initdb").is_file();
    complete.then(|| bin_dir.to_owned())
}

fn major_version(bin_dir: &Path) -> Option<u32> {
    parse_version(&output_of(&bin_dir.join("postgres"), "--version")?)
}

/// The major version in `postgres (PostgreSQL) 15.4 (Debian …)`, also of `18beta1` and `19devel`.
pub(super) fn parse_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn output_of(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
