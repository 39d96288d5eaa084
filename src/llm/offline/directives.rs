//! Finds the `[[…]]` directives in a question. Refuses nothing: what it doesn't know stays part of the text.

use std::time::Duration;

/// What the question asks of the way it is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) delay: Option<Duration>,
    pub(super) words: Option<usize>,
    pub(super) mishap: Option<Mishap>,
}

/// How the answer is to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    Fail { after_words: usize },
    Timeout,
    Empty,
}

const MAX_DELAY_MS: u64 = 10_000;
const MAX_WORDS: usize = 20_000;
const SLOW: Duration = Duration::from_millis(500);

/// Takes the directives out of `question`.
pub(super) fn read(question: &str) -> (String, Directives) {
    let mut text = String::with_capacity(question.len());
    let mut directives = Directives::default();
    let mut rest = question;
    while let Some((before, after)) = rest.split_once("[[") {
        text.push_str(before);
        match after.split_once("]]") {
            Some((directive, behind)) if directives.apply(directive.trim()).is_some() => rest = behind,
            _ => {
                text.push_str("[[");
                rest = after;
            }
        }
    }
    text.push_str(rest);
    (text.split_whitespace().collect::<Vec<_>>().join(" "), directives)
}

impl Directives {
    /// `None` if the text is no directive.
    fn apply(&mut self, directive: &str) -> Option<()> {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match (name, value) {
            ("slow", "") => self.delay = Some(SLOW),
            ("delay", ms) => {
                let ms = ms.parse::<u64>().ok()?.min(MAX_DELAY_MS);
                self.delay = Some(Duration::from_millis(ms));
            }
            ("words", words) => self.words = Some(words.parse::<usize>().ok()?.clamp(1, MAX_WORDS)),
            ("fail", "") => self.mishap = Some(Mishap::Fail { after_words: 0 }),
            ("fail", words) => {
                let after_words = words.parse::<usize>().ok()?.min(MAX_WORDS);
                self.mishap = Some(Mishap::Fail { after_words });
            }
            ("timeout", "") => self.mishap = Some(Mishap::Timeout),
            ("empty", "") => self.mishap = Some(Mishap::Empty),
            _ => return None,
        }
        Some(())
    }
}
