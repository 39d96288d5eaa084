//! One key and the rules for the tokens it signs: pure, the time is passed in.
//!
//! The library checks signature, presence of claims, issuer and audience. It would check times too, but
//! against the system's clock, and it looks at neither `typ` nor `crit`: those are done here. Called by
//! [`super`] for a shared secret or one public key, and by [`super::key_set`] for published keys.

use std::sync::Arc;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::public_key::PublicKey;
use super::{AuthError, IssuerSettings, Principal};
use crate::ids::UserId;

/// The longest token that is looked at, in bytes. Proxies cut header lines at 8 KB anyway.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far the clocks of the issuer and this server may lie apart: a token is accepted up to this long after
/// its `exp` and before its `nbf` or `iat`.
pub const LEEWAY: std::time::Duration = std::time::Duration::from_secs(30);

/// [`LEEWAY`] as the calendar counts.
pub(super) fn leeway() -> Duration {
    Duration::try_from(LEEWAY).unwrap_or(Duration::ZERO)
}

/// A key, what it is for, and what its tokens must claim.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    key: DecodingKey,
    /// One a key: a validation that names algorithms of two families refuses everything.
    validation: Validation,
    issuer: Arc<IssuerSettings>,
}

impl VerifyingKey {
    pub(super) fn hs256(secret: &[u8], issuer: &Arc<IssuerSettings>) -> Self {
        Self::new(DecodingKey::from_secret(secret), &[Algorithm::HS256], issuer)
    }

    pub(super) fn public(key: &PublicKey, issuer: &Arc<IssuerSettings>) -> Self {
        Self::new(key.key.clone(), &key.algorithms, issuer)
    }

    pub(super) fn new(key: DecodingKey, algorithms: &[Algorithm], issuer: &Arc<IssuerSettings>) -> Self {
        let mut validation = Validation {
            algorithms: algorithms.to_vec(),
            validate_exp: false,
            validate_nbf: false,
            ..Validation::default()
        };
        // The library checks `iss` and `aud` only where a token has them; absent, they must be asked for
        // here.
        let mut required = vec!["exp", "sub"];
        if let Some(issuer) = &issuer.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if !issuer.audiences.is_empty() {
            validation.set_audience(&issuer.audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        Self {
            key,
            validation,
            issuer: Arc::clone(issuer),
        }
    }

    /// Whether tokens of this key may name this algorithm.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.validation.algorithms.contains(&algorithm)
    }

    /// Checks everything about a token. The claims are parsed only once the signature is known to be right.
    pub(super) fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Principal, AuthError> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)?;
        check_header(&decoded.header)?;
        decoded.claims.check_party(&self.issuer.authorized_parties)?;
        decoded.claims.into_principal(&self.issuer.user_prefix, now)
    }
}

/// The header of a token that is not verified yet: only good for choosing a key.
pub(super) fn unverified_header(token: &str) -> Result<Header, AuthError> {
    Ok(jsonwebtoken::decode_header(token)?)
}

/// The issuer that a token claims to be from: only good for choosing whose keys it must pass.
pub(super) fn unverified_issuer(token: &str) -> Result<String, AuthError> {
    let claims: ClaimedIssuer = jsonwebtoken::dangerous::insecure_decode_claims(token)?;
    claims.iss.ok_or(AuthError::MissingClaim)
}

#[derive(Deserialize)]
struct ClaimedIssuer {
    iss: Option<String>,
}

/// `jku`, `x5u`, `x5c` and `jwk` are not looked at: a token does not choose its own key.
fn check_header(header: &Header) -> Result<(), AuthError> {
    // An ID token, a logout token or a DPoP proof of the same issuer is no access token.
    let accepted = |typ: &str| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt");
    if header.crit.is_some() {
        Err(AuthError::Critical)
    } else if header.typ.as_deref().is_none_or(accepted) {
        Ok(())
    } else {
        Err(AuthError::Type)
    }
}

/// The claims that are read. One that is present in another shape than here makes the token malformed; to
/// treat it as absent would switch its check off.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    iss: Option<String>,
    /// Compared by the library, which lets another shape pass where no audience is configured.
    #[serde(rename = "aud")]
    _aud: Option<TextOrList>,
    azp: Option<String>,
    jti: Option<String>,
    scope: Option<TextOrList>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumericDate {
    Whole(i64),
    Fractional(f64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrList {
    Text(String),
    List(Vec<String>),
}

impl Claims {
    /// Checks for which application of the issuer the token was made, where that was asked for.
    fn check_party(&self, accepted: &[String]) -> Result<(), AuthError> {
        match &self.azp {
            _ if accepted.is_empty() => Ok(()),
            None => Err(AuthError::MissingClaim),
            Some(party) if accepted.contains(party) => Ok(()),
            Some(_) => Err(AuthError::AuthorizedParty),
        }
    }

    fn into_principal(self, user_prefix: &str, now: OffsetDateTime) -> Result<Principal, AuthError> {
        let expires_at = at(self.exp)?.ok_or(AuthError::MissingClaim)?;
        let issued_at = at(self.iat)?;
        if now.saturating_sub(leeway()) >= expires_at {
            return Err(AuthError::Expired);
        }
        let latest_start = now.saturating_add(leeway());
        let begins = [at(self.nbf)?, issued_at];
        if begins.into_iter().flatten().any(|begin| begin > latest_start) {
            return Err(AuthError::NotYetValid);
        }
        Ok(Principal {
            user_id: user_id(user_prefix, &self.sub.unwrap_or_default())?,
            expires_at,
            issued_at,
            token_id: plain(self.jti)?,
            issuer: plain(self.iss)?,
            scopes: self.scope.map_or_else(Vec::new, TextOrList::into_list),
        })
    }
}

impl TextOrList {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
            Self::List(list) => list,
        }
    }
}

/// The user that a subject is. The subject must be an id by itself: a prefix alone is nobody.
fn user_id(prefix: &str, subject: &str) -> Result<UserId, AuthError> {
    let user = UserId::new(subject).map_err(|_| AuthError::Subject)?;
    if prefix.is_empty() {
        return Ok(user);
    }
    UserId::new(&format!("{prefix}{subject}")).map_err(|_| AuthError::Subject)
}

/// A time in whole seconds, or `Malformed` where it lies beyond the year 9999.
fn at(date: Option<NumericDate>) -> Result<Option<OffsetDateTime>, AuthError> {
    let Some(date) = date else { return Ok(None) };
    let since_epoch = match date {
        NumericDate::Whole(seconds) => Duration::seconds(seconds),
        NumericDate::Fractional(seconds) => Duration::saturating_seconds_f64(seconds),
    };
    let at = OffsetDateTime::UNIX_EPOCH
        .checked_add(since_epoch)
        .ok_or(AuthError::Malformed)?;
    Ok(Some(at.replace_nanosecond(0).unwrap_or(at)))
}

/// Text that a log line and a Postgres column can hold.
fn plain(text: Option<String>) -> Result<Option<String>, AuthError> {
    let fits = |text: &String| text.len() <= UserId::MAX_BYTES && !text.chars().any(char::is_control);
    if text.as_ref().is_none_or(fits) {
        Ok(text)
    } else {
        Err(AuthError::Malformed)
    }
}

impl From<Error> for AuthError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Self::Algorithm,
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::MissingRequiredClaim(_) => Self::MissingClaim,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            // What is left is about the token's shape, or a key that fits no signature at all.
            _ => Self::Malformed,
        }
    }
}
