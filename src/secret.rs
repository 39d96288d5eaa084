//! Values that must not reach a log: a secret text, and a database address with a password in it.
//!
//! Their `Debug` and `Display` hide what they hold; reading them takes a call named `expose`, which a review
//! can search for. Made by `config`, read by the adapter that needs the value.

use std::fmt;
use std::sync::Arc;

/// A text that prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself: for the call that needs it, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A Postgres connection address. Prints scheme, user, host, port and database: no password, and no query
/// part, because libpq also takes a password there.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    full: Arc<str>,
    shown: Arc<str>,
}

/// A text that is no Postgres address. It does not repeat the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Postgres address of the form postgres://user:password@host:5432/database")]
pub struct InvalidDatabaseUrl;

impl DatabaseUrl {
    /// Checks that `text` is an address with scheme `postgres` or `postgresql`; whether a server answers
    /// there is seen when it is used.
    ///
    /// # Errors
    ///
    /// When it is anything else.
    pub fn new(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        let mut url = reqwest::Url::parse(text).map_err(|_| InvalidDatabaseUrl)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") || url.cannot_be_a_base() {
            return Err(InvalidDatabaseUrl);
        }
        if url.password().is_some() {
            url.set_password(Some("***")).map_err(|()| InvalidDatabaseUrl)?;
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self {
            full: text.into(),
            shown: url.as_str().into(),
        })
    }

    /// The whole address with its password: for the driver, never for a message.
    pub fn expose(&self) -> &str {
        &self.full
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests;
