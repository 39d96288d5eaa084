//! Several issuers: each is checked by its own keys only, and their equal subjects are different users.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::super::{
    AuthError, AuthSettings, Authenticator, IssuerSettings, JwksPolicy, JwksUrl, KeySource, PublicKey,
};
use super::fixture::ED25519_PUBLIC_PEM;
use super::{claims, ed25519, issuer, sign, verify_with};
use crate::clock::Clock;
use crate::secret::Secret;

const ONE: &str = "https://one.test";
const TWO: &str = "https://two.test";
const ONES_SECRET: &str = "the secret of issuer one, 32 bytes";

fn settings() -> AuthSettings {
    let named = |name: &str, prefix: &str, keys| IssuerSettings {
        issuer: Some(name.into()),
        user_prefix: prefix.into(),
        ..issuer(keys)
    };
    let public = PublicKey::from_pem(ED25519_PUBLIC_PEM).unwrap();
    AuthSettings {
        issuers: vec![
            named(ONE, "one:", KeySource::Shared(Secret::new(ONES_SECRET))),
            named(TWO, "two:", KeySource::Public(public)),
        ],
    }
}

/// A token that says that it is from this issuer, signed as that one signs.
fn token(claimed: &Value, signs: &str, sub: &str) -> String {
    let payload = claims(&json!({ "iss": claimed, "sub": sub })).to_string();
    if signs == ONE {
        let secret = EncodingKey::from_secret(ONES_SECRET.as_bytes());
        sign(r#"{"alg":"HS256"}"#, &payload, &secret, Algorithm::HS256)
    } else {
        sign(r#"{"alg":"EdDSA"}"#, &payload, &ed25519(1), Algorithm::EdDSA)
    }
}

async fn user(token: &str) -> Result<String, AuthError> {
    let principal = verify_with(&settings(), token).await?;
    Ok(principal.user_id.to_string())
}

#[tokio::test]
async fn equal_subjects_of_two_issuers_are_two_users() {
    assert_eq!(
        user(&token(&json!(ONE), ONE, "u_42")).await.as_deref(),
        Ok("one:u_42")
    );
    assert_eq!(
        user(&token(&json!(TWO), TWO, "u_42")).await.as_deref(),
        Ok("two:u_42")
    );
    // Not even by a subject that looks like the other's user.
    assert_eq!(
        user(&token(&json!(ONE), ONE, "two:u_42")).await.as_deref(),
        Ok("one:two:u_42")
    );
}

#[tokio::test]
async fn t1_an_issuer_cannot_speak_for_another() {
    assert_eq!(
        user(&token(&json!(TWO), ONE, "u_42")).await,
        Err(AuthError::Algorithm)
    );
    assert_eq!(
        user(&token(&json!(ONE), TWO, "u_42")).await,
        Err(AuthError::Algorithm)
    );
}

#[tokio::test]
async fn a_token_of_none_of_the_issuers_is_refused() {
    #[rustfmt::skip]
    let cases = [
        ("unknown", json!("https://three.test"), AuthError::Issuer),
        ("almost", json!("https://one.test/"), AuthError::Issuer),
        ("absent", Value::Null, AuthError::MissingClaim),
        ("both", json!([ONE, TWO]), AuthError::Malformed),
    ];
    for (name, claimed, expected) in cases {
        assert_eq!(user(&token(&claimed, ONE, "u_42")).await, Err(expected), "{name}");
    }
    for text in ["", "..", "a.b.c", "x.e30.y"] {
        let outcome = user(text).await;
        assert!(
            matches!(outcome, Err(AuthError::Malformed | AuthError::MissingClaim)),
            "{text:?}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_prefix_alone_is_nobody_and_the_whole_id_keeps_to_its_length() {
    assert_eq!(user(&token(&json!(ONE), ONE, "")).await, Err(AuthError::Subject));
    let longest = "u".repeat(255 - "one:".len());
    assert!(user(&token(&json!(ONE), ONE, &longest)).await.is_ok());
    let longer = format!("{longest}u");
    assert_eq!(
        user(&token(&json!(ONE), ONE, &longer)).await,
        Err(AuthError::Subject)
    );
}

#[test]
fn the_users_of_one_issuer_do_not_wait_for_another_that_is_away() {
    let away = |name: &str| IssuerSettings {
        keys: KeySource::Published {
            url: JwksUrl::new("https://away.test/jwks").unwrap(),
            policy: JwksPolicy::default(),
        },
        issuer: Some(name.into()),
        ..settings().issuers.remove(0)
    };
    let is_ready = |issuers: Vec<IssuerSettings>| {
        let settings = AuthSettings { issuers };
        let (authenticator, _refreshers) = Authenticator::from_settings(&settings, Clock::system()).unwrap();
        authenticator.is_ready()
    };
    assert!(is_ready(vec![away(ONE), settings().issuers.remove(1)]));
    assert!(!is_ready(vec![away(ONE), away(TWO)]));
}
