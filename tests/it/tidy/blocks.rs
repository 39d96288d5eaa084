//! The blocks of code in the documents, and the mark above each that says what runs it.
//!
//! A mark is a comment, on the line before the block, which no reader of the page sees:
//!
//! - `<!-- run: tests/it/sql/cookbook.rs; as: agent_app; returns nothing -->`: that test runs it, with what else it has to know;
//! - `<!-- not run: why -->`: nothing does, and why not;
//! - `<!-- from: path -->`: it stands in that file, which a test runs ([`super::snippets`]).
//!
//! Here it is checked that whatever people would paste has one, and that it is true. The tests that run blocks take them from
//! [`run_by`].

use std::path::Path;

use super::documents::DOCUMENTS;
use super::{none, read, root};

/// Languages of what people paste into a shell.
const SHELL: [&str; 3] = ["sh", "bash", "console"];

/// A fenced block of a document.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The document.
    pub(crate) document: &'static str,
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// The first word behind the fence.
    pub(crate) language: String,
    /// What the line above says between `<!--` and `-->`.
    mark: String,
    /// What is in it, each line with its break.
    pub(crate) code: String,
}

impl Block {
    /// What stands behind a word and a colon in the mark, up to a semicolon where there may be more.
    fn says(&self, word: &str) -> Option<&str> {
        let rest = self.mark.strip_prefix(word)?.strip_prefix(": ")?;
        Some(if word == "run" {
            rest.split(';').next()?
        } else {
            rest
        })
    }

    /// What else the mark has to say to the test that runs the block.
    pub(crate) fn options(&self) -> impl Iterator<Item = &str> {
        self.mark.split(';').skip(1).map(str::trim)
    }

    /// What a shell is given, if it is one's: of a `console` the lines behind its prompt, else all. A line that goes on is one.
    pub(crate) fn shell(&self) -> Option<String> {
        if !SHELL.contains(&self.language.as_str()) {
            return None;
        }
        let typed = |line: &str| -> Option<String> {
            match self.language.as_str() {
                "console" => line.trim_start().strip_prefix("$ ").map(str::to_owned),
                _ => Some(line.trim_start().to_owned()),
            }
        };
        let code = self.code.replace("\\\n", "");
        Some(code.lines().filter_map(typed).map(|line| line + "\n").collect())
    }

    /// Whether people would paste it: into a shell or a database.
    fn is_pasted(&self) -> bool {
        self.shell().is_some() || self.language == "sql"
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.document, self.line)
    }
}

/// The blocks of a document's text.
pub(crate) fn blocks(document: &'static str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    let mut before = "";
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        open = match (open, fence) {
            (None, Some(information)) => Some(Block {
                document,
                line: index + 1,
                language: information.split(' ').next().unwrap_or_default().to_owned(),
                mark: mark(before).unwrap_or_default().to_owned(),
                code: String::new(),
            }),
            (Some(block), Some(_)) => {
                found.push(block);
                None
            }
            (Some(mut block), None) => {
                block.code.push_str(line);
                block.code.push('\n');
                Some(block)
            }
            (None, None) => None,
        };
        before = line;
    }
    assert!(open.is_none(), "{document}: a block does not end");
    found
}

/// What a line says if it is a comment and nothing else.
fn mark(line: &str) -> Option<&str> {
    Some(line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim())
}

/// The blocks of all documents.
pub(crate) fn all() -> Vec<Block> {
    let documents = DOCUMENTS.iter();
    documents
        .flat_map(|document| blocks(document, &read(document)))
        .collect()
}

/// The blocks that a test claims to run, of these documents: it names them, so that who reads a mark finds the way.
pub(crate) fn run_by(test: &str, documents: &[&str]) -> Vec<Block> {
    let found: Vec<Block> = all()
        .into_iter()
        .filter(|block| block.says("run") == Some(test))
        .collect();
    for document in documents {
        assert!(
            found.iter().any(|block| block.document == *document),
            "{document} has nothing for {test}"
        );
    }
    for block in &found {
        assert!(
            documents.contains(&block.document),
            "{} is not run by {test}",
            block.place()
        );
    }
    found
}

/// What is wrong with a block's mark.
fn fault(block: &Block, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    if !block.is_pasted() {
        return None;
    }
    let place = block.place();
    match (block.says("run"), block.says("not run")) {
        (Some(runner), _) => match read(runner) {
            None => Some(format!("{place}: there is no {runner}")),
            Some(text) if !text.contains(block.document) => {
                Some(format!("{place}: {runner} does not know {}", block.document))
            }
            Some(_) => None,
        },
        (None, Some(why)) => why.is_empty().then(|| format!("{place}: why is it not run?")),
        (None, None) if block.says("from").is_some() => None,
        (None, None) => Some(format!("{place}: no mark says what runs it, or why nothing does")),
    }
}

#[test]
fn whatever_a_document_says_to_paste_is_run_by_a_test_or_says_why_not() {
    let read = |path: &str| {
        let is_test =
            path.starts_with("tests/") && Path::new(path).extension().is_some_and(|kind| kind == "rs");
        is_test
            .then(|| std::fs::read_to_string(root().join(path)).ok())
            .flatten()
    };
    let blocks = all();
    let faults: Vec<String> = blocks.iter().filter_map(|block| fault(block, read)).collect();
    none(&faults, "A block without a true mark");
    let run = blocks.iter().filter(|block| block.says("run").is_some()).count();
    assert!(run > 40, "only {run} blocks are run");
}

#[test]
fn the_marks_test_sees_a_missing_mark_a_missing_test_and_one_that_knows_nothing_of_the_page() {
    let of = |text: &str| {
        let read = |path: &str| (path == "tests/a.rs").then(|| "reads docs/a.md".to_owned());
        let faults = |document| {
            blocks(document, text)
                .iter()
                .filter(|block| fault(block, read).is_some())
                .count()
        };
        (faults("docs/a.md"), faults("docs/b.md"))
    };
    assert_eq!(of("<!-- run: tests/a.rs -->\n```sh\nls\n```\n"), (0, 1));
    assert_eq!(
        of("<!-- run: tests/a.rs; as: owner -->\n```sql\nSELECT 1;\n```\n"),
        (0, 1)
    );
    assert_eq!(
        of("<!-- not run: it costs money -->\n```console\n$ ls\n```\n"),
        (0, 0)
    );
    assert_eq!(of("```json\n{}\n```\n"), (0, 0));
    for text in [
        "```sh\nls\n```\n",
        "<!-- run -->\n```sh\nls\n```\n",
        "<!-- not run -->\n```sh\nls\n```\n",
        "<!-- not run:  -->\n```sh\nls\n```\n",
        "<!-- run: tests/b.rs -->\n```sh\nls\n```\n",
        "<!-- run: tests/a.rs -->\n\n```sh\nls\n```\n",
        "- a list\n\n  ```console\n  $ ls\n  ```\n",
    ] {
        assert_eq!(of(text), (1, 1), "{text}");
    }
}

#[test]
fn a_blocks_mark_says_what_its_test_has_to_know() {
    let text = "<!-- run: tests/a.rs; as: owner; returns nothing -->\n```sql\nSELECT 1;\n```\n";
    let found = blocks("docs/a.md", text);
    let block = found.first().expect("a block");
    assert_eq!(
        (block.line, block.language.as_str(), block.code.as_str()),
        (2, "sql", "SELECT 1;\n")
    );
    assert_eq!(
        block.options().collect::<Vec<_>>(),
        ["as: owner", "returns nothing"]
    );
    assert_eq!(block.says("run"), Some("tests/a.rs"));
}
