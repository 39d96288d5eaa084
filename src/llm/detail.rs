//! What a fault is made of, in words fit to be logged; and foreign words made fit to be stored and shown.
//!
//! A provider's sentence never becomes a [`Detail`]: providers quote, be it the question that they mind, the key that they
//! refuse, or the answer in which they broke off, and no log may hold any of these. Kept are numbers, the name that the
//! complaint gives its kind, and the words of our own libraries. Ids and model names go through [`plain`].

use std::borrow::Cow;
use std::fmt;

/// The particulars of a fault, for logs only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail(Cow<'static, str>);

impl Detail {
    const MAX_CHARS: usize = 400;

    const MAX_NAME_BYTES: usize = 48;

    /// Words of our own.
    pub const fn new(words: &'static str) -> Self {
        Self(Cow::Borrowed(words))
    }

    /// A provider's complaint: its number, and the first of these that is a name and no sentence.
    pub(super) fn of_complaint<'a>(
        number: Option<u16>,
        names: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Self {
        let mut text = number.map_or_else(|| "no status".to_owned(), |number| format!("status {number}"));
        if let Some(name) = names.into_iter().flatten().find(|name| is_name(name)) {
            text = format!("{text}, {name}");
        }
        Self(text.into())
    }

    /// A broken connection, with the causes that alone tell a refused one from an unknown host. Without the address.
    pub(super) fn of_transport(error: reqwest::Error) -> Self {
        Self::of_error(&error.without_url())
    }

    fn of_error(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(plain(&text, Self::MAX_CHARS).into())
    }

    /// Where JSON could not be read: what stands there is the answer's text as likely as not.
    pub(super) fn of_json(error: &serde_json::Error) -> Self {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "unexpected JSON",
            _ => "no JSON",
        };
        Self(format!("{kind} at line {} column {}", error.line(), error.column()).into())
    }
}

/// `rate_limit_exceeded`, and not what somebody said.
fn is_name(text: &str) -> bool {
    (1..=Detail::MAX_NAME_BYTES).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Foreign text as one line of at most `max_chars` characters: model names and ids are shown and stored (Postgres takes no
/// NUL).
pub(super) fn plain(text: &str, max_chars: usize) -> String {
    text.chars()
        .take(max_chars)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
