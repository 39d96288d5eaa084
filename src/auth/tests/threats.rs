//! The threats T1 and T2 of the threat model, each case by its name and against every kind of key: a token that is missing
//! something, confused, forged or foreign reaches nobody. `tokens` tries the rules one by one with more cases.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::super::{AuthError, AuthSettings, IssuerSettings, KeySource, PublicKey};
use super::fixture::{RSA_PUBLIC_PEM, pem, rsa};
use super::key_set::jwk;
use super::{ISSUER, NOW, SECRET, claims, ed25519, issuer, only, shared, sign, verify_with};
use crate::auth::MAX_TOKEN_BYTES;

/// A way in which an issuer signs, and the settings that accept it.
struct Signer {
    name: &'static str,
    settings: AuthSettings,
    key: EncodingKey,
    algorithm: Algorithm,
}

fn signers() -> [Signer; 3] {
    let (private, public) = rsa();
    let public = PublicKey::from_pem(&pem(public)).unwrap();
    let edwards = PublicKey::from_pem(super::fixture::ED25519_PUBLIC_PEM).unwrap();
    let signer = |name, settings: IssuerSettings, key, algorithm| Signer {
        name,
        settings: only(settings),
        key,
        algorithm,
    };
    [
        signer(
            "secret",
            shared(),
            EncodingKey::from_secret(SECRET.as_bytes()),
            Algorithm::HS256,
        ),
        signer(
            "RSA",
            issuer(KeySource::Public(public)),
            private.clone(),
            Algorithm::RS256,
        ),
        signer(
            "Ed25519",
            issuer(KeySource::Public(edwards)),
            ed25519(1),
            Algorithm::EdDSA,
        ),
    ]
}

impl Signer {
    fn token(&self, header: &Value, changes: &Value) -> String {
        let mut full = json!({ "alg": self.algorithm, "typ": "JWT" });
        full.as_object_mut()
            .unwrap()
            .extend(header.as_object().unwrap().clone());
        sign(
            &full.to_string(),
            &claims(changes).to_string(),
            &self.key,
            self.algorithm,
        )
    }

    async fn outcome(&self, token: &str) -> Result<String, AuthError> {
        let accepted = verify_with(&self.settings, token).await;
        accepted.map(|principal| principal.user_id.to_string())
    }
}

#[tokio::test]
async fn t1_a_missing_foreign_confused_or_unsigned_token_reaches_nobody() {
    for signer in signers() {
        let good = signer.token(&json!({}), &json!({}));
        assert_eq!(
            signer.outcome(&good).await.as_deref(),
            Ok("u_42"),
            "{}",
            signer.name
        );
        let (message, signature) = good.rsplit_once('.').unwrap();
        let unsigned = |alg: &str| {
            let header = json!({ "alg": alg, "typ": "JWT" }).to_string();
            let token = sign(
                &header,
                &claims(&json!({})).to_string(),
                &signer.key,
                signer.algorithm,
            );
            token.rsplit_once('.').unwrap().0.to_owned() + "."
        };
        let swapped: String = signature.chars().rev().collect();
        let cases = [
            ("none at all", String::new()),
            ("alg none", unsigned("none")),
            ("alg None", unsigned("None")),
            ("no signature", format!("{message}.")),
            ("another signature", format!("{message}.{swapped}")),
            (
                "expired",
                signer.token(&json!({}), &json!({ "exp": NOW.unix_timestamp() - 31 })),
            ),
            (
                "another issuer",
                signer.token(&json!({}), &json!({ "iss": "https://evil.test/" })),
            ),
            (
                "the issuer as a list",
                signer.token(&json!({}), &json!({ "iss": [ISSUER] })),
            ),
        ];
        for (name, token) in cases {
            assert!(signer.outcome(&token).await.is_err(), "{}: {name}", signer.name);
        }
        for other in signers().iter().filter(|other| other.name != signer.name) {
            let token = other.token(&json!({}), &json!({}));
            assert_eq!(
                signer.outcome(&token).await,
                Err(AuthError::Algorithm),
                "{}",
                other.name
            );
        }
    }
}

