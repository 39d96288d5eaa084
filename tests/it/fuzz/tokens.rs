//! Tokens: none that was changed is accepted, and claims that are signed but odd never make an odd user.

use std::time::Duration;

use agent_websocket::auth::{Authenticator, MAX_TOKEN_BYTES, MintRequest, Principal, mint};
use agent_websocket::clock::Clock;
use agent_websocket::ids::UserId;
use agent_websocket::secret::Secret;
use futures_util::FutureExt;
use jsonwebtoken::{EncodingKey, Header};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::fuzz;
use super::mutation::mutated_text;
use crate::support::node::{SECRET, settings};

const NOW: OffsetDateTime = datetime!(2026-11-21 00:00 UTC);

/// Other people's tokens: no signature, another algorithm, another shape.
const SAMPLES: [&str; 5] = [
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OX0.",
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.e30.c2lnbmF0dXJl",
    "eyJhbGciOiJIUzI1NiIsImNyaXQiOlsieCJdfQ.e30.c2lnbmF0dXJl",
    "a.b.c",
    "..",
];

fn authenticator() -> Authenticator {
    let claims = [("JWT_ISSUER", "https://issuer.test/"), ("JWT_AUDIENCE", "agent")];
    let settings = settings("http://127.0.0.1:9", "postgres://nowhere/agent", &claims);
    Authenticator::from_settings(&settings.auth, Clock::manual(NOW).0)
        .unwrap()
        .0
}

fn good_token() -> String {
    let request = MintRequest {
        user_id: &UserId::new("alice").unwrap(),
        ttl: Duration::from_mins(10),
        issuer: Some("https://issuer.test/"),
        audience: Some("agent"),
        authorized_party: None,
        scope: Some("agent:notify"),
        token_id: uuid::Uuid::nil(),
    };
    mint(&Secret::new(SECRET), &request, NOW).unwrap()
}

/// With a shared secret a check waits for nothing, so it is done at once.
fn verify(authenticator: &Authenticator, token: &str) -> Option<Principal> {
    authenticator
        .verify(token)
        .now_or_never()
        .expect("nothing to wait for")
        .ok()
}

#[test]
fn no_token_that_was_changed_is_accepted() {
    let (authenticator, good) = (authenticator(), good_token());
    assert!(verify(&authenticator, &good).is_some(), "the sample is good");
    let mut samples = SAMPLES.to_vec();
    samples.push(&good);
    fuzz("tokens::no_token", |random| {
        let token = mutated_text(random, &samples);
        if verify(&authenticator, &token).is_some() {
            assert_eq!(token, good, "a changed token was accepted");
        }
        assert!(token.len() <= MAX_TOKEN_BYTES || verify(&authenticator, &token).is_none());
    });
}

/// What a claim may be instead of what it should be.
fn odd(random: &mut StdRng) -> Value {
    let now = NOW.unix_timestamp();
    let odd = [
        json!(null),
        json!(true),
        json!(""),
        json!("alice"),
        json!("a\u{0}b"),
        json!("\r\n{\"level\":\"ERROR\"}"),
        json!("x".repeat(300)),
        json!("https://issuer.test/"),
        json!("agent"),
        json!(["agent", "other"]),
        json!([]),
        json!({ "a": 1 }),
        json!(0),
        json!(-1),
        json!(now + 60),
        json!(now - 60),
        json!(now as f64 + 0.5),
        json!(f64::MAX),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(now.to_string()),
    ];
    odd.choose(random).unwrap().clone()
}

#[test]
fn claims_that_are_signed_but_odd_make_no_odd_user() {
    let authenticator = authenticator();
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let now = NOW.unix_timestamp();
    let good = json!({
        "sub": "alice", "exp": now + 600, "iat": now, "nbf": now, "iss": "https://issuer.test/", "aud": "agent",
        "jti": "t1", "scope": "a b",
    });
    let good: Map<String, Value> = good.as_object().unwrap().clone();
    let names: Vec<String> = good.keys().cloned().collect();
    let (mut accepted, mut refused) = (0_u32, 0_u32);
    fuzz("tokens::claims", |random| {
        let mut claims = good.clone();
        for _ in 0..random.random_range(0..3) {
            let name = names.choose(random).unwrap();
            if random.random() {
                claims.remove(name);
            } else {
                claims.insert(name.clone(), odd(random));
            }
        }
        let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
        let Some(principal) = verify(&authenticator, &token) else {
            refused += 1;
            return;
        };
        accepted += 1;
        let user = principal.user_id.as_str();
        assert!(
            !user.is_empty() && user.len() <= 255 && !user.chars().any(char::is_control),
            "{claims:?}"
        );
        assert_eq!(claims["sub"], user, "{claims:?}");
        assert_eq!(claims["iss"], "https://issuer.test/", "{claims:?}");
        assert!(principal.expires_at > NOW - Duration::from_secs(31), "{claims:?}");
        let names_us = claims["aud"] == "agent" || claims["aud"] == json!(["agent", "other"]);
        assert!(names_us, "{claims:?}");
    });
    assert!(refused < 50 || accepted > refused / 50, "{accepted} accepted");
}
