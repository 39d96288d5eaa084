//! `/v1/search`: the user's messages that hold these words.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};

use super::identity::Identity;
use super::problem::Problem;
use super::sessions::check_limit;
use crate::protocol::client::Search;
use crate::protocol::server::MatchList;
use crate::service::Service;
use crate::service::views::items;

/// `GET /v1/search?q=…&limit=…`: newest first. The words are read as a web search box reads them.
pub(super) async fn search(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    query: Result<Query<Search>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<MatchList>, Problem> {
    let Query(query) =
        query.map_err(|_| Problem::bad_request("q (the words) is required; limit must be a number"))?;
    let limit = check_limit(query.limit)?;
    let query = query.checked()?;
    let found = service.search(&user.user_id, query.q.as_str(), limit).await?;
    let matches = items(found);
    Ok(Json(MatchList { matches }))
}
