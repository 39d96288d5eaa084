//! What was revoked, as this process knows it: looked into for each token that is shown, so it asks nobody.
//!
//! Owns the rule which token a revocation hits. Refuses to know where revocations come from and when they end:
//! `service::revocation` reads them and hands them over. A connection that lives remembers the [`Revocations::version`] that
//! it was checked against, which costs it one number and one comparison.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use time::OffsetDateTime;

use super::Principal;

/// Which tokens are not accepted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// A user's that were issued before this moment.
    User {
        /// Whose.
        user: String,
        /// Tokens that begin then, or later, are good.
        issued_before: OffsetDateTime,
    },
    /// One, by its `jti`.
    Token {
        /// The `jti`.
        token: String,
        /// Where several issuers may use the same: only this user's.
        user: Option<String>,
    },
    /// Everybody's that were issued before this moment.
    Everybody {
        /// Tokens that begin then, or later, are good.
        issued_before: OffsetDateTime,
    },
}

#[derive(Debug, Default)]
struct Known {
    everybody: Option<OffsetDateTime>,
    users: HashMap<String, OffsetDateTime>,
    /// By `jti`: whose; `None` = anybody's.
    tokens: HashMap<String, Vec<Option<String>>>,
}

/// What this process knows. Empty, it revokes nothing.
#[derive(Debug, Default)]
pub struct Revocations {
    known: RwLock<Known>,
    version: AtomicU64,
}

impl Revocations {
    /// Grows with every revocation that was not known before. A connection that has seen this one need not be checked.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether a token that was accepted once is revoked by now.
    pub fn is_revoked(&self, principal: &Principal) -> bool {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .hits(principal)
    }

    /// Adds what was found. Returns what was not known before.
    pub fn add(&self, found: Vec<Revocation>) -> Vec<Revocation> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Revocation> = found.into_iter().filter(|each| known.add(each)).collect();
        self.note(&new);
        new
    }

    /// Takes this for all there is: what is not among it was lifted, or has ended. Returns what was not known before.
    pub fn replace(&self, all: Vec<Revocation>) -> Vec<Revocation> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Known::default();
        for each in &all {
            fresh.add(each);
        }
        let new: Vec<Revocation> = all.into_iter().filter(|each| known.add(each)).collect();
        *known = fresh;
        self.note(&new);
        new
    }

    /// Under the lock: whoever sees the version finds what it stands for.
    fn note(&self, new: &[Revocation]) {
        if !new.is_empty() {
            self.version.fetch_add(1, Ordering::Release);
        }
    }
}

impl Known {
    /// Adds one. `false` when it was known, or one that goes further.
    fn add(&mut self, revocation: &Revocation) -> bool {
        match revocation {
            Revocation::Everybody { issued_before } => {
                let news = self.everybody.is_none_or(|known| known < *issued_before);
                self.everybody = self.everybody.max(Some(*issued_before));
                news
            }
            Revocation::User { user, issued_before } => {
                let news = self.users.get(user).is_none_or(|known| known < issued_before);
                if news {
                    self.users.insert(user.clone(), *issued_before);
                }
                news
            }
            Revocation::Token { token, user } => {
                let owners = self.tokens.entry(token.clone()).or_default();
                let news = !owners.contains(user);
                if news {
                    owners.push(user.clone());
                }
                news
            }
        }
    }

    fn hits(&self, principal: &Principal) -> bool {
        let user = principal.user_id.as_str();
        // A token that does not say when it was issued may have been before.
        let begun_before = |moment: &OffsetDateTime| principal.issued_at.is_none_or(|begun| begun < *moment);
        let of_user = |owner: &Option<String>| owner.as_deref().is_none_or(|owner| owner == user);
        self.everybody.as_ref().is_some_and(begun_before)
            || self.users.get(user).is_some_and(begun_before)
            || principal
                .token_id
                .as_ref()
                .and_then(|token| self.tokens.get(token))
                .is_some_and(|owners| owners.iter().any(of_user))
    }
}
