//! Every rule for a token, each by a token that breaks only this one.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::super::{AuthError, AuthSetupError, Authenticator, IssuerSettings, KeySource, Principal};
use super::{AUDIENCE, ISSUER, NOW, SECRET, base64url, claims, hs256, only, shared, sign, verify_with};
use crate::clock::Clock;
use crate::secret::Secret;

async fn verify(token: &str) -> Result<Principal, AuthError> {
    verify_with(&only(shared()), token).await
}

fn jwt() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

#[tokio::test]
async fn an_accepted_token_names_its_principal() {
    let token = hs256(
        &jwt(),
        &claims(&json!({ "jti": "t1", "scope": "agent:notify  read" })),
    );
    let principal = verify(&token).await.unwrap();
    assert_eq!(principal.user_id.as_str(), "u_42");
    assert_eq!(principal.issued_at, Some(NOW));
    assert_eq!(principal.expires_at, NOW + Duration::from_mins(10));
    assert_eq!(principal.token_id.as_deref(), Some("t1"));
    assert_eq!(principal.issuer.as_deref(), Some(ISSUER));
    assert_eq!(principal.scopes, ["agent:notify", "read"]);
}

#[tokio::test]
async fn what_issuers_differ_in_is_accepted() {
    let now = NOW.unix_timestamp();
    let key = json!({ "kty": "oct", "k": "AAAA" });
    #[rustfmt::skip]
    let cases = [
        ("no typ", json!({ "alg": "HS256" }), json!({})),
        ("typ in lower case", json!({ "alg": "HS256", "typ": "jwt" }), json!({})),
        ("typ of RFC 9068", json!({ "alg": "HS256", "typ": "at+jwt" }), json!({})),
        ("kid where there is one key", json!({ "alg": "HS256", "kid": "1" }), json!({})),
        ("a key of its own is not looked at", json!({ "alg": "HS256", "jwk": key }), json!({})),
        (
            "nor where to find one",
            json!({ "alg": "HS256", "jku": "http://x/", "x5u": "http://x/" }),
            json!({}),
        ),
        ("several audiences", jwt(), json!({ "aud": ["other", AUDIENCE] })),
        ("any configured audience", jwt(), json!({ "aud": "second" })),
        ("no iat", jwt(), json!({ "iat": null })),
        ("exp with a fraction", jwt(), json!({ "exp": 1_767_225_600.5 + 60.0 })),
        ("nbf in the past", jwt(), json!({ "nbf": now - 60 })),
        ("scope as a list", jwt(), json!({ "scope": ["a", "b"] })),
        ("unknown claims", jwt(), json!({ "role": "admin", "exp_": "x" })),
        ("longest sub", jwt(), json!({ "sub": "u".repeat(255) })),
    ];
    for (name, header, changes) in cases {
        let outcome = verify(&hs256(&header, &claims(&changes))).await;
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_token_that_breaks_one_rule_is_refused_for_it() {
    let now = NOW.unix_timestamp();
    #[rustfmt::skip]
    let cases = [
        ("typ of an ID token's logout", json!({ "typ": "logout+jwt" }), json!({}), AuthError::Type),
        ("empty typ", json!({ "typ": "" }), json!({}), AuthError::Type),
        ("crit", json!({ "crit": ["exp"] }), json!({}), AuthError::Critical),
        ("empty crit", json!({ "crit": [] }), json!({}), AuthError::Critical),
        ("unencoded payload", json!({ "crit": ["b64"], "b64": false }), json!({}), AuthError::Critical),
        ("no exp", json!({}), json!({ "exp": null }), AuthError::MissingClaim),
        ("exp as text", json!({}), json!({ "exp": (now + 600).to_string() }), AuthError::Malformed),
        ("exp beyond all years", json!({}), json!({ "exp": u64::MAX }), AuthError::Malformed),
        ("exp in exponent form", json!({}), json!({ "exp": 1e300 }), AuthError::MissingClaim),
        ("exp as a list", json!({}), json!({ "exp": [now + 600] }), AuthError::Malformed),
        ("negative exp", json!({}), json!({ "exp": -1 }), AuthError::MissingClaim),
        ("expired", json!({}), json!({ "exp": now - 60 }), AuthError::Expired),
        ("nbf ahead", json!({}), json!({ "nbf": now + 60 }), AuthError::NotYetValid),
        ("nbf as text", json!({}), json!({ "nbf": "0" }), AuthError::Malformed),
        ("iat ahead", json!({}), json!({ "iat": now + 60 }), AuthError::NotYetValid),
        ("iat as text", json!({}), json!({ "iat": "0" }), AuthError::Malformed),
        ("no sub", json!({}), json!({ "sub": null }), AuthError::MissingClaim),
        ("empty sub", json!({}), json!({ "sub": "" }), AuthError::Subject),
        ("NUL in sub", json!({}), json!({ "sub": "u\0" }), AuthError::Subject),
        ("line break in sub", json!({}), json!({ "sub": "u\nv" }), AuthError::Subject),
        ("long sub", json!({}), json!({ "sub": "u".repeat(256) }), AuthError::Subject),
        ("sub as a number", json!({}), json!({ "sub": 42 }), AuthError::Malformed),
        ("no iss", json!({}), json!({ "iss": null }), AuthError::MissingClaim),
        ("other iss", json!({}), json!({ "iss": "https://issuer.test" }), AuthError::Issuer),
        ("iss as a list", json!({}), json!({ "iss": [ISSUER] }), AuthError::Malformed),
        ("no aud", json!({}), json!({ "aud": null }), AuthError::MissingClaim),
        ("other aud", json!({}), json!({ "aud": "other" }), AuthError::Audience),
        ("other auds", json!({}), json!({ "aud": ["other", "another"] }), AuthError::Audience),
        ("no auds", json!({}), json!({ "aud": [] }), AuthError::Audience),
        ("aud as a number", json!({}), json!({ "aud": 1 }), AuthError::Malformed),
        ("line break in jti", json!({}), json!({ "jti": "a\nb" }), AuthError::Malformed),
        ("scope as an object", json!({}), json!({ "scope": { "agent:notify": true } }), AuthError::Malformed),
        ("9 KiB", json!({}), json!({ "x": "x".repeat(9 * 1024) }), AuthError::TooLong),
    ];
    for (name, header, changes, expected) in cases {
        let mut full_header = jwt();
        full_header
            .as_object_mut()
            .unwrap()
            .extend(header.as_object().unwrap().clone());
        let token = hs256(&full_header, &claims(&changes));
        assert_eq!(verify(&token).await, Err(expected), "{name}");
    }
}

#[tokio::test]
async fn a_token_that_this_key_did_not_sign_in_this_way_is_refused() {
    let payload = claims(&json!({})).to_string();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let good = hs256(&jwt(), &claims(&json!({})));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let forged = base64url(claims(&json!({ "sub": "admin" })).to_string().as_bytes());
    let with_alg =
        |alg: &str, signed_as| sign(&json!({ "alg": alg }).to_string(), &payload, &secret, signed_as);
    let unsigned = with_alg("none", Algorithm::HS256);
    let other_key = |bytes: &[u8]| {
        sign(
            &jwt().to_string(),
            &payload,
            &EncodingKey::from_secret(bytes),
            Algorithm::HS256,
        )
    };
    #[rustfmt::skip]
    let cases = [
        ("alg none, signed", unsigned.clone(), AuthError::Malformed),
        ("alg none", format!("{}.", unsigned.rsplit_once('.').unwrap().0), AuthError::Malformed),
        ("alg NONE", with_alg("NONE", Algorithm::HS256), AuthError::Malformed),
        ("no alg", sign("{}", &payload, &secret, Algorithm::HS256), AuthError::Malformed),
        ("another HMAC", with_alg("HS512", Algorithm::HS512), AuthError::Algorithm),
        ("an RSA label", with_alg("RS256", Algorithm::HS256), AuthError::Algorithm),
        ("another secret", other_key(b"another secret, also of 32 bytes"), AuthError::Signature),
        ("an empty secret", other_key(b""), AuthError::Signature),
        ("no signature", format!("{message}."), AuthError::Signature),
        ("half a signature", format!("{message}.{}", &signature[..20]), AuthError::Signature),
        ("a changed payload", format!("{header}.{forged}.{signature}"), AuthError::Signature),
    ];
    for (name, token, expected) in cases {
        assert_eq!(verify(&token).await, Err(expected), "{name}");
    }
}

#[tokio::test]
async fn texts_that_are_no_token_are_refused() {
    let good = hs256(&jwt(), &claims(&json!({})));
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let signed = |payload: &str| sign(&jwt().to_string(), payload, &secret, Algorithm::HS256);
    let doubled = r#"{"sub":"u_42","sub":"admin","exp":1767226200}"#;
    #[rustfmt::skip]
    let cases = [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c".into(),
        "\0".into(),
        "x".repeat(8 * 1024),
        good.rsplit_once('.').unwrap().0.into(),
        format!("{good}.x"),
        format!("{good}.x.y"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}="),
        format!("Bearer {good}"),
        signed("not JSON"),
        signed("[]"),
        signed("null"),
        signed(&"[".repeat(2_000)),
        signed(doubled),
    ];
    for token in cases {
        assert_eq!(verify(&token).await, Err(AuthError::Malformed), "{token:?}");
    }
}

#[tokio::test]
async fn times_hold_to_the_second_with_thirty_seconds_of_leeway() {
    let now = NOW.unix_timestamp();
    #[rustfmt::skip]
    let cases = [
        (json!({ "exp": now + 1 }), Ok(())),
        (json!({ "exp": now - 29 }), Ok(())),
        (json!({ "exp": now - 30 }), Err(AuthError::Expired)),
        (json!({ "nbf": now + 30 }), Ok(())),
        (json!({ "nbf": now + 31 }), Err(AuthError::NotYetValid)),
        (json!({ "iat": now + 30 }), Ok(())),
        (json!({ "iat": now + 31 }), Err(AuthError::NotYetValid)),
    ];
    for (changes, expected) in cases {
        let outcome = verify(&hs256(&jwt(), &claims(&changes))).await;
        assert_eq!(outcome.map(drop), expected, "{changes}");
    }
}

#[tokio::test]
async fn a_token_expires_as_the_clock_moves() {
    let (clock, hand) = Clock::manual(NOW);
    let (authenticator, _) = Authenticator::from_settings(&only(shared()), clock).unwrap();
    let token = hs256(&jwt(), &claims(&json!({})));
    hand.advance(Duration::from_millis(629_999));
    assert!(authenticator.verify(&token).await.is_ok());
    hand.advance(Duration::from_millis(1));
    assert_eq!(authenticator.verify(&token).await, Err(AuthError::Expired));
}

#[tokio::test]
async fn without_a_configured_audience_a_token_for_somebody_is_refused() {
    let settings = only(IssuerSettings {
        issuer: None,
        audiences: Vec::new(),
        ..shared()
    });
    let for_nobody = claims(&json!({ "aud": null, "iss": null }));
    assert!(verify_with(&settings, &hs256(&jwt(), &for_nobody)).await.is_ok());
    let for_somebody = claims(&json!({ "iss": "https://anyone.test/" }));
    assert_eq!(
        verify_with(&settings, &hs256(&jwt(), &for_somebody)).await,
        Err(AuthError::Audience)
    );
}

#[test]
fn a_secret_under_32_bytes_makes_no_authenticator() {
    for short in ["", "0123456789012345678901234567890"] {
        let settings = only(IssuerSettings {
            keys: KeySource::Shared(Secret::new(short)),
            ..shared()
        });
        let outcome = Authenticator::from_settings(&settings, Clock::system());
        assert!(
            matches!(outcome, Err(AuthSetupError::SecretTooShort)),
            "{short:?}"
        );
    }
}

#[test]
fn settings_and_authenticator_do_not_print_the_secret() {
    let settings = only(shared());
    let (authenticator, _) = Authenticator::from_settings(&settings, Clock::system()).unwrap();
    let printed = format!("{settings:?} {authenticator:?}");
    assert!(
        !printed.contains(SECRET) && !printed.contains(&format!("{:?}", SECRET.as_bytes())),
        "{printed}"
    );
}
