//! `--version` names what the program was built from: the build script, as a program of its own.

use std::path::Path;
use std::process::Command;

use crate::support::programs::file;
use crate::support::tool;

/// What the build script tells the program, in a directory and with these variables.
fn built(script: &Path, directory: &Path, variables: &[(&str, &str)]) -> String {
    let output = Command::new(script)
        .current_dir(directory)
        .env_remove("AGENT_WEBSOCKET_COMMIT")
        // Not the repository that the temporary directory may be in.
        .env("GIT_CEILING_DIRECTORIES", directory.parent().unwrap())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", tool::printed(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let told = text
        .lines()
        .find_map(|line| line.strip_prefix("cargo::rustc-env=AGENT_WEBSOCKET_BUILD="));
    told.unwrap().to_owned()
}

#[test]
fn a_build_names_its_commit_or_says_that_it_does_not_know() {
    let (Some(rustc), Some(git)) = (tool::find("rustc"), tool::find("git")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    let build = file("build.rs");
    tool::run(
        Command::new(rustc)
            .args(["--edition=2024", "-Adead_code", "-o"])
            .args([&script, &build]),
        "",
    );
    let work = folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let release = ("PROFILE", "release");
    assert_eq!(built(&script, &work, &[release]), "commit unknown");
    assert_eq!(
        built(&script, &work, &[release, ("AGENT_WEBSOCKET_COMMIT", "abc")]),
        "commit abc"
    );
    assert_eq!(built(&script, &work, &[("PROFILE", "debug")]), "debug build");

    let git = |arguments: &[&str]| {
        let mut command = Command::new(&git);
        command
            .current_dir(&work)
            .args(["-c", "user.name=T", "-c", "user.email=t@example.com"]);
        tool::run(command.args(arguments), "")
    };
    git(&["init", "--quiet"]);
    std::fs::write(work.join("file"), "one").unwrap();
    git(&["add", "file"]);
    git(&["commit", "--quiet", "--message=One"]);
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(
        built(&script, &work, &[release]),
        format!("commit {}", commit.trim())
    );
    std::fs::write(work.join("file"), "two").unwrap();
    assert_eq!(
        built(&script, &work, &[release]),
        format!("commit {}-dirty", commit.trim())
    );
}
