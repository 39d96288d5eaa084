//! `/v1/sessions/{id}/export`: a session as a file, streamed as it is read.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;

use super::identity::Identity;
use super::problem::Problem;
use super::sessions::key;
use crate::protocol::body::Wanted;
use crate::service::export::{Export, Format};
use crate::service::{Service, unavailable};
use crate::store::StoreError;

/// What the parameter says, else what the client accepts, else JSON Lines.
fn format(wanted: Wanted, headers: &HeaderMap) -> Result<Format, Problem> {
    let accepts_markdown = || {
        headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/markdown"))
    };
    match wanted.format {
        Some(name) => {
            Format::named(&name).ok_or_else(|| Problem::bad_request("format must be jsonl or markdown"))
        }
        None if accepts_markdown() => Ok(Format::Markdown),
        None => Ok(Format::JsonLines),
    }
}

/// `GET /v1/sessions/{id}/export?format=jsonl|markdown`.
pub(super) async fn export(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    Path(id): Path<String>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|_| Problem::bad_request("format must be jsonl or markdown"))?;
    let format = format(wanted, &headers)?;
    let key = key(&user.user_id, &id)?;
    let session_id = key.session_id;
    let export = Export::begin(service.store.clone(), key, format)
        .await
        .map_err(|error| unavailable(&error))?;
    let export = export.ok_or_else(|| Problem::not_found("session"))?;
    let pieces = try_unfold(export, async |mut export: Export| {
        Ok::<_, StoreError>(export.next().await?.map(|piece| (piece, export)))
    });
    let name = format!("attachment; filename=\"{session_id}.{}\"", format.extension());
    let headers = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
