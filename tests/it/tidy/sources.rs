//! What every source file has, and what none may have.

use super::{none, read, sources};

const MAX_LINES: usize = 400;

/// Longer files that are meant, each with its reason.
const LONG: [(&str, &str); 0] = [];

const VAGUE: [&str; 6] = ["utils", "common", "helpers", "models", "types", "misc"];

/// What is left for later, in pieces so that this file does not hold it.
const LEFT: [&str; 5] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
];

#[test]
fn every_file_says_what_it_is() {
    let files = sources("src", "rs").into_iter().chain(sources("tests", "rs"));
    let faults: Vec<String> = files
        // Of tests beside the code the code itself says what they are about.
        .filter(|source| {
            !(source.text.starts_with("//! ") || source.is_test() && source.path.starts_with("src/"))
        })
        .map(|source| source.path)
        .collect();
    none(
        &faults,
        "A file opens with `//!`: what it owns, what it refuses, who calls it",
    );
}

#[test]
fn files_stay_short() {
    let files = sources("src", "rs");
    let mut faults: Vec<String> = files
        .iter()
        .filter(|source| !source.is_test())
        .map(|source| (source.path.as_str(), source.text.lines().count()))
        .filter(|(path, lines)| *lines > MAX_LINES && LONG.iter().all(|(long, _)| long != path))
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    for (long, _) in LONG {
        let lines = read(long).lines().count();
        if lines <= MAX_LINES {
            faults.push(format!("{long}: {lines} lines need no exception"));
        }
    }
    none(&faults, "Above 400 lines a type is missing");
}

#[test]
fn names_say_what_is_inside() {
    let files = sources("src", "rs").into_iter().chain(sources("tests", "rs"));
    let faults: Vec<String> = files
        .map(|source| source.path)
        .filter(|path| {
            let mut parts = path.trim_end_matches(".rs").split('/');
            path.ends_with("/mod.rs") || parts.any(|part| VAGUE.contains(&part))
        })
        .collect();
    none(&faults, "No mod.rs, and no name that fits everything");
}

#[test]
fn nothing_is_left_for_later() {
    let mut faults = Vec::new();
    let code = sources("src", "rs").into_iter().chain(sources("tests", "rs"));
    for source in code.chain(sources("migrations", "sql")) {
        for (index, line) in source.text.lines().enumerate() {
            for word in LEFT.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}:{}: {word}", source.path, index + 1));
            }
        }
    }
    none(&faults, "Nothing is left for later, and no test is skipped");
}

#[test]
fn each_dependency_has_its_reason() {
    let manifest = read("Cargo.toml");
    let mut faults = Vec::new();
    let mut inside = false;
    let mut reason = false;
    let mut found = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.starts_with('#') {
            reason = true;
        } else if inside && line.contains('=') {
            found += 1;
            if !reason {
                faults.push(line.to_owned());
            }
            reason = false;
        }
    }
    assert!(found > 10, "the manifest's dependencies were not found");
    none(&faults, "A direct dependency has its reason on the line above it");
}

#[test]
fn each_exception_to_what_may_come_into_the_build_has_its_reason() {
    let rules = read("deny.toml");
    let mut faults = Vec::new();
    let mut found = 0;
    let mut inside = false;
    let mut reason = false;
    for line in rules.lines().map(str::trim) {
        if ["exceptions", "ignore", "skip", "skip-tree", "deny", "allow-git"]
            .iter()
            .any(|list| line.starts_with(&format!("{list} = [")))
        {
            inside = true;
        } else if line.starts_with(']') {
            inside = false;
        } else if line.starts_with('#') {
            reason = true;
            continue;
        } else if inside && !line.is_empty() {
            found += 1;
            if !reason && !line.contains("reason = ") {
                faults.push(line.to_owned());
            }
        }
        reason = false;
    }
    assert!(found >= 3, "the exceptions of deny.toml were not found");
    none(
        &faults,
        "An exception in deny.toml has its reason, in it or on the line above it",
    );
}
