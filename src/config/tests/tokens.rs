//! The settings about tokens: one source of keys, what goes with it, several issuers, and nothing secret in a fault.

use serde_json::{Value, json};

use super::{SECRET, dev, faulty, serve};
use crate::auth::KeySource;

const JWKS: (&str, &str) = ("JWT_JWKS_URL", "https://issuer.test/jwks.json");
const ISSUER: (&str, &str) = ("JWT_ISSUER", "i");
const AUDIENCE: (&str, &str) = ("JWT_AUDIENCE", "a,b");
const PARTIES: (&str, &str) = ("JWT_AUTHORIZED_PARTIES", "https://app.example.com");
const NO_SECRET: (&str, &str) = ("JWT_SECRET", "");
const PEM: &str = "-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\\n\
                   -----END PUBLIC KEY-----";
const PUBLIC_KEY: (&str, &str) = ("JWT_PUBLIC_KEY", PEM);

#[test]
fn keys_come_from_one_source() {
    let all = [JWKS, PUBLIC_KEY, ("JWT_ISSUERS", "[]"), ISSUER, AUDIENCE];
    assert_eq!(
        faulty(serve(&all)),
        [
            "JWT_PUBLIC_KEY",
            "JWT_JWKS_URL",
            "JWT_ISSUERS",
            "JWT_ISSUERS",
            "JWT_ISSUER",
            "JWT_AUDIENCE",
        ],
        "every contradiction is told at once"
    );
    assert_eq!(faulty(serve(&[JWKS, ISSUER, AUDIENCE])), ["JWT_JWKS_URL"]);
    assert_eq!(faulty(serve(&[PUBLIC_KEY, ISSUER, AUDIENCE])), ["JWT_PUBLIC_KEY"]);
}

#[test]
fn a_public_key_needs_the_issuers_name_and_for_whom_its_tokens_are() {
    for source in [JWKS, PUBLIC_KEY] {
        let cases = [
            (vec![], vec!["JWT_ISSUER", "JWT_AUDIENCE"]),
            (vec![ISSUER], vec!["JWT_AUDIENCE"]),
            (vec![AUDIENCE], vec!["JWT_ISSUER"]),
            (vec![ISSUER, AUDIENCE], vec![]),
            (vec![ISSUER, PARTIES], vec![]),
        ];
        for (changes, expected) in cases {
            let all = [vec![source, NO_SECRET], changes].concat();
            assert_eq!(faulty(serve(&all)), expected, "{all:?}");
        }
    }
    let keys = |changes: &[(&str, &str)]| {
        let settings = dev(&[&[ISSUER, PARTIES], changes].concat()).unwrap();
        settings.auth.only().unwrap().keys.clone()
    };
    assert!(matches!(keys(&[PUBLIC_KEY]), KeySource::Public(_)));
    assert!(matches!(keys(&[JWKS]), KeySource::Published { .. }));
    assert!(matches!(keys(&[]), KeySource::DataDirectory));
}

