//! The inspector's data, for operators only: what is connected, said, running and undelivered, as JSON beside its page.
//!
//! Everybody's conversations are in it, so reaching the listener is not enough: the token's scope must hold `agent:inspect`, and
//! whose session is read goes into the log. Reads and never changes; a few requests at a time, so that looking takes no
//! connection from the users. On `ADMIN_BIND_ADDR`, where `INSPECTOR` says so.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::identity::Identity;
use super::pages;
use super::problem::Problem;
use crate::auth::Principal;
use crate::ids::{RunId, SessionId, SessionKey, UserId};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::service::{Service, unavailable};
use crate::store::{StoreError, in_time};

/// Requests that may use the database at the same time: of ten connections most stay with the users.
const AT_ONCE: usize = 2;

/// Rows of a list, unless fewer are asked for.
const MAX_ROWS: u32 = 200;

/// Messages of a session at once.
const MAX_MESSAGES: u32 = 100;

/// Messages of a prompt: `MAX_HISTORY` decides how many there are, this how many are shown.
const MAX_PROMPT: u32 = 500;

/// Days of the charts, unless others are asked for.
const DAYS: u16 = 14;

/// Days of the charts at most.
const MAX_DAYS: u16 = 366;

/// The page and its data.
pub(super) fn routes() -> Router<Arc<Service>> {
    let data = Router::new()
        .route("/inspect/now", get(now))
        .route("/inspect/sessions", get(sessions))
        .route("/inspect/session", get(session))
        .route("/inspect/prompt", get(prompt))
        .route("/inspect/notifications", get(notifications))
        .route("/inspect/days", get(days))
        .layer(Extension(Arc::new(Semaphore::new(AT_ONCE))));
    pages::inspector().merge(data)
}

/// Somebody who may read everybody's conversations, and a place among those who use the database for it.
struct Operator {
    who: UserId,
    place: Arc<Semaphore>,
}

impl FromRequestParts<Arc<Service>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let Identity(caller) = Identity::from_request_parts(parts, service).await?;
        check_scope(&caller)?;
        let place = parts.extensions.get::<Arc<Semaphore>>().cloned();
        Ok(Self {
            who: caller.user_id,
            place: place.ok_or_else(Problem::internal)?,
        })
    }
}

fn check_scope(caller: &Principal) -> Result<(), Problem> {
    if caller.may_inspect() {
        return Ok(());
    }
    let text = "The token's scope must hold agent:inspect";
    Err(Problem::from(Refusal::new(ErrorCode::Forbidden, text)))
}

impl Operator {
    /// Asks the database, in its turn.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
        let in_turn = async {
            let _place = self.place.acquire().await.map_err(|_| StoreError::Stopping)?;
            question.await
        };
        in_time(in_turn)
            .await
            .map_err(|error| Problem::from(unavailable(&error)))
    }

    /// Leaves a trace: somebody's words were read by somebody else.
    fn reads(&self, key: &SessionKey, what: &'static str) {
        tracing::info!(
            operator = %self.who, user = %key.user_id, session = %key.session_id, what, "a session was inspected"
        );
    }
}

