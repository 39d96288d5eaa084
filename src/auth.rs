//! Who is asking: turns a JSON Web Token into a [`Principal`], or refuses it.
//!
//! Owns the keys of each issuer (a shared HS256 secret, one public key, or those that it publishes), every rule a token must
//! pass, and what is known of revoked ones. Refuses to find the token in a request (`http` and `ws` do), to say why a token was
//! refused to the one who sent it, and to decide what a principal may do. A secret and a public key are checked in memory,
//! without I/O, because that stands on the path of every handshake.

mod error;
mod jwks;
mod key_set;
mod mint;
mod public_key;
mod revoked;
mod settings;
mod ticket;
mod token;

use std::sync::{Arc, Once};

use time::OffsetDateTime;

use crate::clock::Clock;
use crate::ids::UserId;
use crate::secret::Secret;
pub use error::AuthError;
use jwks::Jwks;
pub use jwks::{InvalidJwksUrl, JwksPolicy, JwksUrl, KeyRefresher};
pub use mint::{MintError, MintRequest, mint};
pub use public_key::{InvalidPublicKey, PublicKey};
pub use revoked::{Revocation, Revocations};
pub use settings::{AuthSettings, IssuerSettings, KeySource};
pub use ticket::Ticket;
use token::VerifyingKey;
pub use token::{LEEWAY, MAX_TOKEN_BYTES};

/// The shortest HS256 secret that is accepted, in bytes: the length of the hash, as RFC 7518 §3.2 demands.
pub const MIN_SECRET_BYTES: usize = 32;

/// Someone whose token was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `sub`, behind its issuer's prefix where there are several.
    pub user_id: UserId,
    /// `exp`, in whole seconds. Without the leeway.
    pub expires_at: OffsetDateTime,
    /// `iat`, in whole seconds.
    pub issued_at: Option<OffsetDateTime>,
    /// `jti`, at most 255 bytes without control characters.
    pub token_id: Option<String>,
    /// `iss`, likewise.
    pub issuer: Option<String>,
    /// `scope`: space-separated text, or an array of texts.
    pub scopes: Vec<String>,
}

/// The scope that lets a token notify users.
pub const NOTIFY_SCOPE: &str = "agent:notify";

/// The scope that lets a token read everybody's conversations, in the inspector.
pub const INSPECT_SCOPE: &str = "agent:inspect";

impl Principal {
    /// Whether this is a service that may notify users.
    pub fn may_notify(&self) -> bool {
        self.scopes.iter().any(|scope| scope == NOTIFY_SCOPE)
    }

    /// Whether this is an operator who may read everybody's conversations.
    pub fn may_inspect(&self) -> bool {
        self.scopes.iter().any(|scope| scope == INSPECT_SCOPE)
    }
}

/// Why the settings make no authenticator. `config` refuses all of these earlier, with the setting's name.
#[derive(Debug, thiserror::Error)]
pub enum AuthSetupError {
    /// See [`MIN_SECRET_BYTES`].
    #[error("an HS256 secret must have at least {MIN_SECRET_BYTES} bytes")]
    SecretTooShort,
    /// [`KeySource::DataDirectory`] was not replaced by the secret.
    #[error("the data directory's secret was not read")]
    NoSecret,
    /// The HTTP client could not be built, for example for want of root certificates.
    #[error("cannot build the client that fetches the issuer's keys")]
    Client(#[source] reqwest::Error),
}

/// Checks tokens. Clones are cheap and share the keys.
#[derive(Clone, Debug)]
pub struct Authenticator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Never empty.
    issuers: Vec<Issuer>,
    revocations: Revocations,
    clock: Clock,
}

#[derive(Debug)]
struct Issuer {
    settings: Arc<IssuerSettings>,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Held(Box<VerifyingKey>),
    Published(Jwks),
}

impl Issuer {
    fn new(settings: &IssuerSettings) -> Result<(Self, Option<KeyRefresher>), AuthSetupError> {
        let settings = Arc::new(settings.clone());
        let held = |key| (Keys::Held(Box::new(key)), None);
        let (keys, refresher) = match &settings.keys {
            KeySource::Shared(secret) => {
                let secret = long_enough(secret).ok_or(AuthSetupError::SecretTooShort)?;
                held(VerifyingKey::hs256(secret, &settings))
            }
            KeySource::Public(key) => held(VerifyingKey::public(key, &settings)),
            KeySource::Published { url, policy } => {
                let (jwks, refresher) = jwks::start(url, *policy, &settings)?;
                (Keys::Published(jwks), Some(refresher))
            }
            KeySource::DataDirectory => return Err(AuthSetupError::NoSecret),
        };
        Ok((Self { settings, keys }, refresher))
    }

