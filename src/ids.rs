//! Identifiers as types: a session's id cannot be passed where a run's is wanted.
//!
//! Owns their shape and limits; refuses to know what they identify. Every other file uses them.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A user's id is 1 to 255 bytes.
    #[error("a user id has 1 to 255 bytes")]
    UserLength,
    /// A user's id holds a control character.
    #[error("a user id holds no control characters")]
    UserCharacters,
    /// A name chosen by a client is 1 to 64 of `[A-Za-z0-9_-]`.
    #[error("must be 1 to 64 of A-Z a-z 0-9 _ -")]
    ClientName,
}

/// Whose data it is: the verified token's subject, verbatim.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct UserId(#[schemars(length(min = 1, max = 255))] Arc<str>);

impl UserId {
    /// The longest user id, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 255;

    /// Takes a token's subject.
    ///
    /// # Errors
    /// When it is empty, longer than [`Self::MAX_BYTES`], or holds a control character.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(IdError::UserLength);
        }
        if text.chars().any(char::is_control) {
            return Err(IdError::UserCharacters);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({})", self.0)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, ordered by time (UUID version 7), so that new rows share index pages.
            #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id! {
    /// One conversation of one user.
    SessionId
}
impl SessionId {
    /// The session that a user keeps under a name: the same each time, another for every user.
    pub fn named(user: &UserId, name: Uuid) -> Self {
        // A user's id holds no line break.
        Self(digest(&["session", user.as_str(), &name.to_string()]))
    }
}

uuid_id! {
    /// One immutable message of a session.
    MessageId
}
uuid_id! {
    /// One attempt-counted work on an answer.
    RunId
}
uuid_id! {
    /// One socket, for logs and for leaving by id.
    ConnectionId
}
uuid_id! {
    /// One row of `agent.notifications`.
    NotificationId
}

/// An id made of texts, the same each time: a UUID of version 8, which leaves its bits to us. Only the last text may hold a line
/// break, so that no two lists are one.
pub fn digest(texts: &[&str]) -> Uuid {
    let hash = Sha256::digest(texts.join("\n"));
    let mut bits = [0; 16];
    bits.iter_mut().zip(hash).for_each(|(bit, byte)| *bit = byte);
    Builder::from_custom_bytes(bits).into_uuid()
}

/// One running server process, numbered by the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub i32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a message in its session: 1, 2, 3 … without gaps; 0 is before the first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Seq(#[schemars(range(min = 0))] pub i64);

impl Seq {
    /// Before the first message.
    pub const START: Self = Self(0);

    /// The place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Raised at every claim of a session's run; a write that carries an older one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence(pub i64);

/// A name that a client chose: the id of its frame, or of its device. 1 to 64 of `[A-Za-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ClientName(#[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))] Arc<str>);

impl ClientName {
    /// Takes a client's own name for something.
    ///
    /// # Errors
    /// When it is not 1 to 64 of `[A-Za-z0-9_-]`.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(legal) {
            return Err(IdError::ClientName);
        }
        Ok(Self(Arc::from(text)))
    }

    /// An id as a name.
    pub fn of(id: Uuid) -> Self {
        Self(Arc::from(id.to_string()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ClientName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session together with its owner: the key of every table of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Whose session it is.
    pub user_id: UserId,
    /// Which one.
    pub session_id: SessionId,
}

#[cfg(test)]
mod tests;
