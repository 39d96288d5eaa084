//! Which tokens a revocation hits, and what connections learn of it.

use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::super::{AuthError, Authenticator, Principal, Revocation, Revocations};
use super::{NOW, claims, hs256, only, shared};
use crate::clock::Clock;
use crate::ids::UserId;

fn principal(user: &str, token: Option<&str>, issued_at: Option<OffsetDateTime>) -> Principal {
    Principal {
        user_id: UserId::new(user).unwrap(),
        expires_at: NOW + Duration::from_hours(1),
        issued_at,
        token_id: token.map(str::to_owned),
        issuer: None,
        scopes: Vec::new(),
    }
}

fn of_user(user: &str, issued_before: OffsetDateTime) -> Revocation {
    Revocation::User {
        user: user.into(),
        issued_before,
    }
}

fn of_token(token: &str, user: Option<&str>) -> Revocation {
    Revocation::Token {
        token: token.into(),
        user: user.map(str::to_owned),
    }
}

#[test]
fn a_revocation_hits_what_it_names_and_nothing_else() {
    let second = Duration::from_secs(1);
    let everybody = Revocation::Everybody { issued_before: NOW };
    let before = Some(NOW - second);
    #[rustfmt::skip]
    let cases = [
        ("the user's", of_user("alice", NOW), principal("alice", None, before), true),
        ("without iat", of_user("alice", NOW), principal("alice", None, None), true),
        ("issued at that moment", of_user("alice", NOW), principal("alice", None, Some(NOW)), false),
        ("issued since", of_user("alice", NOW), principal("alice", None, Some(NOW + second)), false),
        ("another user's", of_user("alice", NOW), principal("bob", None, before), false),
        ("the token", of_token("t1", None), principal("alice", Some("t1"), Some(NOW)), true),
        ("another token", of_token("t1", None), principal("alice", Some("t2"), before), false),
        ("a token without jti", of_token("t1", None), principal("alice", None, before), false),
        ("the token of this user", of_token("t1", Some("alice")), principal("alice", Some("t1"), None), true),
        ("the same jti of another", of_token("t1", Some("alice")), principal("bob", Some("t1"), None), false),
        ("everybody's", everybody.clone(), principal("bob", Some("t9"), before), true),
        ("everybody's since", everybody, principal("bob", Some("t9"), Some(NOW)), false),
    ];
    for (name, revocation, principal, expected) in cases {
        let revocations = Revocations::default();
        assert!(
            !revocations.is_revoked(&principal),
            "{name}: nothing is revoked yet"
        );
        revocations.add(vec![revocation]);
        assert_eq!(revocations.is_revoked(&principal), expected, "{name}");
    }
}

#[test]
fn only_news_moves_the_version_and_is_handed_back() {
    let revocations = Revocations::default();
    let first = vec![of_user("alice", NOW), of_token("t1", None)];
    assert_eq!(revocations.version(), 0);
    assert_eq!(revocations.add(first.clone()), first);
    assert_eq!(revocations.version(), 1);
    assert_eq!(revocations.add(first.clone()), [], "known");
    assert_eq!(revocations.replace(first.clone()), []);
    let earlier = of_user("alice", NOW - Duration::from_secs(1));
    assert_eq!(
        revocations.add(vec![earlier]),
        [],
        "one that goes further is known"
    );
    assert_eq!(revocations.version(), 1, "nobody has to look");
    let later = of_user("alice", NOW + Duration::from_secs(1));
    assert_eq!(revocations.replace(vec![later.clone()]), [later]);
    assert_eq!(revocations.version(), 2);
}

#[test]
fn what_is_no_longer_there_is_lifted() {
    let revocations = Revocations::default();
    let alice = principal("alice", Some("t1"), Some(NOW - Duration::from_secs(1)));
    for revocation in [
        of_user("alice", NOW),
        of_token("t1", None),
        Revocation::Everybody { issued_before: NOW },
    ] {
        revocations.replace(vec![revocation]);
        assert!(revocations.is_revoked(&alice));
        revocations.replace(Vec::new());
        assert!(!revocations.is_revoked(&alice));
    }
}

#[tokio::test]
async fn t5_a_revoked_token_is_refused_like_any_bad_one() {
    let (authenticator, _) = Authenticator::from_settings(&only(shared()), Clock::manual(NOW).0).unwrap();
    let token = hs256(&json!({ "alg": "HS256" }), &claims(&json!({ "jti": "t1" })));
    let principal = authenticator.verify(&token).await.unwrap();
    authenticator.revocations().add(vec![of_token("t1", None)]);
    let refused = authenticator.verify(&token).await;
    assert_eq!(refused, Err(AuthError::Revoked));
    assert_eq!(authenticator.recheck(principal.clone()), Err(AuthError::Revoked));
    assert_eq!(
        AuthError::Revoked.client_text(),
        AuthError::Signature.client_text()
    );
    let late = Principal {
        expires_at: NOW - Duration::from_secs(30),
        ..principal
    };
    assert_eq!(authenticator.recheck(late), Err(AuthError::Expired));
}