    async fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Principal, AuthError> {
        match &self.keys {
            Keys::Held(key) => key.verify(token, now),
            Keys::Published(jwks) => jwks.verify(token, now).await,
        }
    }

    fn is_ready(&self) -> bool {
        match &self.keys {
            Keys::Held(_) => true,
            Keys::Published(jwks) => jwks.is_ready(),
        }
    }
}

impl Authenticator {
    /// Prepares the keys. Of each issuer with [`KeySource::Published`] it also returns the task that fetches them: until
    /// that runs, the issuer's tokens are refused as [`AuthError::KeysUnavailable`].
    ///
    /// # Errors
    ///
    /// When the settings cannot work; see [`AuthSetupError`].
    pub fn from_settings(
        settings: &AuthSettings,
        clock: Clock,
    ) -> Result<(Self, Vec<KeyRefresher>), AuthSetupError> {
        install_crypto();
        let (mut issuers, mut refreshers) = (Vec::new(), Vec::new());
        for settings in &settings.issuers {
            let (issuer, refresher) = Issuer::new(settings)?;
            issuers.push(issuer);
            refreshers.extend(refresher);
        }
        let inner = Inner {
            issuers,
            revocations: Revocations::default(),
            clock,
        };
        Ok((Self(Arc::new(inner)), refreshers))
    }

    /// Checks a token: signature, times with [`LEEWAY`], issuer, audience, party and subject, and that it was not revoked.
    ///
    /// With a shared secret or one public key it never waits. With published keys it waits for one fetch, at most
    /// [`JwksPolicy::timeout`], when the token names a key that is not known yet.
    ///
    /// # Errors
    ///
    /// [`AuthError`] for the first rule that the token breaks. Answer 401 or close with 4501, in the words of
    /// [`AuthError::client_text`]; where [`AuthError::is_retryable`], 503 or 1013.
    pub async fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLong);
        }
        let now = self.0.clock.now();
        let principal = self.issuer_of(token)?.verify(token, now).await?;
        self.check_revoked(principal)
    }

    /// Checks what is left to check of someone whose token was accepted before, for a ticket: its end, and that it was not
    /// revoked since.
    ///
    /// # Errors
    ///
    /// [`AuthError::Expired`] and [`AuthError::Revoked`].
    pub fn recheck(&self, principal: Principal) -> Result<Principal, AuthError> {
        if self.0.clock.now().saturating_sub(token::leeway()) >= principal.expires_at {
            return Err(AuthError::Expired);
        }
        self.check_revoked(principal)
    }

    fn check_revoked(&self, principal: Principal) -> Result<Principal, AuthError> {
        if self.0.revocations.is_revoked(&principal) {
            Err(AuthError::Revoked)
        } else {
            Ok(principal)
        }
    }

    /// Whose keys a token must pass: with several issuers, those of the one that it claims to be from, and no others.
    fn issuer_of(&self, token: &str) -> Result<&Issuer, AuthError> {
        let issuers = self.0.issuers.as_slice();
        if let [only] = issuers {
            return Ok(only);
        }
        let claimed = token::unverified_issuer(token)?;
        let is_claimed = |issuer: &&Issuer| issuer.settings.issuer.as_ref() == Some(&claimed);
        issuers.iter().find(is_claimed).ok_or(AuthError::Issuer)
    }

    /// What was revoked, as far as this process knows.
    pub fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }

    /// Whether tokens can be checked now: of published keys `false` until they were first fetched, and again when they became
    /// too old. With several issuers one suffices: the users of the others must not wait for the one that is away.
    pub fn is_ready(&self) -> bool {
        self.0.issuers.iter().any(Issuer::is_ready)
    }
}

/// The secret's bytes, unless there are fewer than [`MIN_SECRET_BYTES`]; the library would accept none at
/// all.
fn long_enough(secret: &Secret) -> Option<&[u8]> {
    let bytes = secret.expose().as_bytes();
    (bytes.len() >= MIN_SECRET_BYTES).then_some(bytes)
}

/// Names the crypto backend. Left to itself, the library panics on the first token as soon as another package
/// of the build switches on its second backend.
fn install_crypto() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error says that one is installed already; every backend verifies alike.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
}

#[cfg(test)]
mod tests;