/// Two issuers that can stand beside each other, with changes to the first.
fn two(changes: &Value) -> String {
    let mut one = json!({
        "issuer": "https://one.test", "jwks_url": "https://one.test/jwks", "audiences": ["a"], "user_prefix": "one:",
    });
    let other = json!({
        "issuer": "https://two.test", "secret": SECRET, "authorized_parties": ["app"], "user_prefix": "two:",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => one.as_object_mut().unwrap().remove(name),
            value => one.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    json!([one, other]).to_string()
}

#[test]
fn several_issuers_are_read_each_with_its_own() {
    let settings = serve(&[NO_SECRET, ("JWT_ISSUERS", &two(&json!({})))]).unwrap();
    let [one, other] = settings.auth.issuers.as_slice() else {
        panic!("two issuers")
    };
    assert!(matches!(one.keys, KeySource::Published { .. }));
    assert!(matches!(other.keys, KeySource::Shared(_)));
    assert_eq!(one.issuer.as_deref(), Some("https://one.test"));
    assert_eq!(
        (one.user_prefix.as_str(), other.user_prefix.as_str()),
        ("one:", "two:")
    );
    assert_eq!(
        (one.audiences.as_slice(), one.authorized_parties.len()),
        (["a".to_owned()].as_slice(), 0)
    );
    assert_eq!(
        (other.authorized_parties.as_slice(), other.audiences.len()),
        (["app".to_owned()].as_slice(), 0)
    );
    assert!(settings.auth.only().is_none(), "nobody's tokens are ours to make");
}

#[test]
fn issuers_that_could_be_confused_or_lack_something_are_refused() {
    #[rustfmt::skip]
    let cases = [
        (json!({ "issuer": null }), "entry 1 that lacks issuer"),
        (json!({ "issuer": " " }), "entry 1 that has no text in issuer"),
        (json!({ "issuer": "https://two.test" }), "entry 2 that has the issuer of entry 1"),
        (json!({ "audiences": null }), "entry 1 that lacks audiences"),
        (json!({ "audiences": [] }), "entry 1 that lacks audiences"),
        (json!({ "audiences": "a" }), "entry 1 that has no list of texts in audiences"),
        (json!({ "audiences": [1] }), "entry 1 that has no list of texts in audiences"),
        (json!({ "user_prefix": null }), "entry 1 that lacks user_prefix"),
        (json!({ "user_prefix": "" }), "entry 1 that has no text in user_prefix"),
        (json!({ "user_prefix": "x\n" }), "entry 1 that has a user_prefix over 64 bytes, or with control"),
        (json!({ "user_prefix": "x".repeat(65) }), "entry 1 that has a user_prefix over 64 bytes"),
        (json!({ "user_prefix": "two:" }), "entry 2 that has a user_prefix that begins that of entry 1"),
        (json!({ "user_prefix": "two:x" }), "entry 2 that has a user_prefix that begins that of entry 1"),
        (json!({ "user_prefix": "t" }), "entry 2 that has a user_prefix that begins that of entry 1"),
        (json!({ "jwks_url": null }), "entry 1 that must name one of"),
        (json!({ "secret": SECRET }), "entry 1 that must name one of"),
        (json!({ "public_key": PEM }), "entry 1 that must name one of"),
        (json!({ "jwks_url": "http://one.test" }), "entry 1 that has a jwks_url that is not an https address"),
        (json!({ "jwks_url": null, "secret": "short" }), "entry 1 that has a secret under 32 bytes"),
        (json!({ "jwks_url": null, "public_key": "x" }), "entry 1 that has a public_key that is not a public key"),
        (json!({ "audience": ["a"] }), "entry 1 that has the unknown field \"audience\""),
    ];
    for (changes, expected) in cases {
        let faults = serve(&[NO_SECRET, ("JWT_ISSUERS", &two(&changes))]).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.message.contains(expected)),
            "{changes}: {faults:?}"
        );
    }
    for text in ["{}", "[]", "[1]", "x", "[{}"] {
        let faults = faulty(serve(&[NO_SECRET, ("JWT_ISSUERS", text)]));
        assert_eq!(faults, ["JWT_ISSUERS"], "{text}");
    }
}

#[test]
fn no_fault_about_keys_repeats_them() {
    let private = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----";
    let bad = [
        ("JWT_PUBLIC_KEY", private.to_owned()),
        ("JWT_PUBLIC_KEY", "canary".to_owned()),
        (
            "JWT_ISSUERS",
            two(&json!({ "jwks_url": null, "secret": "canary" })),
        ),
        ("JWT_ISSUERS", two(&json!({ "public_key": private }))),
        ("JWT_ISSUERS", r#"["canary"]"#.to_owned()),
        ("JWT_ISSUERS", r#"[{"secret": canary}]"#.to_owned()),
        ("JWT_ISSUERS", r#"[{"secret": ["canary"]}]"#.to_owned()),
    ];
    for (name, value) in bad {
        let faults = serve(&[NO_SECRET, (name, &value)]).unwrap_err();
        assert!(!format!("{faults:?}").contains("canary"), "{faults:?}");
    }
    let secret = "canary canary canary canary canary";
    let issuers = two(&json!({ "jwks_url": null, "secret": secret }));
    let settings = serve(&[NO_SECRET, ("JWT_ISSUERS", &issuers)]).unwrap();
    assert!(!format!("{settings:?}").contains("canary"));
}
