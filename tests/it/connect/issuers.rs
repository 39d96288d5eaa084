//! Several issuers on one service: equal subjects are different people, wherever one looks.

use agent_websocket::clock::Clock;
use serde_json::{Value, json};

use super::open_as_program;
use crate::support::http::Api;
use crate::support::issuer::SigningKey;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

const SECRETS: [&str; 2] = [
    "the secret of the first issuer, 32 bytes",
    "the secret of the second issuer, 32 bytes",
];

fn issuers() -> String {
    let entry = |n: usize| {
        json!({ "issuer": format!("https://{n}.test"), "secret": SECRETS[n], "audiences": ["agent"],
            "user_prefix": format!("i{n}:") })
    };
    json!([entry(0), entry(1)]).to_string()
}

/// A token that says that it is from one issuer, signed by another's secret.
fn token(claims_from: usize, signed_by: usize, sub: &str) -> String {
    let now = Clock::system().now().unix_timestamp();
    let claims = json!({ "iss": format!("https://{claims_from}.test"), "aud": "agent", "sub": sub, "iat": now, "exp": now + 600 });
    SigningKey::secret(SECRETS[signed_by]).sign(&json!({}), &claims)
}

#[tokio::test]
async fn equal_subjects_of_two_issuers_never_meet() {
    let provider = ScriptedProvider::start().await;
    let issuers = issuers();
    let mut node = TestNode::start(&provider, &[("JWT_SECRET", ""), ("JWT_ISSUERS", &issuers)]).await;
    let mut one = open_as_program(&node, "", &token(0, 0, "alice")).await.unwrap();
    assert_eq!(one.welcome().await["user_id"], "i0:alice");
    one.ask("q1", "mine").await;

    let mut other = open_as_program(&node, "?session_id=latest", &token(1, 1, "alice"))
        .await
        .unwrap();
    assert_eq!(other.welcome().await["user_id"], "i1:alice");
    assert_ne!(other.session, one.session);
    let refused = open_as_program(
        &node,
        &format!("?session_id={}", one.session),
        &token(1, 1, "alice"),
    )
    .await;
    assert_eq!(refused.err().map(|refused| refused.status), Some(404));
    let sessions = Api::new(&node.base, &token(1, 1, "alice"))
        .call("GET", "/v1/sessions", None)
        .await
        .json();
    let ids: Vec<&Value> = sessions["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["session_id"])
        .collect();
    assert_eq!(ids, [&json!(other.session)]);
    let refused = one
        .command("auth", json!({ "token": token(1, 1, "alice") }))
        .await;
    assert_eq!(refused["code"], "forbidden", "{refused}");
    assert_eq!(
        one.closed().await.0,
        4503,
        "t6: the other issuer's alice is somebody else"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn t1_an_issuers_secret_opens_nothing_of_another() {
    let provider = ScriptedProvider::start().await;
    let issuers = issuers();
    let mut node = TestNode::start(&provider, &[("JWT_SECRET", ""), ("JWT_ISSUERS", &issuers)]).await;
    for token in [token(0, 1, "alice"), token(1, 0, "alice")] {
        let refused = open_as_program(&node, "", &token).await.err();
        assert_eq!(refused.map(|refused| refused.status), Some(401));
    }
    node.shut_down().await;
}
