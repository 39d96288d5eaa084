//! Puts an answer into words: what was asked, how often, and what was said before.
//!
//! Owns the text; pure and deterministic. Refuses to quote at length: a quoted quote must not grow with each turn.

use super::directives;
use crate::prompt::{ChatMessage, ChatRole};

const QUESTION_CHARS: usize = 200;
const EARLIER_CHARS: usize = 80;

const FILLER: &str = "To make this as long as you asked, I go on. Every word reaches you as soon as it is \
    written, and a copy of it is kept behind the scenes. Close this window now and open it again: the words that \
    you missed will be there, and those still to come will follow them.";

/// The last thing that the user said.
pub(super) fn last_question(messages: &[ChatMessage]) -> &str {
    said_by(messages, ChatRole::User).next_back().unwrap_or_default()
}

/// The answer as long as it gets by itself, cut into words that carry their own blanks.
pub(super) fn natural(question: &str, messages: &[ChatMessage]) -> Vec<String> {
    words(&answer(question, messages)).collect()
}

/// The answer cut or drawn out to exactly `length` words.
pub(super) fn of_length(question: &str, messages: &[ChatMessage], length: usize) -> Vec<String> {
    let text = format!("{}\n\n", answer(question, messages));
    let filler = format!("{FILLER} ");
    let endless = words(&text).chain(std::iter::repeat_with(|| words(&filler)).flatten());
    let mut taken: Vec<String> = endless.take(length).collect();
    if let Some(last) = taken.last_mut() {
        last.truncate(last.trim_end().len());
    }
    taken
}

fn answer(question: &str, messages: &[ChatMessage]) -> String {
    let questions: Vec<String> = said_by(messages, ChatRole::User)
        .map(|question| directives::read(question).0)
        .collect();
    let opening = if question.is_empty() {
        "You sent me nothing but directions.".to_owned()
    } else {
        format!("You asked: “{}”.", excerpt(question, QUESTION_CHARS))
    };
    format!(
        "{opening} {}\n\nI am {}, the built-in model: I work without a network and understand nothing, but I \
         remember what this conversation holds.",
        memory(&questions, messages),
        super::MODEL,
    )
}

/// What came before, which only a session that kept it can know.
fn memory(questions: &[String], messages: &[ChatMessage]) -> String {
    let (first, previous) = match questions {
        [] | [_] => return "That is the first question of this conversation.".to_owned(),
        [previous, _] => (None, previous),
        [first, .., previous, _] => (Some(first), previous),
    };
    let quote = |text: &str| excerpt(text, EARLIER_CHARS);
    let reply = said_by(messages, ChatRole::Assistant).next_back();
    format!(
        "That is question {} of this conversation; the one before it was “{}”{}.{}",
        questions.len(),
        quote(previous),
        reply.map_or_else(String::new, |reply| format!(", and I replied “{}”", quote(reply))),
        first.map_or_else(String::new, |first| format!(
            " It all began with “{}”.",
            quote(first)
        )),
    )
}

fn said_by(messages: &[ChatMessage], role: ChatRole) -> impl DoubleEndedIterator<Item = &str> {
    messages
        .iter()
        .filter(move |message| message.role == role)
        .map(|message| message.content.as_ref())
}

/// The beginning of a text on one line.
fn excerpt(text: &str, max_chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max_chars {
        return line;
    }
    let start: String = line.chars().take(max_chars).collect();
    format!("{}…", start.trim_end())
}

/// Cuts a text before each word, so that every piece but the first begins with a letter and blanks stay behind it.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        let (word, after) = rest.split_at(rest.len() - behind.trim_start().len());
        rest = after;
        (!word.is_empty()).then(|| word.to_owned())
    })
}
