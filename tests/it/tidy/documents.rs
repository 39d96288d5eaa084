//! The documents' tables against the code: settings, commands, codes, and the paths that they name.

use std::collections::BTreeSet;
use std::fmt::Write;

use agent_websocket::config::SECTIONS;
use agent_websocket::protocol::client::COMMANDS;
use agent_websocket::protocol::close::CloseReason;
use agent_websocket::protocol::error::ErrorCode;

use super::{none, read, root};

/// Folders that hold what others wrote, or what was built.
const NOT_OURS: [&str; 3] = ["node_modules", "target", "dist"];

/// Every page for people.
pub(super) const DOCUMENTS: [&str; 34] = [
    "README.md",
    "ARCHITECTURE.md",
    "PROTOCOL.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "migrations/README.md",
    "tests/fixtures/previous/README.md",
    "clients/typescript/README.md",
    "SECURITY.md",
    "docs/concepts.md",
    "docs/troubleshooting.md",
    "docs/reliability.md",
    "docs/sql.md",
    "docs/tokens.md",
    "docs/benchmarks.md",
    "docs/performance.md",
    "docs/metrics.md",
    "docs/operations.md",
    "docs/deploy.md",
    "docs/upgrading.md",
    "docs/check.md",
    "docs/conformance.md",
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

/// Variables that documents name and that are no settings: of clients and examples, of tests and scripts, of Compose and psql, and
/// such as a document sets for itself.
const OTHER_VARIABLES: [&str; 19] = [
    "AGENT_TOKEN",
    "AGENT_URL",
    "AGENT_WEBSOCKET_SERVICE_TOKEN",
    "AGENT_WEBSOCKET_TOKEN",
    "CANCEL_RACES",
    "CHAOS_SEED",
    "CHAOS_SEEDS",
    "LIFECYCLE_DEPTH",
    "NOTIFY_SECRET",
    "ON_ERROR_STOP",
    "PGOPTIONS",
    "POSTGRES_PASSWORD",
    "PROXY_SECONDS",
    "PROXY_SOCKETS",
    "ROLLING_CLIENTS",
    "SEARCH_MESSAGES",
    "SESSION",
    "SUPABASE_DB_URL",
    "TOKEN",
];

/// The variables of a text: what it gives a value, and words of capitals with an underscore between backticks.
fn variables(text: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let given = text
        .split_whitespace()
        .filter_map(|word| Some(word.trim_start_matches(['`', '(']).split_once('=')?.0));
    let quoted = text
        .split('`')
        .filter(|word| word.contains('_') && !word.ends_with('_'));
    given.filter(is_name).chain(quoted.filter(is_name)).collect()
}

#[test]
fn every_variable_that_a_document_names_is_a_setting_or_known_as_another() {
    let settings: BTreeSet<&str> = SECTIONS
        .iter()
        .flat_map(|section| section.settings.iter().map(|setting| setting.name))
        .collect();
    let mut others = BTreeSet::new();
    let mut faults = Vec::new();
    // What a changelog names may be gone.
    for document in DOCUMENTS.iter().filter(|document| **document != "CHANGELOG.md") {
        for name in variables(&read(document))
            .iter()
            .filter(|name| !settings.contains(*name))
        {
            match OTHER_VARIABLES.iter().find(|known| *known == name) {
                Some(known) => drop(others.insert(*known)),
                None => faults.push(format!("{document}: {name}")),
            }
        }
    }
    none(&faults, "A document names a setting that there is not");
    assert_eq!(
        others,
        OTHER_VARIABLES.into(),
        "OTHER_VARIABLES has more than is named"
    );
}

#[test]
fn a_variable_is_seen_where_it_is_set_and_where_it_is_named() {
    let text = "`MAX_ROWS`, (`LIMIT=5`) and\n```sh\nexport A_URL=x OTHER=y\nz=1 --b=2\n```\nA plain WORD_HERE, an `ALONE`, `select`.";
    assert_eq!(variables(text), ["A_URL", "LIMIT", "MAX_ROWS", "OTHER"].into());
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = read("README.md");
    let missing: Vec<String> = DOCUMENTS
        .iter()
        .filter(|document| document.starts_with("docs/") && !readme.contains(&format!("]({document}")))
        .map(|document| (*document).to_owned())
        .collect();
    none(&missing, "README.md links no page");
}

#[test]
fn the_architecture_stays_short() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(
        lines <= 150,
        "ARCHITECTURE.md has {lines} lines: the map is to be read in one sitting"
    );
}

/// What a link to a heading says behind its `#`: as GitHub makes it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The headings of a page, as links name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_block = false;
    text.lines()
        .filter(|line| {
            in_block ^= line.trim_start().starts_with("```");
            !in_block && line.starts_with('#')
        })
        .map(anchor)
        .collect()
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
            .filter(|link| !link.starts_with("http"));
        for link in links {
            found += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root().join(document)
            } else {
                folder.join(path)
            };
            if !target.exists() {
                faults.push(format!("{document}: {link}"));
            } else if !heading.is_empty() {
                let page = std::fs::read_to_string(&target).unwrap_or_default();
                if !anchors(&page).contains(heading) {
                    faults.push(format!("{document}: {link} has no such heading"));
                }
            }
        }
        let paths = text.split('`').skip(1).step_by(2).filter(|word| {
            ["src/", "tests/", "migrations/", "scripts/", ".ci/"]
                .iter()
                .any(|start| word.starts_with(start))
        });
        for path in paths.filter_map(|word| word.split(' ').next()) {
            found += 1;
            if !root().join(path).exists() {
                faults.push(format!("{document}: {path}"));
            }
        }
    }
    none(&faults, "A document names what is not there");
    assert!(found > 100, "the documents' paths were not found");
}

#[test]
fn a_links_heading_is_named_as_it_is_shown() {
    let page = "# `dev` does not start\n```sh\n# no heading\n```\n### Errors, and *codes* (all)\n";
    let expected = ["dev-does-not-start", "errors-and-codes-all"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}

#[test]
fn every_page_is_among_the_documents() {
    let mut pages = BTreeSet::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of it").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && !name.starts_with('.') && !NOT_OURS.contains(&name.as_str()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let path = path.strip_prefix(root()).expect("under the root");
                pages.insert(path.to_string_lossy().into_owned());
            }
        }
    }
    assert_eq!(pages, DOCUMENTS.map(str::to_owned).into());
}
