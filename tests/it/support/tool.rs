//! Programs of others that check what operators are given: promtool, nginx, Caddy and such.
//!
//! `.ci/run` installs them and sets `TOOLS_REQUIRED`. Without that, what needs one that is missing is not checked, and says so
//! past the test runner's capture.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::database::environment;

/// Where a program is. `None`: it is not installed, and need not be.
///
/// # Panics
/// When it is missing and has to be there.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = environment("PATH").unwrap_or_default();
    // Servers are where an ordinary user's PATH does not look.
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/sbin"]);
    let found = folders
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        let is_required = environment("TOOLS_REQUIRED").is_some();
        assert!(!is_required, "{name} should be installed");
        // Not by eprintln!, which is shown only of a test that fails.
        writeln!(
            std::io::stderr(),
            "!!! NOT CHECKED: what {name} checks, which is not installed"
        )
        .unwrap();
    }
    found
}

/// What a program printed, on both outputs.
pub(crate) fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a program to its end, which must be a good one; with something on its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = printed(&output);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}
