//! Who is asking: turns a JSON Web Token into a [`Principal`], or refuses it.
//!
//! Owns the keys (a shared HS256 secret, or the published keys of an issuer) and every rule a token must
//! pass. Refuses to find the token in a request (`http` and `ws` do), to say why a token was refused to the
//! one who sent it, and to decide what a principal may do. A shared secret is checked in memory, without I/O,
//! because it stands on the path of every handshake.

mod jwks;
mod key_set;
mod mint;
mod token;

use std::sync::{Arc, Once};

use time::OffsetDateTime;

use crate::clock::Clock;
use crate::ids::UserId;
use crate::secret::Secret;
use jwks::Jwks;
pub use jwks::{InvalidJwksUrl, JwksPolicy, JwksUrl, KeyRefresher};
pub use mint::{MintError, MintRequest, mint};
use token::VerifyingKey;
pub use token::{LEEWAY, MAX_TOKEN_BYTES};

/// The shortest HS256 secret that is accepted, in bytes: the length of the hash, as RFC 7518 §3.2 demands.
pub const MIN_SECRET_BYTES: usize = 32;

/// What tokens are checked against.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Where the keys come from.
    pub keys: KeySource,
    /// The one accepted `iss`; with it, a token without `iss` is refused.
    pub issuer: Option<String>,
    /// Accepted values of `aud`, of which a token must name one. When empty, a token that names any audience
    /// is refused: it says that it was made for somebody, and nobody told us that this is us (RFC 7519
    /// §4.1.3).
    pub audiences: Vec<String>,
}

/// Where the keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A secret shared with whoever signs the tokens (HS256).
    Shared(Secret),
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

/// Someone whose token was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// `sub`.
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
const NOTIFY_SCOPE: &str = "agent:notify";

impl Principal {
    /// Whether this is a service that may notify users.
    pub fn may_notify(&self) -> bool {
        self.scopes.iter().any(|scope| scope == NOTIFY_SCOPE)
    }
}

/// Why a token was refused. For logs and metrics; the one who sent it gets [`AuthError::client_text`], which
/// is the same for all. Carries nothing of the token: a parser's message would quote its claims into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Longer than [`MAX_TOKEN_BYTES`]; it was not parsed.
    #[error("token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not three parts of base64url JSON, an unknown algorithm such as `none`, or a claim of the wrong kind.
    #[error("token is malformed")]
    Malformed,
    /// Signed by another algorithm than the key is for.
    #[error("token's algorithm is not the key's")]
    Algorithm,
    /// `typ` says that it is something else than an access token.
    #[error("token's typ is not JWT or at+jwt")]
    Type,
    /// `crit` demands an extension.
    #[error("token demands an extension by crit")]
    Critical,
    /// The signature does not fit the key.
    #[error("token's signature is wrong")]
    Signature,
    /// No published key has the token's `kid` (or, without a `kid`, its algorithm).
    #[error("token's key is not among the issuer's")]
    UnknownKey,
    /// One of `exp`, `sub` and, where configured, `iss` and `aud` is absent.
    #[error("token lacks a required claim")]
    MissingClaim,
    /// `exp` is more than [`LEEWAY`] ago.
    #[error("token has expired")]
    Expired,
    /// `nbf` or `iat` is more than [`LEEWAY`] ahead.
    #[error("token is not valid yet")]
    NotYetValid,
    /// `iss` is not the configured one.
    #[error("token is from another issuer")]
    Issuer,
    /// `aud` does not name us; or names someone although `JWT_AUDIENCE` is not set.
    #[error("token is for another audience")]
    Audience,
    /// `sub` is no [`UserId`].
    #[error("token's subject is no user id")]
    Subject,
    /// The issuer's keys could not be fetched, and none are held. Our trouble, not the token's.
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
}

impl AuthError {
    /// What the client is told, whatever the reason: a better text would help to guess.
    pub fn client_text(self) -> &'static str {
        "The token was not accepted"
    }

    /// Whether the same token may be accepted later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }

    /// The reason as a metric's label, one of a closed set.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Type => "type",
            Self::Critical => "critical",
            Self::Signature => "signature",
            Self::UnknownKey => "unknown_key",
            Self::MissingClaim => "missing_claim",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::KeysUnavailable => "keys_unavailable",
        }
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
    keys: Keys,
    clock: Clock,
}

#[derive(Debug)]
enum Keys {
    Shared(Box<VerifyingKey>),
    Published(Jwks),
}

impl Authenticator {
    /// Prepares the keys. With [`KeySource::Published`] it also returns the task that fetches them: until
    /// that runs, every token is refused as [`AuthError::KeysUnavailable`].
    ///
    /// # Errors
    ///
    /// When the settings cannot work; see [`AuthSetupError`].
    pub fn from_settings(
        settings: &AuthSettings,
        clock: Clock,
    ) -> Result<(Self, Option<KeyRefresher>), AuthSetupError> {
        install_crypto();
        let (keys, refresher) = match &settings.keys {
            KeySource::Shared(secret) => {
                let secret = long_enough(secret).ok_or(AuthSetupError::SecretTooShort)?;
                (
                    Keys::Shared(Box::new(VerifyingKey::hs256(secret, settings))),
                    None,
                )
            }
            KeySource::Published { url, policy } => {
                let (jwks, refresher) = jwks::start(url, *policy, settings)?;
                (Keys::Published(jwks), Some(refresher))
            }
            KeySource::DataDirectory => return Err(AuthSetupError::NoSecret),
        };
        Ok((Self(Arc::new(Inner { keys, clock })), refresher))
    }

    /// Checks a token: signature, times with [`LEEWAY`], issuer, audience and subject.
    ///
    /// With a shared secret it never waits. With published keys it waits for one fetch, at most
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
        match &self.0.keys {
            Keys::Shared(key) => key.verify(token, now),
            Keys::Published(jwks) => jwks.verify(token, now).await,
        }
    }

    /// Whether tokens can be checked now: `false` until published keys were first fetched, and again when
    /// they became too old.
    pub fn is_ready(&self) -> bool {
        match &self.0.keys {
            Keys::Shared(_) => true,
            Keys::Published(jwks) => jwks.is_ready(),
        }
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
