//! A request's body: read up to its limit, as one JSON object. What cannot be read is a problem like any other.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::text::complaint;

/// The largest body that a request may have, in bytes: the longest query fits however its characters are escaped.
pub(super) const MAX_BODY_BYTES: usize = 256 * 1024;

/// A body that was read whole.
#[derive(Debug)]
pub(super) struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::from(
                Refusal::new(ErrorCode::TooLarge, "A body is at most 262144 bytes"),
            )),
            Err(_) => Err(Problem::bad_request("The body cannot be read")),
        }
    }
}

impl Body {
    /// The body as the type wanted; an empty one is an empty object.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let text: &[u8] = if self.0.is_empty() { b"{}" } else { &self.0 };
        // A list would be taken for the fields in their order.
        if text.trim_ascii_start().first() != Some(&b'{') {
            let refusal = Refusal::new(ErrorCode::InvalidJson, "A body is one JSON object");
            return Err(Problem::from(refusal));
        }
        serde_json::from_slice(text).map_err(|error| {
            let code = if error.is_data() {
                ErrorCode::InvalidMessage
            } else {
                ErrorCode::InvalidJson
            };
            Problem::from(Refusal::new(code, complaint(&error)))
        })
    }
}
