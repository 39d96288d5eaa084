//! Who makes a request: the token of its `Authorization` header, checked before anything else is read.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::address::ClientAddress;
use super::problem::Problem;
use crate::auth::Principal;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::service::Service;
use crate::ws::credentials::bearer;

/// The user of a request.
#[derive(Debug)]
pub(super) struct Identity(pub(super) Principal);

impl FromRequestParts<Arc<Service>> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        if let Some(address) = address {
            service
                .limiter
                .check_auth_failure(address)
                .map_err(|limit| Problem::from(service.limited(&limit)))?;
        }
        let unauthorized = |text: &'static str| Problem::from(Refusal::new(ErrorCode::Unauthorized, text));
        let token = bearer(&parts.headers)
            .ok_or_else(|| unauthorized("Send the token in the header Authorization: Bearer <token>"))?;
        match service.auth.verify(token).await {
            Ok(principal) => {
                // A service that notifies is no user in a hurry.
                if !principal.may_notify() {
                    service.admit_command(&principal.user_id)?;
                }
                Ok(Self(principal))
            }
            Err(error) => {
                if let Some(address) = address.filter(|_| !error.is_retryable()) {
                    let _ = service.limiter.record_auth_failure(address);
                }
                Err(Problem::from(service.refuse_token(error)))
            }
        }
    }
}
