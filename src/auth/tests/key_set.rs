//! Which published keys are taken, and which of them a token meets.

use std::sync::Arc;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::super::key_set::{KeySet, KeySetError};
use super::super::{AuthError, Principal, token};
use super::fixture::{P256_PKCS8, RSA_MODULUS, RSA_PUBLIC_PEM, RSA_TOKEN, SHORT_RSA_MODULUS};
use super::{NOW, claims, ed25519, shared, sign};

pub(super) fn jwk(kid: &str, key: &EncodingKey, algorithm: Algorithm) -> Value {
    super::super::install_crypto();
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    jwk["kid"] = kid.into();
    jwk
}

pub(super) fn eddsa_token(header: &Value, key: &EncodingKey) -> String {
    let mut header = header.clone();
    header["alg"] = "EdDSA".into();
    sign(
        &header.to_string(),
        &claims(&json!({})).to_string(),
        key,
        Algorithm::EdDSA,
    )
}

fn rsa_jwk(changes: &Value) -> Value {
    let mut jwk = json!({ "kty": "RSA", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB" });
    jwk.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    jwk
}

fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::parse(
        json!({ "keys": keys }).to_string().as_bytes(),
        &Arc::new(shared()),
    )
}

fn verify(keys: &[Value], token: &str) -> Result<Principal, AuthError> {
    parse(keys)
        .unwrap()
        .verify(&token::unverified_header(token)?, token, NOW)
}

#[test]
fn each_family_of_keys_verifies() {
    let p256 = EncodingKey::from_ec_der(&P256_PKCS8);
    let keys = [
        rsa_jwk(&json!({ "use": "sig" })),
        jwk("ec", &p256, Algorithm::ES256),
        jwk("ed", &ed25519(1), Algorithm::EdDSA),
    ];
    let header = json!({ "alg": "ES256", "kid": "ec" }).to_string();
    let es256 = sign(&header, &claims(&json!({})).to_string(), &p256, Algorithm::ES256);
    let eddsa = eddsa_token(&json!({ "kid": "ed" }), &ed25519(1));
    for token in [RSA_TOKEN, &es256, &eddsa] {
        assert_eq!(verify(&keys, token).unwrap().user_id.as_str(), "u_42");
    }
}

#[test]
fn keys_that_must_not_verify_are_dropped() {
    #[rustfmt::skip]
    let cases = [
        (
            "symmetric",
            json!({ "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256" }),
        ),
        ("unknown kind", json!({ "kty": "AKP", "pub": "AAAA" })),
        ("no kind", json!({ "kid": "1" })),
        ("not an object", json!("key")),
        ("for encryption", rsa_jwk(&json!({ "use": "enc" }))),
        ("only for signing", rsa_jwk(&json!({ "key_ops": ["sign"] }))),
        ("RSA key for HMAC", rsa_jwk(&json!({ "alg": "HS256" }))),
        ("RSA key for ECDSA", rsa_jwk(&json!({ "alg": "ES256" }))),
        ("RSA key for encryption by alg", rsa_jwk(&json!({ "alg": "RSA-OAEP" }))),
        ("unknown alg", rsa_jwk(&json!({ "alg": "RS1" }))),
        ("short RSA key", rsa_jwk(&json!({ "n": SHORT_RSA_MODULUS }))),
        ("no base64url", rsa_jwk(&json!({ "n": "?" }))),
        ("unsupported curve", json!({ "kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA" })),
        ("X25519", json!({ "kty": "OKP", "crv": "X25519", "x": "AAAA" })),
    ];
    for (name, dropped) in cases {
        assert_eq!(
            parse(std::slice::from_ref(&dropped)).unwrap_err(),
            KeySetError::NoUsableKey,
            "{name}"
        );
        let beside = parse(&[dropped, rsa_jwk(&json!({}))]).unwrap();
        assert_eq!(beside.n_keys(), 1, "{name} does not cost the good one");
    }
}

#[test]
fn documents_that_are_no_key_set_are_refused() {
    #[rustfmt::skip]
    let cases = [
        (String::new(), KeySetError::Malformed),
        ("<html>".into(), KeySetError::Malformed),
        ("[]".into(), KeySetError::Malformed),
        (r#"{"keys":{}}"#.into(), KeySetError::Malformed),
        (format!(r#"{{"keys":[{}"#, "[".repeat(100_000)), KeySetError::Malformed),
        (r#"{"keys":[]}"#.into(), KeySetError::NoUsableKey),
        (json!({ "keys": vec![rsa_jwk(&json!({})); 65] }).to_string(), KeySetError::TooManyKeys),
    ];
    for (body, expected) in cases {
        assert_eq!(
            KeySet::parse(body.as_bytes(), &Arc::new(shared())).unwrap_err(),
            expected
        );
    }
    assert_eq!(parse(&vec![rsa_jwk(&json!({})); 64]).unwrap().n_keys(), 64);
}

#[test]
fn the_algorithm_comes_from_the_key_and_never_from_the_token() {
    let keys = [rsa_jwk(&json!({})), jwk("ed", &ed25519(1), Algorithm::EdDSA)];
    let pem = EncodingKey::from_secret(RSA_PUBLIC_PEM.as_bytes());
    let payload = claims(&json!({})).to_string();
    let by_public_key = |kid: Value| {
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        sign(&header, &payload, &pem, Algorithm::HS256)
    };
    assert_eq!(
        verify(&keys, &by_public_key("rsa".into())),
        Err(AuthError::Algorithm)
    );
    assert_eq!(
        verify(&keys, &by_public_key(Value::Null)),
        Err(AuthError::UnknownKey)
    );

    let kid_of_another = eddsa_token(&json!({ "kid": "rsa" }), &ed25519(1));
    assert_eq!(verify(&keys, &kid_of_another), Err(AuthError::Algorithm));
    // RSA key pinned to PS256: the RS256 token is of the right family, and still not the key's.
    assert_eq!(
        verify(&[rsa_jwk(&json!({ "alg": "PS256" }))], RSA_TOKEN),
        Err(AuthError::Algorithm)
    );
}

#[test]
fn a_token_without_kid_meets_at_most_four_keys_of_its_algorithm() {
    let mut keys = vec![rsa_jwk(&json!({}))];
    keys.extend((1..=5).map(|n| jwk(&n.to_string(), &ed25519(n), Algorithm::EdDSA)));
    let by = |n| eddsa_token(&json!({}), &ed25519(n));
    assert!(verify(&keys, &by(1)).is_ok());
    assert!(verify(&keys, &by(4)).is_ok());
    assert_eq!(verify(&keys, &by(5)), Err(AuthError::Signature));
    assert!(verify(&keys, &eddsa_token(&json!({ "kid": "5" }), &ed25519(5))).is_ok());
}

#[test]
fn a_token_with_a_key_of_its_own_is_checked_against_the_issuers() {
    let intruder = ed25519(9);
    let own_key = jwk("ed", &intruder, Algorithm::EdDSA);
    let token = eddsa_token(&json!({ "kid": "ed", "jwk": own_key }), &intruder);
    assert_eq!(
        verify(&[jwk("ed", &ed25519(1), Algorithm::EdDSA)], &token),
        Err(AuthError::Signature)
    );
}
