//! An issuer's one public key as an operator has it: a PEM text. What it may verify is read from the key itself.
//!
//! Pure. Refuses whatever is no public key (a private one belongs to the issuer and not here), RSA under 2048 bits, and
//! curves that no algorithm of tokens is for. `config` makes it, [`super::Authenticator`] verifies with it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::key_set::is_strong_modulus;

/// What stands in DER for the kinds of keys and curves.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;

/// A plain RSA key says nothing of the padding or the hash, so its owner may use any.
const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// A public key and what it is for.
#[derive(Clone)]
pub struct PublicKey {
    pub(super) key: DecodingKey,
    /// The only algorithms that its tokens may name.
    pub(super) algorithms: Vec<Algorithm>,
}

/// A text that is no [`PublicKey`]. It does not repeat the text, which may be a private one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicKey {
    /// Neither of the others; not for us.
    #[error("not a public key of the form -----BEGIN PUBLIC KEY-----")]
    Malformed,
    /// The issuer's secret.
    #[error(
        "a private key: openssl pkey -pubout makes the public one of it, and this one must not leave the issuer"
    )]
    Private,
    /// A certificate, whose dates and names nobody would check.
    #[error("a certificate: openssl x509 -pubkey -noout takes the key out of it")]
    Certificate,
    /// Too short to hold.
    #[error("an RSA key under 2048 bits")]
    Weak,
    /// Ed448, P-521, DSA …
    #[error("a key of another kind than RSA, P-256, P-384 and Ed25519")]
    Kind,
}

impl PublicKey {
    /// Reads a PEM text; `\n` may stand for a line break, as variables often have it.
    ///
    /// # Errors
    ///
    /// What it is instead.
    pub fn from_pem(text: &str) -> Result<Self, InvalidPublicKey> {
        let text = text.replace("\\n", "\n");
        if text.contains("PRIVATE KEY-----") {
            return Err(InvalidPublicKey::Private);
        }
        if text.contains("BEGIN CERTIFICATE-----") {
            return Err(InvalidPublicKey::Certificate);
        }
        let body: String = text
            .trim()
            .strip_prefix("-----BEGIN PUBLIC KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
            .ok_or(InvalidPublicKey::Malformed)?
            .split_whitespace()
            .collect();
        let der = STANDARD.decode(body).map_err(|_| InvalidPublicKey::Malformed)?;
        Self::from_der(&der)
    }

    /// `SEQUENCE { SEQUENCE { kind, parameters }, BIT STRING }` (RFC 5280 §4.1.2.7).
    fn from_der(der: &[u8]) -> Result<Self, InvalidPublicKey> {
        let (info, rest) = take(SEQUENCE, der)?;
        let (kind, bits) = take(SEQUENCE, info)?;
        let (bits, more) = take(BIT_STRING, bits)?;
        let (kind, parameters) = take(OBJECT, kind)?;
        // The first byte says how many bits of the last are unused: none, in a key.
        let ([0, key @ ..], true) = (bits, rest.is_empty() && more.is_empty()) else {
            return Err(InvalidPublicKey::Malformed);
        };
        match kind {
            RSA => rsa(key, &RSA_ALGORITHMS),
            RSA_PSS => rsa(key, &RSA_ALGORITHMS[3..]),
            ELLIPTIC => elliptic(key, parameters),
            ED25519 if key.len() == 32 => Ok(Self {
                key: DecodingKey::from_ed_der(key),
                algorithms: vec![Algorithm::EdDSA],
            }),
            ED25519 => Err(InvalidPublicKey::Malformed),
            _ => Err(InvalidPublicKey::Kind),
        }
    }
}

/// `SEQUENCE { modulus, exponent }`.
fn rsa(key: &[u8], algorithms: &[Algorithm]) -> Result<PublicKey, InvalidPublicKey> {
    let (numbers, _) = take(SEQUENCE, key)?;
    let (modulus, exponent) = take(INTEGER, numbers)?;
    let (exponent, _) = take(INTEGER, exponent)?;
    if !is_strong_modulus(modulus) {
        return Err(InvalidPublicKey::Weak);
    }
    // DER's leading zero is the sign; the library wants the numbers without.
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect::<Vec<_>>()
    };
    Ok(PublicKey {
        key: DecodingKey::from_rsa_raw_components(&number(modulus), &number(exponent)),
        algorithms: algorithms.to_vec(),
    })
}

/// An uncompressed point: 4, then two coordinates.
fn elliptic(point: &[u8], parameters: &[u8]) -> Result<PublicKey, InvalidPublicKey> {
    let (curve, _) = take(OBJECT, parameters)?;
    let (algorithm, length) = match curve {
        P256 => (Algorithm::ES256, 65),
        P384 => (Algorithm::ES384, 97),
        _ => return Err(InvalidPublicKey::Kind),
    };
    if point.len() != length || point.first() != Some(&4) {
        return Err(InvalidPublicKey::Malformed);
    }
    Ok(PublicKey {
        key: DecodingKey::from_ec_der(point),
        algorithms: vec![algorithm],
    })
}

/// What an element of this kind holds, and what follows it.
fn take(tag: u8, der: &[u8]) -> Result<(&[u8], &[u8]), InvalidPublicKey> {
    let (length, rest) = match der {
        [found, short @ 0..=0x7f, rest @ ..] if *found == tag => (usize::from(*short), rest),
        [found, 0x81, length, rest @ ..] if *found == tag => (usize::from(*length), rest),
        [found, 0x82, high, low, rest @ ..] if *found == tag => {
            (usize::from(*high) << 8 | usize::from(*low), rest)
        }
        _ => return Err(InvalidPublicKey::Malformed),
    };
    rest.split_at_checked(length).ok_or(InvalidPublicKey::Malformed)
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.algorithms)
    }
}
