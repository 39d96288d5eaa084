//! Tokens as issuers make them, and as attackers do.

mod fixture;
mod issuers;
mod jwks;
mod key_set;
mod mint;
mod public_key;
mod revoked;
mod threats;
mod ticket;
mod tokens;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::{AuthError, AuthSettings, Authenticator, IssuerSettings, KeySource, Principal};
use crate::clock::Clock;
use crate::secret::Secret;

const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const SECRET: &str = "a secret of these tests, 32 bytes and more";
const ISSUER: &str = "https://issuer.test/";
const AUDIENCE: &str = "agent-websocket";

/// An issuer of which a name and an audience are demanded.
fn issuer(keys: KeySource) -> IssuerSettings {
    IssuerSettings {
        keys,
        issuer: Some(ISSUER.into()),
        audiences: vec![AUDIENCE.into(), "second".into()],
        authorized_parties: Vec::new(),
        user_prefix: String::new(),
    }
}

fn shared() -> IssuerSettings {
    issuer(KeySource::Shared(Secret::new(SECRET)))
}

/// Settings with this issuer and no other.
fn only(issuer: IssuerSettings) -> AuthSettings {
    AuthSettings {
        issuers: vec![issuer],
    }
}

/// What becomes of a token at [`NOW`].
async fn verify_with(settings: &AuthSettings, token: &str) -> Result<Principal, AuthError> {
    let (authenticator, _) = Authenticator::from_settings(settings, Clock::manual(NOW).0).unwrap();
    assert!(authenticator.is_ready());
    authenticator.verify(token).await
}

/// Claims that pass, with `changes` laid over them; `null` removes one.
fn claims(changes: &Value) -> Value {
    let now = NOW.unix_timestamp();
    let mut claims = json!({ "sub": "u_42", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600 });
    let object = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// Signs any header and any payload, also such as no library would sign.
fn sign(header: &str, payload: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    super::install_crypto();
    let message = format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(payload.as_bytes())
    );
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// An HS256 token of [`SECRET`].
fn hs256(header: &Value, payload: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    sign(&header.to_string(), &payload.to_string(), &key, Algorithm::HS256)
}

/// The Ed25519 key pair number `n`: PKCS #8 is sixteen fixed bytes before the seed.
fn ed25519(n: u8) -> EncodingKey {
    let prefix = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    EncodingKey::from_ed_der(&[prefix.as_slice(), &[n; 32]].concat())
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for n in 0..=group.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * n) & 63) as usize]));
        }
    }
    text
}
