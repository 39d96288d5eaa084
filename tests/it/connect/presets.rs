//! The settings that docs/tokens.md gives for each identity product, against tokens in that product's own shape: what its users
//! show is accepted, and what else the same keys sign is not.

use std::time::Duration;

use agent_websocket::clock::Clock;
use serde_json::{Value, json};

use super::{assert_told_off, open_as_browser, open_as_program};
use crate::support::issuer::{KeyServer, SigningKey};
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

/// The settings under a heading of the document: the block with this number.
fn documented(heading: &str, block: usize) -> Vec<(String, String)> {
    let document = include_str!("../../../docs/tokens.md");
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let text = section.split("```sh\n").nth(block + 1).unwrap();
    text.split("```")
        .next()
        .unwrap()
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A node with the documented settings, but that keys are fetched here.
async fn node(
    provider: &ScriptedProvider,
    preset: &[(String, String)],
    keys: Option<&KeyServer>,
) -> TestNode {
    let mut settings = vec![("JWT_SECRET", "")];
    for (name, value) in preset {
        let value = match keys {
            Some(keys) if name == "JWT_JWKS_URL" => {
                assert!(value.starts_with("https://"), "{value}");
                &keys.url
            }
            _ => value,
        };
        settings.push((name, value));
    }
    TestNode::start(provider, &settings).await
}

/// The claims with changes laid over them; null removes one.
fn changed(claims: &Value, changes: &Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn now() -> i64 {
    Clock::system().now().unix_timestamp()
}

/// Connects with a token and says who the server takes it for.
async fn user_of(node: &TestNode, token: &str) -> String {
    let mut client = open_as_program(node, "", token).await.unwrap();
    client.welcome().await["user_id"].as_str().unwrap().to_owned()
}

/// Checks that a token opens nothing, whichever way it is shown.
async fn assert_refused(node: &TestNode, what: &str, token: &str) {
    let refused = open_as_program(node, "", token).await.err();
    assert_eq!(refused.map(|refused| refused.status), Some(401), "{what}");
    let mut client = open_as_browser(node, "", token).await.unwrap();
    assert_told_off(&mut client, "unauthorized", 4501).await;
}

#[tokio::test]
async fn the_tokens_of_ones_own_backend_are_accepted_with_its_issuer_and_audience_only() {
    let provider = ScriptedProvider::start().await;
    let mut node = node(&provider, &documented("Your own backend", 0), None).await;
    let key = SigningKey::secret("at-least-32-bytes-of-your-own-randomness");
    let sign = |claims: &Value| key.sign(&json!({ "typ": "JWT" }), claims);
    let claims = json!({ "sub": "u_42", "iss": "https://app.example.com", "aud": "agent-websocket", "exp": now() + 600 });
    assert_eq!(user_of(&node, &sign(&claims)).await, "u_42");
    for (what, change) in [
        ("of another issuer", json!({ "iss": "https://other.example.com" })),
        ("for another audience", json!({ "aud": "billing" })),
        ("without an issuer", json!({ "iss": null })),
    ] {
        assert_refused(&node, what, &sign(&changed(&claims, &change))).await;
    }
    node.shut_down().await;
}

fn supabase_claims() -> Value {
    json!({
        "aal": "aal1", "amr": [{ "method": "password", "timestamp": now() }],
        "app_metadata": { "provider": "email", "providers": ["email"] },
        "aud": "authenticated", "email": "ada@example.com", "exp": now() + 3600, "iat": now(), "is_anonymous": false,
        "iss": "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "phone": "", "role": "authenticated",
        "session_id": "5f1c7f9e-4a0b-4b62-9c0d-2f1f4b7b8f11", "sub": "3a1f3c1e-6f1d-4c1b-8f0a-7d9f2a7b6c55",
        "user_metadata": { "email_verified": true },
    })
}

#[tokio::test]
async fn supabases_tokens_are_accepted_and_its_api_keys_are_not() {
    let provider = ScriptedProvider::start().await;
    let published = SigningKey::p256();
    let secret = SigningKey::secret("the-legacy-jwt-secret-of-the-project");
    let kid = "b81269f1-21d8-4f2e-b719-c2240a840d90";
    let jwk = published
        .published(&json!({ "kid": kid, "use": "sig", "alg": "ES256", "key_ops": ["verify"], "ext": true }));
    let keys = KeyServer::start(&[jwk]).await;
    for (block, key) in [(0, &published), (1, &secret)] {
        let mut node = node(&provider, &documented("Supabase", block), Some(&keys)).await;
        let sign = |claims: &Value| key.sign(&json!({ "kid": kid, "typ": "JWT" }), claims);
        let claims = supabase_claims();
        assert_eq!(
            user_of(&node, &sign(&claims)).await,
            claims["sub"].as_str().unwrap()
        );
        let anonymous = changed(&claims, &json!({ "is_anonymous": true, "email": "" }));
        user_of(&node, &sign(&anonymous)).await;

        let api_key = json!({ "iss": "supabase", "ref": "abcdefghijklmnopqrst", "role": "service_role",
            "iat": now(), "exp": now() + 300_000_000 });
        assert_refused(&node, "an API key", &sign(&api_key)).await;
        let other = changed(
            &claims,
            &json!({ "iss": "https://zyxwvutsrqponmlkjihg.supabase.co/auth/v1" }),
        );
        assert_refused(&node, "another project's", &sign(&other)).await;
        let anon = changed(&claims, &json!({ "aud": "anon", "role": "anon" }));
        assert_refused(&node, "for another audience", &sign(&anon)).await;
        node.shut_down().await;
    }
}

fn auth0_claims() -> Value {
    json!({
        "iss": "https://tenant.eu.auth0.com/", "sub": "auth0|507f1f77bcf86cd799439011",
        "aud": ["https://agent.example.com/api", "https://tenant.eu.auth0.com/userinfo"],
        "iat": now(), "exp": now() + 86_400, "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
        "scope": "openid profile email offline_access", "permissions": [],
    })
}

#[tokio::test]
async fn auth0s_access_tokens_of_both_profiles_are_accepted_and_its_id_tokens_are_not() {
    let provider = ScriptedProvider::start().await;
    let (current, next) = (SigningKey::rsa(), SigningKey::rsa());
    let published = |key: &SigningKey, kid: &str| {
        key.published(
            &json!({ "kid": kid, "use": "sig", "alg": "RS256", "x5t": kid, "x5c": ["MIIDDTCCAfWgAwIBAgIJ"] }),
        )
    };
    let keys = KeyServer::start(&[published(&current, "current"), published(&next, "next")]).await;
    let mut node = node(&provider, &documented("Auth0", 0), Some(&keys)).await;
    let claims = auth0_claims();
    let header = |typ: &str, kid: &str| json!({ "typ": typ, "kid": kid });
    for (key, kid) in [(&current, "current"), (&next, "next")] {
        let token = key.sign(&header("JWT", kid), &claims);
        assert_eq!(user_of(&node, &token).await, "auth0|507f1f77bcf86cd799439011");
    }
    let rfc9068 = json!({ "azp": null, "client_id": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "jti": "73WakrfVbNJBaAmhQtEeDv" });
    user_of(
        &node,
        &current.sign(&header("at+jwt", "current"), &changed(&claims, &rfc9068)),
    )
    .await;
    let machine = json!({ "sub": "awZfdIir8YFd@clients", "gty": "client-credentials", "aud": "https://agent.example.com/api" });
    user_of(
        &node,
        &current.sign(&header("JWT", "current"), &changed(&claims, &machine)),
    )
    .await;

    let id_token =
        json!({ "aud": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "azp": null, "nonce": "n", "name": "Ada" });
    let cases = [
        (
            "an ID token",
            current.sign(&header("JWT", "current"), &changed(&claims, &id_token)),
        ),
        (
            "for another API",
            current.sign(
                &header("JWT", "current"),
                &changed(&claims, &json!({ "aud": "https://other" })),
            ),
        ),
        (
            "the issuer without its slash",
            current.sign(
                &header("JWT", "current"),
                &changed(&claims, &json!({ "iss": "https://tenant.eu.auth0.com" })),
            ),
        ),
        (
            "under the other key's name",
            current.sign(&header("JWT", "next"), &claims),
        ),
    ];
    for (what, token) in cases {
        assert_refused(&node, what, &token).await;
    }
    node.shut_down().await;
}

fn clerk_claims(life: i64) -> Value {
    json!({
        "azp": "https://app.example.com", "exp": now() + life, "fva": [0, -1], "iat": now(), "iss": "https://your-site.clerk.accounts.dev",
        "jti": "3f1a9d2c7b6e", "nbf": now() - 10, "sid": "sess_2pXc3QeEDtNb", "sts": "active", "sub": "user_2pXc3MmLkQw", "v": 2,
    })
}

#[tokio::test]
async fn clerks_tokens_are_accepted_by_their_party_and_a_socket_outlives_the_first() {
    let provider = ScriptedProvider::start().await;
    let key = SigningKey::rsa();
    let kid = "ins_2pXc2Zt0";
    let keys = KeyServer::start(&[key.published(&json!({ "kid": kid, "use": "sig", "alg": "RS256" }))]).await;
    let mut node = node(&provider, &documented("Clerk", 0), Some(&keys)).await;
    let header = json!({ "cat": "cl_B7d4PD111AAA", "kid": kid, "typ": "JWT" });
    let sign = |claims: &Value| key.sign(&header, claims);
    assert_eq!(user_of(&node, &sign(&clerk_claims(60))).await, "user_2pXc3MmLkQw");

    // Their minute, in three seconds.
    let mut client = open_as_browser(&node, "", &sign(&clerk_claims(3))).await.unwrap();
    client.welcome().await;
    client.until(|frame| frame["event"] == "token_expiring").await;
    let renewed = client
        .command("auth", json!({ "token": sign(&clerk_claims(60)) }))
        .await;
    assert_eq!(renewed["event"], "auth", "{renewed}");
    provider.pause(Duration::from_millis(3_500)).await;
    assert_eq!(client.command("ping", json!({})).await["event"], "ping");

    for (what, changes) in [
        ("another site's", json!({ "azp": "https://evil.example.com" })),
        ("nobody's", json!({ "azp": null })),
        (
            "made for another service by a template",
            json!({ "aud": "convex" }),
        ),
        (
            "another instance's",
            json!({ "iss": "https://other.clerk.accounts.dev" }),
        ),
    ] {
        assert_refused(&node, what, &sign(&changed(&clerk_claims(60), &changes))).await;
    }
    node.shut_down().await;
}

#[tokio::test]
async fn keycloaks_tokens_of_one_client_are_accepted_and_those_of_others_are_not() {
    let provider = ScriptedProvider::start().await;
    let (key, encrypting) = (SigningKey::rsa(), SigningKey::rsa());
    let published = [
        encrypting.published(&json!({ "kid": "enc", "use": "enc", "alg": "RSA-OAEP" })),
        key.published(&json!({ "kid": "sig", "use": "sig", "alg": "RS256", "x5t": "x", "x5t#S256": "x", "x5c": ["MIICmzCCAYMCBgGM"] })),
    ];
    let keys = KeyServer::start(&published).await;
    let mut node = node(&provider, &documented("Keycloak", 0), Some(&keys)).await;
    let claims = json!({
        "exp": now() + 300, "iat": now(), "auth_time": now(), "jti": "onrtac:6f1d9a6e-2f6b-4a52-9a1c-0f8e0d0f7a11",
        "iss": "https://sso.example.com/realms/acme", "aud": "account", "sub": "36fa0f91-f94d-4a0c-afed-6b7d952e47da", "typ": "Bearer",
        "azp": "agent-web", "sid": "2a88c258-f73a-4103-b862-e1fbd8f4e04e", "acr": "1", "allowed-origins": ["https://app.example.com"],
        "realm_access": { "roles": ["offline_access", "default-roles-acme", "uma_authorization"] },
        "resource_access": { "account": { "roles": ["manage-account", "manage-account-links", "view-profile"] } },
        "scope": "openid email profile", "email_verified": true, "name": "Ada L", "preferred_username": "ada",
        "given_name": "Ada", "family_name": "L", "email": "ada@example.com",
    });
    let header = json!({ "typ": "JWT", "kid": "sig" });
    let sign = |changes: &Value| key.sign(&header, &changed(&claims, changes));
    assert_eq!(
        user_of(&node, &sign(&json!({}))).await,
        "36fa0f91-f94d-4a0c-afed-6b7d952e47da"
    );
    user_of(&node, &sign(&json!({ "aud": ["realm-management", "account"] }))).await;

    let refresh = SigningKey::secret("the realm's own secret, which it shares with nobody");
    let refresh_claims = changed(
        &claims,
        &json!({ "typ": "Refresh", "aud": "https://sso.example.com/realms/acme" }),
    );
    let cases = [
        ("another client's", sign(&json!({ "azp": "billing-web" }))),
        (
            "an ID token",
            sign(&json!({ "aud": "agent-web", "typ": "ID", "at_hash": "x" })),
        ),
        (
            "another realm's",
            sign(&json!({ "iss": "https://sso.example.com/realms/other" })),
        ),
        ("a refresh token", refresh.sign(&header, &refresh_claims)),
        (
            "by the key for encryption",
            encrypting.sign(&json!({ "typ": "JWT", "kid": "enc" }), &claims),
        ),
    ];
    for (what, token) in cases {
        assert_refused(&node, what, &token).await;
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_backends_own_tokens_are_accepted_with_a_secret_that_is_narrowed() {
    let provider = ScriptedProvider::start().await;
    let preset = documented("Your own backend", 0);
    let mut node = node(&provider, &preset, None).await;
    let key = SigningKey::secret(&preset[0].1);
    let claims = json!({ "sub": "u_42", "iss": "https://app.example.com", "aud": "agent-websocket", "exp": now() + 600 });
    let header = json!({ "typ": "JWT" });
    assert_eq!(user_of(&node, &key.sign(&header, &claims)).await, "u_42");
    for name in ["iss", "aud", "sub", "exp"] {
        let token = key.sign(&header, &changed(&claims, &json!({ name: null })));
        assert_refused(&node, name, &token).await;
    }
    node.shut_down().await;
}