#[tokio::test]
async fn t1_the_public_key_is_no_hmac_secret() {
    let key = PublicKey::from_pem(RSA_PUBLIC_PEM).unwrap();
    let settings = only(issuer(KeySource::Public(key)));
    let der = &super::fixture::rsa().1;
    for secret in [RSA_PUBLIC_PEM.as_bytes(), RSA_PUBLIC_PEM.trim().as_bytes(), der] {
        for (alg, algorithm) in [
            ("HS256", Algorithm::HS256),
            ("HS512", Algorithm::HS512),
            ("RS256", Algorithm::HS256),
        ] {
            let header = json!({ "alg": alg, "typ": "JWT" }).to_string();
            let payload = claims(&json!({ "sub": "admin" })).to_string();
            let token = sign(&header, &payload, &EncodingKey::from_secret(secret), algorithm);
            let outcome = verify_with(&settings, &token).await;
            assert!(
                matches!(outcome, Err(AuthError::Algorithm | AuthError::Signature)),
                "{alg}: {outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn t1_a_token_does_not_bring_its_own_key() {
    let intruder = ed25519(9);
    let own = jwk("1", &intruder, Algorithm::EdDSA);
    for signer in signers() {
        for header in [
            json!({ "jwk": own }),
            json!({ "jku": "http://127.0.0.1:1/keys", "kid": "1" }),
            json!({ "x5u": "http://127.0.0.1:1/chain" }),
            json!({ "x5c": ["MIIB"] }),
        ] {
            let honest = signer.outcome(&signer.token(&header, &json!({}))).await;
            assert!(
                honest.is_ok(),
                "{}: it is not looked at: {header} {honest:?}",
                signer.name
            );
            let mut full = header.clone();
            full["alg"] = "EdDSA".into();
            let payload = claims(&json!({})).to_string();
            let forged = sign(&full.to_string(), &payload, &intruder, Algorithm::EdDSA);
            assert!(
                signer.outcome(&forged).await.is_err(),
                "{}: {header}",
                signer.name
            );
        }
    }
}

#[tokio::test]
async fn t2_a_token_whose_claims_or_header_break_a_rule_is_refused_for_it() {
    let now = NOW.unix_timestamp();
    #[rustfmt::skip]
    let cases = [
        ("no iss", json!({}), json!({ "iss": null }), AuthError::MissingClaim),
        ("no aud", json!({}), json!({ "aud": null }), AuthError::MissingClaim),
        ("no sub", json!({}), json!({ "sub": null }), AuthError::MissingClaim),
        ("no exp", json!({}), json!({ "exp": null }), AuthError::MissingClaim),
        ("exp as text", json!({}), json!({ "exp": (now + 600).to_string() }), AuthError::Malformed),
        ("nbf as text", json!({}), json!({ "nbf": now.to_string() }), AuthError::Malformed),
        ("nbf in the future", json!({}), json!({ "nbf": now + 31 }), AuthError::NotYetValid),
        ("iat in the far future", json!({}), json!({ "iat": now + 86_400 }), AuthError::NotYetValid),
        ("another aud", json!({}), json!({ "aud": "another" }), AuthError::Audience),
        ("empty sub", json!({}), json!({ "sub": "" }), AuthError::Subject),
        ("NUL in sub", json!({}), json!({ "sub": "u\0" }), AuthError::Subject),
        ("control character in sub", json!({}), json!({ "sub": "u\u{1b}[2J" }), AuthError::Subject),
        ("C1 control character in sub", json!({}), json!({ "sub": "u\u{85}" }), AuthError::Subject),
        ("256 bytes of sub", json!({}), json!({ "sub": "u".repeat(256) }), AuthError::Subject),
        ("crit", json!({ "crit": ["exp"] }), json!({}), AuthError::Critical),
        ("typ of an ID token's kind", json!({ "typ": "id+jwt" }), json!({}), AuthError::Type),
        ("typ of a DPoP proof", json!({ "typ": "dpop+jwt" }), json!({}), AuthError::Type),
        ("9 KiB", json!({}), json!({ "x": "x".repeat(9 * 1024) }), AuthError::TooLong),
    ];
    for signer in signers() {
        for (name, header, changes, expected) in &cases {
            let token = signer.token(header, changes);
            assert_eq!(
                signer.outcome(&token).await,
                Err(*expected),
                "{}: {name}",
                signer.name
            );
        }
    }
}

#[tokio::test]
async fn t2_what_is_longer_than_8_kib_is_not_parsed() {
    // Were it parsed, it would be malformed.
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    for signer in signers() {
        assert_eq!(signer.outcome(&long).await, Err(AuthError::TooLong));
        assert_eq!(signer.outcome(&long[1..]).await, Err(AuthError::Malformed));
    }
}

#[tokio::test]
async fn t2_where_the_issuer_sets_no_aud_its_azp_must_be_a_known_one() {
    let parties = only(IssuerSettings {
        audiences: Vec::new(),
        authorized_parties: vec!["https://app.example.com".into()],
        ..shared()
    });
    let app = "https://app.example.com";
    #[rustfmt::skip]
    let cases = [
        ("known", json!({ "aud": null, "azp": app }), Ok(())),
        ("absent", json!({ "aud": null }), Err(AuthError::MissingClaim)),
        ("empty", json!({ "aud": null, "azp": "" }), Err(AuthError::AuthorizedParty)),
        ("unknown", json!({ "aud": null, "azp": "https://evil.test" }), Err(AuthError::AuthorizedParty)),
        ("a list", json!({ "aud": null, "azp": [app] }), Err(AuthError::Malformed)),
        ("made for somebody", json!({ "azp": app }), Err(AuthError::Audience)),
        ("of another issuer", json!({ "aud": null, "azp": app, "iss": "x" }), Err(AuthError::Issuer)),
    ];
    let header = json!({ "alg": "HS256" }).to_string();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    for (name, changes, expected) in cases {
        let token = sign(&header, &claims(&changes).to_string(), &secret, Algorithm::HS256);
        assert_eq!(verify_with(&parties, &token).await.map(drop), expected, "{name}");
    }
    let both = only(IssuerSettings {
        authorized_parties: vec![app.into()],
        ..shared()
    });
    let token = sign(
        &header,
        &claims(&json!({})).to_string(),
        &secret,
        Algorithm::HS256,
    );
    assert_eq!(
        verify_with(&both, &token).await,
        Err(AuthError::MissingClaim),
        "an audience does not make up for it"
    );
}
