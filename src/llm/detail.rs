//! Foreign words made fit to be logged, stored and shown.
//!
//! Owns the bounds of what a provider may make us write down. Refuses control characters and length; says nothing
//! about what the words mean. Errors carry a [`Detail`]; ids and model names go through [`plain`].

use std::fmt;

/// The provider's own words, for logs only: of bounded length and without control characters, so that no upstream
/// can flood a log or forge a line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail(Box<str>);

impl Detail {
    const MAX_CHARS: usize = 400;

    /// Keeps what is fit to be logged of `text`.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(plain(text.as_ref(), Self::MAX_CHARS).into())
    }

    /// Keeps an error and its causes, which alone tell a refused connection from an unknown host.
    pub(super) fn of_error(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::new(text)
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Foreign text as one line of at most `max_chars` characters: model names, ids and error texts are shown, stored
/// (Postgres takes no NUL) and logged.
pub(super) fn plain(text: &str, max_chars: usize) -> String {
    text.chars()
        .take(max_chars)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
