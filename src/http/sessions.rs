//! `/v1/sessions`: list, create, get, change, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::body::Body;
use super::identity::Identity;
use super::problem::Problem;
use crate::ids::{SessionId, SessionKey, UserId};
use crate::protocol::body::{ModelChange, SessionChanges};
use crate::protocol::client::{MAX_PAGE, Page, check_metadata, check_title};
use crate::protocol::error::Refusal;
use crate::protocol::item::SessionView;
use crate::protocol::server::SessionList;
use crate::protocol::text::Text;
use crate::service::Service;
use crate::service::views::items;

/// The session that a path names. What is no id is nobody's session.
pub(super) fn key(user: &UserId, id: &str) -> Result<SessionKey, Problem> {
    let id = uuid::Uuid::parse_str(id).map_err(|_| Problem::not_found("session"))?;
    Ok(SessionKey {
        user_id: user.clone(),
        session_id: SessionId(id),
    })
}

/// A page's size: 1 to 200.
pub(super) fn check_limit(limit: Option<u32>) -> Result<Option<u32>, Problem> {
    match limit {
        Some(limit) if limit == 0 || limit > MAX_PAGE => Err(Problem::bad_request("limit must be 1 to 200")),
        other => Ok(other),
    }
}

/// `GET /v1/sessions`.
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<SessionList>, Problem> {
    let Query(page) =
        page.map_err(|_| Problem::bad_request("limit must be a number, before a session's id"))?;
    check_limit(page.limit)?;
    let sessions = service.list(&user.user_id, page).await?;
    let sessions = items(sessions);
    Ok(Json(SessionList { sessions }))
}

fn checked(changes: SessionChanges) -> Result<SessionChanges, Refusal> {
    Ok(SessionChanges {
        title: changes.title.as_ref().map(check_title).transpose()?,
        model: changes.model,
        metadata: check_metadata(changes.metadata)?,
    })
}

async fn apply(service: &Service, key: &SessionKey, changes: SessionChanges) -> Result<(), Refusal> {
    if let ModelChange::Choose(model) = changes.model {
        service.set_model(key, model.as_ref().map(Text::as_str)).await?;
    }
    if let Some(title) = changes.title {
        service.rename(key, &title).await?;
    }
    if let Some(metadata) = changes.metadata {
        service.set_metadata(key, metadata).await?;
    }
    Ok(())
}

async fn view(service: &Service, key: &SessionKey) -> Result<Json<SessionView>, Problem> {
    Ok(Json(SessionView::from(service.find(key).await?)))
}

/// `POST /v1/sessions`.
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    body: Body,
) -> Result<Response, Problem> {
    let changes = checked(body.read()?)?;
    if let ModelChange::Choose(Some(model)) = &changes.model {
        service.check_model(model.as_str())?;
    }
    let opened = service.open(&user.user_id, None, None).await?;
    let key = opened.room.key().clone();
    apply(&service, &key, changes).await?;
    Ok((StatusCode::CREATED, view(&service, &key).await?).into_response())
}

/// `GET /v1/sessions/{id}`.
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    Path(id): Path<String>,
) -> Result<Json<SessionView>, Problem> {
    view(&service, &key(&user.user_id, &id)?).await
}

/// `PATCH /v1/sessions/{id}`.
pub(super) async fn patch(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<SessionView>, Problem> {
    let key = key(&user.user_id, &id)?;
    let changes = checked(body.read()?)?;
    service.find(&key).await?;
    apply(&service, &key, changes).await?;
    view(&service, &key).await
}

/// `DELETE /v1/sessions/{id}`.
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    service.delete(&key(&user.user_id, &id)?, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
