//! The names of things, each a type of its own so that one cannot be passed for another.
//!
//! Checked where they enter and never again. Refuses what a database or a log could not hold.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Who a session belongs to: the `sub` of a verified token, 1 to 255 bytes without control characters.
/// Clones share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

/// A text that cannot name a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user id is 1 to 255 bytes without control characters")]
pub struct InvalidUserId;

impl UserId {
    /// The longest user id, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 255;

    /// Checks and takes over a user's name.
    ///
    /// # Errors
    ///
    /// When it is empty, longer than [`Self::MAX_BYTES`], or holds a control character: Postgres refuses NUL
    /// in text, and a line break could forge a line of a log.
    pub fn new(text: &str) -> Result<Self, InvalidUserId> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidUserId)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
