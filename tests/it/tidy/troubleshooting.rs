//! docs/troubleshooting.md against the program: every code, limit, cause and log line has its entry, and every message that it
//! quotes is one that the program can say.

use std::collections::BTreeSet;

use agent_websocket::auth::AuthError;
use agent_websocket::metrics::LIMITS;
use agent_websocket::protocol::close::CloseReason;
use agent_websocket::protocol::error::ErrorCode;

use super::documents::rows;
use super::{none, read, sources};

const PAGE: &str = "docs/troubleshooting.md";

/// A socket that ended without a close frame: no code of ours, and the name that logs and metrics have for it.
const CUT: (&str, &str) = ("1006", "gone");

/// All that stands between backticks in a cell.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// What the cells of a column have between backticks, of the rows of a table.
fn column(heading: &str, column: usize) -> BTreeSet<String> {
    let rows = rows(PAGE, heading);
    let cells = rows.iter().flat_map(|row| quoted(&row[column]));
    cells.map(str::to_owned).collect()
}

/// A text with every run of white space as one blank, and the breaks of Rust's literals taken out.
fn flat(text: &str) -> String {
    let joined = text.replace("\\\n", " ");
    joined.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text up to the bracket that closes a call; brackets in literals are text.
fn arguments(call: &str) -> &str {
    let (mut depth, mut in_literal, mut escaped) = (1, false, false);
    for (at, c) in call.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_literal = !in_literal,
            '(' if !in_literal => depth += 1,
            ')' if !in_literal => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &call[..at];
        }
    }
    panic!("a call does not end: {call}")
}

/// The messages of the warnings and errors in a source: of each call the last literal.
fn warnings(text: &str) -> Vec<String> {
    let calls = ["tracing::warn!(", "tracing::error!("];
    let calls = calls.iter().flat_map(|call| text.split(call).skip(1));
    calls
        .map(|call| flat(arguments(call).rsplit('"').nth(1).unwrap_or_default()))
        .collect()
}

#[test]
fn every_close_code_has_its_row_under_its_name_in_the_log() {
    let documented: BTreeSet<(String, String)> = rows(PAGE, "## Close codes")
        .into_iter()
        .filter(|row| row[1] != "code")
        .map(|row| (row[1].clone(), quoted(&row[2]).collect()))
        .collect();
    let known: BTreeSet<(String, String)> = CloseReason::ALL
        .iter()
        .map(|reason| (reason.code().to_string(), reason.label().to_owned()))
        .chain([(CUT.0.to_owned(), CUT.1.to_owned())])
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn every_error_code_has_its_row() {
    let known: BTreeSet<String> = ErrorCode::ALL
        .iter()
        .map(|code| code.as_str().to_owned())
        .collect();
    assert_eq!(column("## Error codes", 1), known);
}

#[test]
fn every_reason_to_refuse_a_token_has_its_row() {
    let known: BTreeSet<String> = AuthError::ALL
        .iter()
        .map(|error| error.label().to_owned())
        .collect();
    assert_eq!(column("## Tokens are refused", 1), known);
}

#[test]
fn every_limit_has_its_row() {
    let known: BTreeSet<String> = LIMITS.iter().map(|&limit| limit.to_owned()).collect();
    assert_eq!(column("## Limits and budgets", 1), known);
}

#[test]
fn every_cause_that_check_names_has_its_row() {
    let bold =
        |text: &str| -> BTreeSet<String> { text.split("**").skip(1).step_by(2).map(str::to_owned).collect() };
    let check = read("docs/check.md");
    let explained = bold(check.split_once("## Likely causes").expect("the section").1);
    let rows = rows(PAGE, "## `check` names a cause");
    let named: BTreeSet<String> = rows.iter().flat_map(|row| bold(&row[1])).collect();
    assert!(explained.len() > 10);
    assert_eq!(named, explained);
}

#[test]
fn every_warning_and_error_of_the_log_has_its_row() {
    let known: BTreeSet<String> = sources("src", "rs")
        .iter()
        .filter(|source| !source.is_test() && !source.path.starts_with("src/bench/"))
        .flat_map(|source| warnings(&source.text))
        .collect();
    assert!(known.len() > 30, "the log's lines were not found");
    assert_eq!(column("## Log lines", 1), known);
}

#[test]
fn every_message_that_the_page_quotes_can_be_said() {
    let program: String = sources("src", "rs")
        .iter()
        .map(|source| flat(&source.text))
        .collect();
    let mut faults = Vec::new();
    for heading in [
        "## `dev` does not start",
        "## `serve` does not start",
        "## `migrate` fails",
        "## Other commands fail",
    ] {
        for message in column(heading, 1) {
            // What sqlx says is its own.
            if !program.contains(&message) && !message.starts_with("pool timed out") {
                faults.push(format!("{heading}: {message}"));
            }
        }
    }
    none(&faults, "docs/troubleshooting.md quotes what nothing says");
}

#[test]
fn the_log_test_sees_each_form_of_a_call() {
    let text = r#"
        Err(error) => tracing::error!(error = %error, "one (of two)"),
        tracing::warn!(
            path = %path.display(),
            "three \
             four"
        );
    "#;
    assert_eq!(warnings(text), ["three four", "one (of two)"]);
}
