//! The keys that an issuer published: which of them may verify, each for which algorithm, and which of them a
//! token means.
//!
//! Pure: bytes in, keys out; [`super::jwks`] fetches the bytes. Refuses symmetric keys (a published secret is
//! no secret), keys that are not for signatures, and RSA keys under 2048 bits.

use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Header};
use serde::Deserialize;
use time::OffsetDateTime;

use super::token::VerifyingKey;
use super::{AuthError, IssuerSettings, Principal};

/// More keys than an issuer needs; a larger document is refused whole.
const MAX_KEYS: usize = 64;

/// How many keys are tried for a token without `kid`. Each try costs up to 40 µs that a stranger can ask for.
const MAX_TRIES: usize = 4;

const MIN_RSA_BYTES: usize = 2048 / 8;

/// The usable keys of one document.
#[derive(Debug)]
pub(super) struct KeySet(Vec<PublishedKey>);

#[derive(Debug)]
struct PublishedKey {
    key_id: Option<String>,
    verifying: VerifyingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("not a JSON Web Key Set")]
    Malformed,
    #[error("more than {MAX_KEYS} keys")]
    TooManyKeys,
    #[error("no key in it can verify a signature")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Document {
    /// Unparsed, so that one key of a kind unknown here does not cost the others.
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    pub(super) fn parse(body: &[u8], issuer: &Arc<IssuerSettings>) -> Result<Self, KeySetError> {
        let document: Document = serde_json::from_slice(body).map_err(|_| KeySetError::Malformed)?;
        if document.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let usable = |value| PublishedKey::from_jwk(&serde_json::from_value(value).ok()?, issuer);
        let keys: Vec<_> = document.keys.into_iter().filter_map(usable).collect();
        if keys.is_empty() {
            Err(KeySetError::NoUsableKey)
        } else {
            Ok(Self(keys))
        }
    }

    pub(super) fn n_keys(&self) -> usize {
        self.0.len()
    }

    /// Checks a token against the keys that its header may mean. The header only narrows the choice; what a
    /// key is for stands in its record.
    pub(super) fn verify(
        &self,
        header: &Header,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<Principal, AuthError> {
        let named = |key: &&PublishedKey| header.kid.is_none() || header.kid == key.key_id;
        let fitting = self
            .0
            .iter()
            .filter(named)
            .filter(|key| key.verifying.is_for(header.alg));
        let mut outcome = Err(self.no_key(header));
        for key in fitting.take(MAX_TRIES) {
            outcome = key.verifying.verify(token, now);
            if outcome != Err(AuthError::Signature) {
                break;
            }
        }
        outcome
    }

    /// A `kid` that is here under another algorithm is a confused or hostile token. Anything else may be a
    /// key that came after the last fetch.
    fn no_key(&self, header: &Header) -> AuthError {
        let known = header.kid.is_some() && self.0.iter().any(|key| key.key_id == header.kid);
        if known {
            AuthError::Algorithm
        } else {
            AuthError::UnknownKey
        }
    }
}

impl PublishedKey {
    fn from_jwk(jwk: &Jwk, issuer: &Arc<IssuerSettings>) -> Option<Self> {
        if !is_for_verifying(jwk) {
            return None;
        }
        let algorithm = algorithm_of(jwk)?;
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let verifying = is_strong(&key).then(|| VerifyingKey::new(key, &[algorithm], issuer))?;
        Some(Self {
            key_id: jwk.common.key_id.clone(),
            verifying,
        })
    }
}

fn is_for_verifying(jwk: &Jwk) -> bool {
    let common = &jwk.common;
    common
        .public_key_use
        .as_ref()
        .is_none_or(|r#use| *r#use == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|ops| ops.contains(&KeyOperations::Verify))
}

/// The one algorithm that the key is for; `None` where kind and `alg` contradict each other or are not taken.
/// An RSA key that names none is for RS256, which is what issuers that leave it out sign with.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    let named = match jwk.common.key_algorithm {
        Some(named) => Some(Algorithm::try_from(named).ok()?),
        None => None,
    };
    let by_kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            let algorithm = named.unwrap_or(Algorithm::RS256);
            return (algorithm.family() == AlgorithmFamily::Rsa).then_some(algorithm);
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Algorithm::ES384,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    named.is_none_or(|named| named == by_kind).then_some(by_kind)
}

fn is_strong(key: &DecodingKey) -> bool {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => is_strong_modulus(n),
        DecodingKeyKind::SecretOrDer(_) => true,
    }
}

/// Whether an RSA key with this modulus has at least 2048 bits.
pub(super) fn is_strong_modulus(modulus: &[u8]) -> bool {
    modulus.iter().skip_while(|byte| **byte == 0).count() >= MIN_RSA_BYTES
}
