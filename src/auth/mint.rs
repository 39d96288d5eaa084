//! Makes a token signed with the shared secret: for the `token` command, the `dev` page, and tests.
//!
//! Refuses what [`super::Authenticator`] would refuse by its length of secret. It is no identity provider:
//! who may have a token is decided by whoever holds the secret.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{MIN_SECRET_BYTES, install_crypto, long_enough};
use crate::ids::UserId;
use crate::secret::Secret;

/// What the token is to say.
#[derive(Clone, Copy, Debug)]
pub struct MintRequest<'a> {
    /// `sub`.
    pub user_id: &'a UserId,
    /// From now until `exp`; whole seconds.
    pub ttl: Duration,
    /// `iss`.
    pub issuer: Option<&'a str>,
    /// `aud`.
    pub audience: Option<&'a str>,
    /// `azp`.
    pub authorized_party: Option<&'a str>,
    /// `scope`, separated by spaces.
    pub scope: Option<&'a str>,
    /// `jti`: a fresh one each time, so that one token can be told from another.
    pub token_id: Uuid,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// See [`MIN_SECRET_BYTES`].
    #[error("an HS256 secret must have at least {MIN_SECRET_BYTES} bytes")]
    SecretTooShort,
    /// The library failed.
    #[error("cannot sign the token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a UserId,
    iat: i64,
    exp: i64,
    jti: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// Makes an HS256 token that begins `now`.
///
/// # Errors
///
/// When the secret is too short, or signing fails.
pub fn mint(secret: &Secret, request: &MintRequest<'_>, now: OffsetDateTime) -> Result<String, MintError> {
    install_crypto();
    let secret = long_enough(secret).ok_or(MintError::SecretTooShort)?;
    let issued_at = now.unix_timestamp();
    let ttl_s = i64::try_from(request.ttl.as_secs()).unwrap_or(i64::MAX);
    let claims = Claims {
        sub: request.user_id,
        iat: issued_at,
        exp: issued_at.saturating_add(ttl_s),
        jti: request.token_id,
        iss: request.issuer,
        aud: request.audience,
        azp: request.authorized_party,
        scope: request.scope,
    };
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret))
        .map_err(MintError::Sign)
}
