//! A ticket: what stands in for a token in a URL, once and for a short time.
//!
//! Owns its form and how it is kept: only its hash is stored, so that whoever reads the table cannot connect. Refuses to know
//! whose it is and whether it is still good: `service` asks the store. It prints as `***`.

use std::fmt::Write;

use rand::RngCore;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// Random bytes of a ticket: nobody guesses one of 2^256 in its 30 seconds.
const RANDOM_BYTES: usize = 32;

/// A ticket as its holder has it.
#[derive(Clone, Debug)]
pub struct Ticket(Secret);

impl Ticket {
    /// A new one, from the operating system's randomness by way of a cryptographic generator.
    pub fn random() -> Self {
        let mut bytes = [0; RANDOM_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        let mut text = String::with_capacity(2 * RANDOM_BYTES);
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(Secret::new(&text))
    }

    /// A text that may be one; what cannot be is not worth a question to the database.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = text.len() == 2 * RANDOM_BYTES && text.bytes().all(is_digit);
        fits.then(|| Self(Secret::new(text)))
    }

    /// The ticket itself: for its holder.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Its SHA-256: for the store. A slow hash would add nothing, since there is nothing to guess.
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.expose()).to_vec()
    }
}
