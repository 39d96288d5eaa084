//! The documents' tables against the code: settings, commands, codes, and the paths that they name.

use std::collections::BTreeSet;
use std::fmt::Write;

use agent_websocket::config::SECTIONS;
use agent_websocket::protocol::client::COMMANDS;
use agent_websocket::protocol::close::CloseReason;
use agent_websocket::protocol::error::ErrorCode;

use super::{none, read, root};

const DOCUMENTS: [&str; 27] = [
    "README.md",
    "ARCHITECTURE.md",
    "PROTOCOL.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "migrations/README.md",
    "SECURITY.md",
    "docs/reliability.md",
    "docs/sql.md",
    "docs/tokens.md",
    "docs/benchmarks.md",
    "docs/performance.md",
    "docs/metrics.md",
    "docs/operations.md",
    "docs/deploy.md",
    "docs/scaling.md",
    "docs/supabase.md",
    "docs/console.md",
    "docs/clients.md",
    "examples/README.md",
    "examples/ai-sdk/README.md",
    "examples/html-page/README.md",
    "examples/node-service/README.md",
    "examples/notify/README.md",
    "examples/original-client/README.md",
    "examples/python/README.md",
    "examples/react-vite/README.md",
];

/// The cells of the tables' rows under a heading, up to the next heading of its rank.
pub(super) fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let rank = heading.split(' ').next().unwrap_or_default().to_owned() + " ";
    let section = text
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with(&rank));
    let rows: Vec<Vec<String>> = section
        .filter(|line| line.starts_with("| "))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "{document} has no table under {heading}");
    rows
}

/// What stands between backticks in a cell; nothing if there are none.
fn quoted(cell: &str) -> String {
    cell.split('`').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn the_protocol_names_every_close_code() {
    let documented: BTreeSet<(String, String)> = rows("PROTOCOL.md", "## Close codes")
        .into_iter()
        .filter(|row| row[1] != "code")
        .map(|row| (row[1].clone(), quoted(&row[2])))
        .collect();
    let known: BTreeSet<(String, String)> = CloseReason::ALL
        .iter()
        .map(|reason| (reason.code().to_string(), reason.reason().to_owned()))
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn the_protocol_names_every_error_code_and_whether_to_try_again() {
    let documented: BTreeSet<(String, bool)> = rows("PROTOCOL.md", "## Errors")
        .into_iter()
        .filter(|row| row[1] != "code")
        .map(|row| (quoted(&row[1]), row[2] == "yes"))
        .collect();
    let known: BTreeSet<(String, bool)> = ErrorCode::ALL
        .iter()
        .map(|code| (code.as_str().to_owned(), code.is_retryable()))
        .collect();
    assert_eq!(documented, known);
    // Nothing makes a list of variants complete but a look at the match that must be.
    let arms = read("src/protocol/error.rs").matches(" => \"").count();
    assert_eq!(arms, ErrorCode::ALL.len(), "ErrorCode::ALL lacks a variant");
}

#[test]
fn the_protocol_names_every_command() {
    let documented: Vec<String> = rows("PROTOCOL.md", "## Commands")
        .into_iter()
        .filter(|row| row[1] != "command")
        .map(|row| quoted(&row[1]))
        .collect();
    let known: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(documented, known);
}

/// The settings as the README shows them.
fn settings_table() -> String {
    let mut table = String::new();
    for section in SECTIONS {
        let _ = write!(
            table,
            "**{}**\n\n| variable | default | meaning |\n|---|---|---|\n",
            section.heading
        );
        for setting in section.settings {
            let default = match setting.default {
                "" => String::new(),
                text => format!("`{text}`"),
            };
            let unit = setting.unit.replace('|', "\\|");
            let _ = writeln!(
                table,
                "| `{}` | {default} | {} [{unit}] |",
                setting.name, setting.meaning
            );
        }
        table.push('\n');
    }
    table
}

#[test]
fn the_readme_shows_every_setting_as_it_is() {
    let readme = read("README.md");
    let expected = settings_table();
    let shown = readme
        .split_once("<!-- settings -->\n\n")
        .and_then(|(_, rest)| rest.split_once("<!-- /settings -->"))
        .map(|(table, _)| table);
    assert_eq!(
        shown,
        Some(expected.as_str()),
        "put this between the marks in README.md:\n\n{expected}"
    );
}

#[test]
fn the_architecture_stays_short() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(
        lines <= 150,
        "ARCHITECTURE.md has {lines} lines: the map is to be read in one sitting"
    );
}

#[test]
fn what_a_document_points_to_exists() {
    let mut faults = Vec::new();
    let mut found = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let folder = root().join(document);
        let folder = folder.parent().expect("the root");
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .filter(|link| !link.starts_with("http") && !link.starts_with('#'))
            .map(|link| folder.join(link.split('#').next().unwrap_or(link)));
        let paths = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| {
                ["src/", "tests/", "migrations/", "scripts/", ".ci/"]
                    .iter()
                    .any(|start| word.starts_with(start))
            })
            .map(|word| root().join(word));
        for path in links.chain(paths) {
            found += 1;
            if !path.exists() {
                faults.push(format!("{document}: {}", path.display()));
            }
        }
    }
    none(&faults, "A document names what is not there");
    assert!(found > 20, "the documents' paths were not found");
}
