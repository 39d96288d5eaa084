//! `/v1/notifications`: a service posts, a user lists and acknowledges. And the original notify function.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::body::Body;
use super::identity::Identity;
use super::problem::Problem;
use super::sessions::check_limit;
use crate::auth::Principal;
use crate::ids::{NotificationId, UserId};
use crate::protocol::body::{Notified, NotifySession, Seen, SessionNotified, Size};
use crate::protocol::client::{Ack, MAX_PAGE, check_content};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::notice::Notice;
use crate::protocol::server::{Acknowledged, NotificationList};
use crate::protocol::text::Text;
use crate::service::Service;
use crate::service::views::items;
use crate::store::notifications::NewNotification;

/// Whether a token may notify: without the scope 403, whatever the target.
fn check_scope(caller: &Principal) -> Result<(), Problem> {
    if caller.may_notify() {
        return Ok(());
    }
    let text = "The token's scope must hold agent:notify";
    Err(Problem::from(Refusal::new(ErrorCode::Forbidden, text)))
}

/// `POST /v1/notifications`: 201 with the row's id; 200 when its key was used before.
pub(super) async fn post(
    State(service): State<Arc<Service>>,
    Identity(caller): Identity,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_scope(&caller)?;
    let mut notice: Notice = body.read()?;
    notice.check()?;
    let user =
        UserId::new(notice.user_id.as_str()).map_err(|error| Problem::bad_request(error.to_string()))?;
    if let Some(key) = idempotency_key(&headers)? {
        match &notice.dedupe_key {
            Some(given) if *given != key => {
                return Err(Problem::bad_request("dedupe_key and Idempotency-Key differ"));
            }
            _ => notice.dedupe_key = Some(key),
        }
        notice.check()?;
    }
    let id = service.notify(&user, &NewNotification::from(notice)).await?;
    let status = if id.is_some() {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(notified(id))).into_response())
}

/// `Idempotency-Key`: the `dedupe_key` of services that speak HTTP.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<Text>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key
        .to_str()
        .map_err(|_| Problem::bad_request("Idempotency-Key cannot be read"))?;
    if !(1..=255).contains(&key.len()) {
        return Err(Problem::bad_request("Idempotency-Key must be 1 to 255 bytes"));
    }
    Text::new(key.to_owned()).map(Some).map_err(Problem::bad_request)
}

/// `GET /v1/notifications`: what the user has not acknowledged.
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    size: Result<Query<Size>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<NotificationList>, Problem> {
    let Query(size) = size.map_err(|_| Problem::bad_request("limit must be a number"))?;
    let limit = check_limit(size.limit)?.unwrap_or(MAX_PAGE);
    let pending = service.inbox(&user.user_id, &[], limit).await?;
    let notifications = items(pending);
    Ok(Json(NotificationList { notifications }))
}

/// `POST /v1/notifications/ack`: the user has seen these, or all.
pub(super) async fn acknowledge(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    body: Body,
) -> Result<Json<Acknowledged>, Problem> {
    let ack = match body.read::<Seen>()? {
        Seen {
            notification_ids: None,
            all: true,
        } => Ack::All,
        Seen {
            notification_ids: Some(ids),
            all: false,
        } if ids.len() <= 1000 => Ack::Ids(ids),
        _ => {
            return Err(Problem::bad_request(
                "notification_ids (at most 1000) or all: true is required",
            ));
        }
    };
    let notification_ids = service.acknowledge(&user.user_id, &ack).await?;
    Ok(Json(Acknowledged { notification_ids }))
}

/// `POST /functions/v1/notify_websocket`: the original notify function, on the same terms.
pub(super) async fn notify_session(
    State(service): State<Arc<Service>>,
    Identity(caller): Identity,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SessionNotified>, Problem> {
    check_scope(&caller)?;
    let notify: NotifySession = body.read()?;
    let message = check_content(Some(notify.message))?;
    let key = idempotency_key(&headers)?;
    let id = service
        .notify_session(notify.session_id, message.into_string(), key)
        .await?;
    Ok(Json(SessionNotified {
        success: true,
        notified: notified(id),
    }))
}

/// No row was made: its key was used before.
fn notified(id: Option<NotificationId>) -> Notified {
    Notified {
        notification_id: id,
        duplicate: id.is_none(),
    }
}
