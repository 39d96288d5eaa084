//! Holds the house to its rules, and the documents to the code: layers, purity, sizes, names, examples, tables.
//!
//! Reads the sources as text, so it sees what a compiler does not mind. A rule with an exception names it, with the reason,
//! and fails too once the exception is needed no more.

pub(crate) mod blocks;
mod commands;
mod documents;
mod examples;
mod layers;
mod shown_by;
mod snippets;
mod sources;
mod specifications;
mod troubleshooting;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
struct Source {
    /// Its path from the repository's root, with `/`.
    path: String,
    /// What is in it.
    text: String,
}

impl Source {
    /// Its lines of code with their numbers: comments are left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether it holds tests only.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files with an extension under a folder.
fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of it").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|known| known == extension) {
                found.push(source(&path));
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} under {folder}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn source(path: &PathBuf) -> Source {
    let text = fs::read_to_string(path).expect("UTF-8");
    let path = path.strip_prefix(root()).expect("under the root");
    Source {
        path: path.to_string_lossy().replace('\\', "/"),
        text,
    }
}

/// Fails with all that was found, so that one run shows everything.
fn none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}
