//! What `token` and `dev` mint, checked by what checks everybody's.

use std::time::Duration;

use uuid::Uuid;

use super::super::{IssuerSettings, MintError, MintRequest, mint};
use super::{AUDIENCE, ISSUER, NOW, SECRET, only, shared, verify_with};
use crate::ids::UserId;
use crate::secret::Secret;

#[tokio::test]
async fn a_minted_token_is_accepted_and_says_what_was_asked() {
    let user_id = UserId::new("u_42").unwrap();
    let request = MintRequest {
        user_id: &user_id,
        ttl: Duration::from_mins(1),
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        authorized_party: Some("app"),
        scope: Some("agent:notify"),
        token_id: Uuid::nil(),
    };
    let token = mint(&Secret::new(SECRET), &request, NOW).unwrap();
    let settings = only(IssuerSettings {
        authorized_parties: vec!["app".into()],
        ..shared()
    });
    let principal = verify_with(&settings, &token).await.unwrap();
    assert_eq!(principal.user_id, user_id);
    assert_eq!(principal.expires_at, NOW + Duration::from_mins(1));
    assert_eq!(principal.scopes, ["agent:notify"]);
    assert_eq!(
        principal.token_id.as_deref(),
        Some("00000000-0000-0000-0000-000000000000")
    );

    assert!(matches!(
        mint(&Secret::new("short"), &request, NOW),
        Err(MintError::SecretTooShort)
    ));
}
