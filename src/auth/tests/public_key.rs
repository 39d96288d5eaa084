//! What a PEM text is taken for, and which tokens the key then verifies.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::super::{AuthError, InvalidPublicKey, KeySource, PublicKey};
use super::fixture::{
    ED25519_PUBLIC_PEM, OTHER_PUBLIC_KEYS, P256_PKCS8, P256_PUBLIC_PEM, P384_PUBLIC_PEM, RSA_PUBLIC_PEM,
    RSA_TOKEN, p384_pkcs8, pem, rsa,
};
use super::{claims, ed25519, issuer, only, sign, verify_with};

/// What becomes of a good payload that is signed in this way, where this is the issuer's key.
async fn signed(pem: &str, key: &EncodingKey, algorithm: Algorithm) -> Result<String, AuthError> {
    let settings = only(issuer(KeySource::Public(PublicKey::from_pem(pem).unwrap())));
    let header = json!({ "alg": algorithm }).to_string();
    let token = sign(&header, &claims(&json!({})).to_string(), key, algorithm);
    verify_with(&settings, &token)
        .await
        .map(|principal| principal.user_id.to_string())
}

#[tokio::test]
async fn each_kind_of_key_verifies_what_it_is_for_and_nothing_else() {
    let (rsa, rsa_der) = rsa();
    let rsa_pem = pem(rsa_der);
    // The kind of the key's own: its last number is 10 where that of a plain one is 1.
    let pss_pem = {
        let mut der = rsa_der.clone();
        der[16] = 10;
        pem(&der)
    };
    let p256 = EncodingKey::from_ec_der(&P256_PKCS8);
    let p384 = EncodingKey::from_ec_der(&p384_pkcs8());
    let ed = ed25519(1);
    let plain = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];
    let pss = [Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    #[rustfmt::skip]
    let kinds: [(&str, &str, &EncodingKey, Vec<Algorithm>); 5] = [
        ("RSA", &rsa_pem, rsa, [plain, pss].concat()),
        ("RSA-PSS", &pss_pem, rsa, pss.to_vec()),
        ("P-256", P256_PUBLIC_PEM, &p256, vec![Algorithm::ES256]),
        ("P-384", P384_PUBLIC_PEM, &p384, vec![Algorithm::ES384]),
        ("Ed25519", ED25519_PUBLIC_PEM, &ed, vec![Algorithm::EdDSA]),
    ];
    for (name, pem, key, accepted) in &kinds {
        for algorithm in accepted {
            assert_eq!(
                signed(pem, key, *algorithm).await.as_deref(),
                Ok("u_42"),
                "{name} {algorithm:?}"
            );
        }
        for (_, _, other, algorithms) in &kinds {
            for algorithm in algorithms
                .iter()
                .filter(|algorithm| !accepted.contains(algorithm))
            {
                let outcome = signed(pem, other, *algorithm).await;
                assert_eq!(outcome, Err(AuthError::Algorithm), "{name} {algorithm:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_text_is_taken_as_operators_have_it() {
    let one_line = RSA_PUBLIC_PEM.replace('\n', "\\n");
    let windows = RSA_PUBLIC_PEM.replace('\n', "\r\n");
    for text in [RSA_PUBLIC_PEM, RSA_PUBLIC_PEM.trim(), &one_line, &windows] {
        let settings = only(issuer(KeySource::Public(PublicKey::from_pem(text).unwrap())));
        assert!(verify_with(&settings, RSA_TOKEN).await.is_ok(), "{text:?}");
    }
}

#[test]
fn what_is_no_public_key_is_named_and_not_repeated() {
    let cut = &RSA_PUBLIC_PEM[..200];
    let body = |body: &str| format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
    let mut longer = rsa().1.clone();
    longer.push(0);
    #[rustfmt::skip]
    let cases = [
        (String::new(), InvalidPublicKey::Malformed),
        ("canary".into(), InvalidPublicKey::Malformed),
        (cut.into(), InvalidPublicKey::Malformed),
        (body("canary"), InvalidPublicKey::Malformed),
        (body(""), InvalidPublicKey::Malformed),
        (body("MIIBIjAN"), InvalidPublicKey::Malformed),
        (pem(&longer), InvalidPublicKey::Malformed),
        (format!("{RSA_PUBLIC_PEM}{RSA_PUBLIC_PEM}"), InvalidPublicKey::Malformed),
        ("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----".into(), InvalidPublicKey::Private),
        ("-----BEGIN RSA PRIVATE KEY-----\ncanary".into(), InvalidPublicKey::Private),
        (format!("{RSA_PUBLIC_PEM}-----BEGIN EC PRIVATE KEY-----\ncanary"), InvalidPublicKey::Private),
        ("-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----".into(), InvalidPublicKey::Certificate),
        (OTHER_PUBLIC_KEYS[0].into(), InvalidPublicKey::Kind),
        (OTHER_PUBLIC_KEYS[1].into(), InvalidPublicKey::Kind),
        (OTHER_PUBLIC_KEYS[2].into(), InvalidPublicKey::Weak),
    ];
    for (text, expected) in cases {
        let fault = PublicKey::from_pem(&text).unwrap_err();
        assert_eq!(fault, expected, "{text}");
        assert!(!fault.to_string().contains("canary"), "{fault}");
    }
}

#[test]
fn no_cut_or_changed_key_makes_the_reader_panic() {
    let (_, der) = rsa();
    for n in 0..der.len() {
        assert!(PublicKey::from_pem(&pem(&der[..n])).is_err(), "{n} bytes of it");
    }
    for n in 0..40 {
        for change in [0, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xff] {
            let mut changed = der.clone();
            changed[n] = change;
            // Whatever it is taken for; the key's own bytes come later.
            let _ = PublicKey::from_pem(&pem(&changed));
        }
    }
}
