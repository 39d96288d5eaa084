//! The program's own commands in the documents and in its help: its parser takes each, so that no option outlives itself there.

use agent_websocket::cli::Cli;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::blocks::all;
use super::documents::DOCUMENTS;
use super::{none, read};

/// How the program is called, installed or from its sources.
const CALLS: [&str; 3] = ["agent-websocket ", "cargo run -- ", "cargo run --quiet -- "];

/// The words of a command, as a shell splits them: up to what ends it, without redirections. Quotes go, what is in them stays one word.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut started) = (Vec::new(), String::new(), None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => (quote, started) = (Some(c), true),
            (None, '|' | ';' | '&' | ')' | '\n' | '>' | '<') => break,
            (None, '#') if !started => break,
            (None, c) if c.is_whitespace() => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            (_, c) => {
                word.push(c);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

/// The program's commands in a text: their words without the program's name.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for call in CALLS {
        for (at, _) in text.match_indices(call) {
            // A word of its own, which no comment explains.
            let before = &text[..at];
            let line = before.rsplit('\n').next().unwrap_or_default();
            let begins = before.is_empty() || before.ends_with([' ', '\n', '(', '\t']);
            if begins && !line.trim_start().starts_with('#') && !line.contains(" # ") {
                found.push(words(&text[at + call.len()..]));
            }
        }
    }
    found
}

/// What the parser says of a command; nothing if it takes it, or if it is to print help.
fn complaint(words: &[String]) -> Option<clap::Error> {
    let program = std::iter::once("agent-websocket");
    let error = Cli::try_parse_from(program.chain(words.iter().map(String::as_str))).err()?;
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!is_help).then_some(error)
}

/// The same for a command that is only mentioned: what it needs may be left out.
fn complaint_about_mention(words: &[String]) -> Option<clap::Error> {
    complaint(words).filter(|error| error.kind() != ErrorKind::MissingRequiredArgument)
}

/// What stands between backticks in a text's paragraphs, outside of its blocks: it may go on in the next line.
fn mentions(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut outside = String::new();
    for line in text.lines() {
        in_block ^= line.trim_start().starts_with("```");
        let is_text = !in_block && !line.trim_start().starts_with("```") && !line.is_empty();
        outside.push_str(if is_text { line } else { "\n" });
        outside.push(' ');
    }
    outside
        .lines()
        .flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2))
        .filter(|code| CALLS.iter().any(|call| code.starts_with(call)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_in_a_document_is_one_that_the_program_takes() {
    let mut faults = Vec::new();
    let mut found = 0;
    for block in all() {
        for words in block.shell().iter().flat_map(|text| commands(text)) {
            found += 1;
            faults.extend(complaint(&words).map(|error| format!("{}: {words:?}: {error}", block.place())));
        }
    }
    for document in DOCUMENTS {
        let text = read(document);
        for words in mentions(&text).iter().flat_map(|mention| commands(mention)) {
            found += 1;
            faults.extend(
                complaint_about_mention(&words).map(|error| format!("{document}: {words:?}: {error}")),
            );
        }
    }
    none(&faults, "A document has a command that the program refuses");
    assert!(found > 50, "only {found} commands were found");
}

#[test]
fn every_example_in_the_help_is_a_command_that_the_program_takes() {
    let mut faults = Vec::new();
    let mut found = 0;
    let program = Cli::command();
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        let examples = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        for words in commands(&examples) {
            found += 1;
            faults.extend(complaint(&words).map(|error| format!("{words:?}: {error}")));
        }
    }
    none(&faults, "The help has an example that the program refuses");
    assert!(found > 15, "only {found} examples were found");
}

#[test]
fn the_commands_test_sees_commands_as_a_shell_does() {
    let text = "DATABASE_URL=x agent-websocket migrate\ncurl -H \"Bearer $(agent-websocket token u_1)\" x\n\
                echo 'a' | agent-websocket chat > answer.txt   # agent-websocket nothing\nagent-websocket notify u 'two words' && ls\n";
    let expected: [&[&str]; 4] = [
        &["migrate"],
        &["token", "u_1"],
        &["chat"],
        &["notify", "u", "two words"],
    ];
    assert_eq!(commands(text), expected);
    let takes = |text: &str| commands(text).iter().all(|words| complaint(words).is_none());
    assert!(takes("cargo run -- token u_1 --scope agent:notify"));
    assert!(!takes("cargo run -- token --sub u_1"));
    assert!(!takes("agent-websocket notify"));
    assert_eq!(
        mentions("`agent-websocket bench --publish\ndocs` and\n```sh\n`agent-websocket x`\n```\n`ls`"),
        ["agent-websocket bench --publish docs"]
    );
}
