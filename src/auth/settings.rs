//! What tokens are checked against: one issuer, or several that are kept apart.
//!
//! Values only. `config` fills and checks them, [`super::Authenticator`] is built from them.

use super::jwks::{JwksPolicy, JwksUrl};
use super::public_key::PublicKey;
use crate::secret::Secret;

/// Everybody whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// One, whose subjects are the users' ids; or several, each with a name and a prefix of its own.
    pub issuers: Vec<IssuerSettings>,
}

/// Whoever signs tokens.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Where the keys come from.
    pub keys: KeySource,
    /// The accepted `iss`; with it, a token without `iss` is refused.
    pub issuer: Option<String>,
    /// Accepted values of `aud`, of which a token must name one. When empty, a token that names any audience
    /// is refused: it says that it was made for somebody, and nobody told us that this is us (RFC 7519
    /// §4.1.3).
    pub audiences: Vec<String>,
    /// Accepted values of `azp`, of which a token must name one. Empty: `azp` is not looked at.
    pub authorized_parties: Vec<String>,
    /// What stands before the subject in the user's id. Empty where there is one issuer; where there are several, none is the
    /// beginning of another, so that their users never meet.
    pub user_prefix: String,
}

/// Where the keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A secret shared with whoever signs the tokens (HS256).
    Shared(Secret),
    /// The one public key of the issuer.
    Public(PublicKey),
    /// The public keys that an issuer publishes.
    Published {
        /// Where.
        url: JwksUrl,
        /// How often to look.
        policy: JwksPolicy,
    },
    /// `dev` without a secret: the random one of its data directory, to be put here by the caller.
    DataDirectory,
}

impl AuthSettings {
    /// The issuer, where there is one only: the one whose tokens this program may make itself.
    pub fn only(&self) -> Option<&IssuerSettings> {
        match self.issuers.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl IssuerSettings {
    /// Whether its tokens must say from whom they are, and for whom. Always, but for a secret that the operator shares with
    /// nobody.
    pub fn is_narrow(&self) -> bool {
        self.issuer.is_some() && !(self.audiences.is_empty() && self.authorized_parties.is_empty())
    }
}
