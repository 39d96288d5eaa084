//! The tables that say which test shows what: of SECURITY.md and docs/reliability.md. Each test that they name is there.

use super::documents::rows;
use super::{none, read, root};

/// Whether `cargo test` finds something by this name: a path of modules and a function, or a module of tests.
fn is_a_test(name: &str) -> bool {
    let path = name.replace("::", "/");
    if root().join(format!("src/{path}.rs")).exists() {
        return true;
    }
    let Some((modules, function)) = path.rsplit_once('/') else {
        return false;
    };
    // Tests of a file of the library are below it, or in it.
    let inline = modules.strip_suffix("/tests").unwrap_or(modules);
    ["tests/it/", "src/"]
        .iter()
        .flat_map(|folder| [format!("{folder}{modules}.rs"), format!("{folder}{inline}.rs")])
        .filter(|file| root().join(file).exists())
        .any(|file| holds_test(&read(&file), function))
}

/// Whether a source has a function of this name that is marked as a test.
fn holds_test(source: &str, function: &str) -> bool {
    let mut marked = false;
    source.lines().map(str::trim_start).any(|line| {
        let is_it = marked && line.contains(&format!("fn {function}("));
        marked = line.starts_with("#[test]")
            || line.starts_with("#[tokio::test")
            || (marked && line.starts_with("#["));
        is_it
    })
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_threat_names_the_tests_that_show_its_defence() {
    let threats: Vec<Vec<String>> = rows("SECURITY.md", "## Threats")
        .into_iter()
        .filter(|row| row[1].starts_with('T'))
        .collect();
    let numbers: Vec<&str> = threats.iter().map(|row| row[1].as_str()).collect();
    let expected: Vec<String> = (1..=29).map(|number| format!("T{number}")).collect();
    assert_eq!(numbers, expected);
    let mut faults = Vec::new();
    for row in &threats {
        let names: Vec<&str> = quoted(&row[4]).collect();
        if names.is_empty() {
            faults.push(format!("{}: no test", row[1]));
        }
        let missing = names.into_iter().filter(|name| !is_a_test(name));
        faults.extend(missing.map(|name| format!("{}: {name}", row[1])));
    }
    none(&faults, "SECURITY.md names tests that there are");
}

#[test]
fn the_page_about_reliability_names_tests_that_there_are() {
    let page = read("docs/reliability.md");
    let is_name = |word: &&str| word.contains("::") && !word.contains(' ') && !word.ends_with("::");
    let names: Vec<&str> = quoted(&page).filter(is_name).collect();
    assert!(names.len() > 20, "the page's tests were not found");
    let faults: Vec<String> = names
        .into_iter()
        .filter(|name| !is_a_test(name))
        .map(str::to_owned)
        .collect();
    none(&faults, "docs/reliability.md names tests that there are");
}

#[test]
fn the_search_for_tests_sees_what_is_none() {
    assert!(is_a_test(
        "tidy::shown_by::the_search_for_tests_sees_what_is_none"
    ));
    assert!(!is_a_test("tidy::shown_by::is_a_test"));
    assert!(!is_a_test(
        "tidy::nowhere::the_search_for_tests_sees_what_is_none"
    ));
    assert!(!is_a_test("the_search_for_tests_sees_what_is_none"));
}
