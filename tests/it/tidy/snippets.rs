//! The code that docs/clients.md shows, against the programs that it was taken from, which other tests run.

use std::fmt::Write;

use super::{none, read};

const DOCUMENT: &str = "docs/clients.md";

/// A block of code in a document, and the line above it.
struct Snippet {
    mark: String,
    lines: Vec<String>,
}

fn snippets(text: &str) -> Vec<Snippet> {
    let mut found = Vec::new();
    let mut above = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let inside = lines.by_ref().take_while(|line| !line.starts_with("```"));
            found.push(Snippet {
                mark: above.to_owned(),
                lines: inside.map(|line| line.trim().to_owned()).collect(),
            });
        }
        above = line;
    }
    found
}

/// What a mark says in its place, such as the path in `<!-- from: path -->`.
fn marked<'a>(mark: &'a str, kind: &str) -> Option<&'a str> {
    mark.strip_prefix("<!-- ")?
        .strip_prefix(kind)?
        .strip_prefix(": ")?
        .strip_suffix(" -->")
}

/// Whether these lines follow each other in a text, however far they are indented there.
fn holds(text: &str, lines: &[String]) -> bool {
    let text: Vec<&str> = text.lines().map(str::trim).collect();
    !lines.is_empty() && text.windows(lines.len()).any(|window| window == lines)
}

/// What is wrong with the blocks of a document.
fn faults(document: &str, read: impl Fn(&str) -> String) -> Vec<String> {
    let mut faults = Vec::new();
    for snippet in snippets(document) {
        let mut fault = String::new();
        if let Some(path) = marked(&snippet.mark, "from") {
            if !holds(&read(path), &snippet.lines) {
                let _ = write!(fault, "{path} does not hold");
            }
        } else if marked(&snippet.mark, "not run").is_none() {
            let _ = write!(fault, "no mark says where it is from, or why it is not run:");
        }
        if !fault.is_empty() {
            let _ = write!(fault, " {:?}", snippet.lines);
            faults.push(fault);
        }
    }
    faults
}

#[test]
fn the_code_in_the_clients_document_stands_in_a_program_that_a_test_runs() {
    let document = read(DOCUMENT);
    none(&faults(&document, read), "docs/clients.md shows other code");
    let run = snippets(&document);
    let run = run
        .iter()
        .filter(|snippet| marked(&snippet.mark, "from").is_some());
    assert!(run.count() >= 6, "the blocks were not found");
}

#[test]
fn the_snippets_test_sees_a_changed_line_a_gap_and_a_missing_mark() {
    let document = |mark: &str, code: &str| format!("{mark}\n```js\n{code}\n```\n");
    let of = |document: String| faults(&document, |_| "  one();\n  two();\n  three();\n".to_owned()).len();
    let mark = "<!-- from: a.js -->";
    assert_eq!(of(document(mark, "one();\n  two();")), 0);
    assert_eq!(of(document("<!-- not run: it costs money -->", "four();")), 0);
    for (mark, code) in [
        (mark, "one();\nthree();"),
        (mark, "one()"),
        (mark, ""),
        ("", "one();"),
        ("<!-- not run -->", "one();"),
    ] {
        assert_eq!(of(document(mark, code)), 1, "{mark} {code}");
    }
}