/// What nobody may keep: it holds what people wrote.
fn answer(body: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// What was asked, or what is wrong with it.
type Asked<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

fn asked<T>(query: Asked<T>, form: &'static str) -> Result<T, Problem> {
    query
        .map(|Query(asked)| asked)
        .map_err(|_| Problem::bad_request(form))
}

/// `GET /inspect/now`: counts, processes and connections.
async fn now(State(service): State<Arc<Service>>, operator: Operator) -> Result<Response, Problem> {
    let store = &service.store;
    let counts = operator.ask(store.inspect_now()).await?;
    let nodes = operator.ask(store.inspect_nodes(MAX_ROWS)).await?;
    let connections = operator.ask(store.inspect_connections(MAX_ROWS)).await?;
    Ok(answer(json!({
        "counts": counts, "nodes": nodes, "connections": connections, "node_id": service.node.0, "limit": MAX_ROWS,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    find: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
}

/// `GET /inspect/sessions?find=&limit=`: the most recently active; or those of a user, or the one with an id.
async fn sessions(
    State(service): State<Arc<Service>>,
    operator: Operator,
    query: Asked<Which>,
) -> Result<Response, Problem> {
    let which = asked(query, "find is a user or a session, limit a number")?;
    let limit = which.limit.unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS);
    let find = which
        .find
        .as_deref()
        .map(str::trim)
        .filter(|find| !find.is_empty());
    // No text of Postgres holds it.
    if find.is_some_and(|find| find.contains('\0')) {
        return Err(Problem::bad_request("find cannot hold a zero byte"));
    }
    let sessions = operator.ask(service.store.inspect_sessions(find, limit)).await?;
    Ok(answer(json!({ "sessions": sessions, "limit": limit })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneSession {
    user: String,
    session: uuid::Uuid,
    #[serde(default)]
    before: Option<i64>,
}

fn key(user: &str, session: uuid::Uuid) -> Result<SessionKey, Problem> {
    Ok(SessionKey {
        user_id: UserId::new(user).map_err(|error| Problem::bad_request(error.to_string()))?,
        session_id: SessionId(session),
    })
}

/// `GET /inspect/session?user=&session=&before=`: its messages before a place, and its runs.
async fn session(
    State(service): State<Arc<Service>>,
    operator: Operator,
    query: Asked<OneSession>,
) -> Result<Response, Problem> {
    let one = asked(query, "user and session are required, before is a number")?;
    let key = key(&one.user, one.session)?;
    operator.reads(&key, "transcript");
    let messages = service.store.inspect_transcript(&key, one.before, MAX_MESSAGES);
    let messages = operator.ask(messages).await?;
    let runs = operator.ask(service.store.inspect_runs(&key, MAX_ROWS)).await?;
    Ok(answer(
        json!({ "messages": messages, "runs": runs, "limit": MAX_MESSAGES }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneRun {
    user: String,
    session: uuid::Uuid,
    run: uuid::Uuid,
}

/// `GET /inspect/prompt?user=&session=&run=`: what the model saw. The system prompt is today's setting: it is not stored.
async fn prompt(
    State(service): State<Arc<Service>>,
    operator: Operator,
    query: Asked<OneRun>,
) -> Result<Response, Problem> {
    let one = asked(query, "user, session and run are required")?;
    let key = key(&one.user, one.session)?;
    operator.reads(&key, "prompt");
    let messages = service.store.inspect_prompt(&key, RunId(one.run), MAX_PROMPT);
    let messages = operator.ask(messages).await?;
    let system = &service.settings.agent.system_prompt;
    Ok(answer(
        json!({ "messages": messages, "system_prompt_now": system, "limit": MAX_PROMPT }),
    ))
}

/// `GET /inspect/notifications`: what nobody acknowledged, the oldest first.
async fn notifications(State(service): State<Arc<Service>>, operator: Operator) -> Result<Response, Problem> {
    let pending = operator.ask(service.store.inspect_pending(MAX_ROWS)).await?;
    tracing::info!(operator = %operator.who, rows = pending.len(), "notifications were inspected");
    Ok(answer(json!({ "notifications": pending, "limit": MAX_ROWS })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Period {
    #[serde(default)]
    days: Option<u16>,
}

/// `GET /inspect/days?days=`: runs, the first word's time and money, by day (UTC), oldest first.
async fn days(
    State(service): State<Arc<Service>>,
    operator: Operator,
    query: Asked<Period>,
) -> Result<Response, Problem> {
    let days = asked(query, "days must be a number")?
        .days
        .unwrap_or(DAYS)
        .clamp(1, MAX_DAYS);
    let days = operator.ask(service.store.inspect_days(days)).await?;
    Ok(answer(json!({ "days": days })))
}
