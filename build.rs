//! What the build knows and the code does not: the commit that it is built from, for `--version`.
//!
//! `AGENT_WEBSOCKET_COMMIT` says it where there is no git, as in a container's build. Else git says it, for release builds
//! only: a development build would be made anew after each commit, and is never asked in earnest.

use std::path::Path;
use std::process::Command;

fn main() {
    // sqlx's macro embeds the files that there are, and does not see a new one.
    for changed in ["build.rs", "migrations"] {
        println!("cargo::rerun-if-changed={changed}");
    }
    println!("cargo::rerun-if-env-changed=AGENT_WEBSOCKET_COMMIT");
    let is_release = variable("PROFILE").as_deref() == Some("release");
    if is_release {
        for file in head_files() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    let build = match variable("AGENT_WEBSOCKET_COMMIT") {
        Some(commit) => format!("commit {commit}"),
        None if is_release => format!("commit {}", commit().unwrap_or_else(|| "unknown".to_owned())),
        None => "debug build".to_owned(),
    };
    println!("cargo::rustc-env=AGENT_WEBSOCKET_BUILD={build}");
}

/// A variable that is set to something.
#[expect(
    clippy::disallowed_methods,
    reason = "a build script is told everything by its environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The commit, marked if files differ from it.
fn commit() -> Option<String> {
    git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}

/// The files that change with the commit.
fn head_files() -> Vec<String> {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    ["HEAD"]
        .into_iter()
        .chain(branch.as_deref())
        .filter_map(|name| git(&["rev-parse", "--git-path", name]))
        .filter(|file| Path::new(file).exists())
        .collect()
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
