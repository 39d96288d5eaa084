//! `/v1/usage` and `/v1/users/me`: what the user spent, and being forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};

use super::identity::Identity;
use super::problem::Problem;
use crate::protocol::body::{Days, Receipt, UsageList};
use crate::service::Service;

/// Days that `/v1/usage` tells of where nothing else was asked for, and at most.
const USAGE_DAYS: (u16, u16) = (30, 366);

/// `GET /v1/usage?days=…`: tokens and money by day (UTC) and model, newest first.
pub(super) async fn usage(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
    days: Result<Query<Days>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<UsageList>, Problem> {
    let (default, most) = USAGE_DAYS;
    let days = match days {
        Ok(Query(Days { days })) => days.unwrap_or(default),
        Err(_) => 0,
    };
    if !(1..=most).contains(&days) {
        return Err(Problem::bad_request("days must be 1 to 366"));
    }
    let usage = service.usage(&user.user_id, days).await?;
    Ok(Json(UsageList { usage }))
}

/// `DELETE /v1/users/me`: removes every trace of the user, and says how many rows of which table.
pub(super) async fn erase(
    State(service): State<Arc<Service>>,
    Identity(user): Identity,
) -> Result<Json<Receipt>, Problem> {
    let removed = service.erase(&user.user_id).await?;
    let total: u64 = removed.iter().map(|removed| removed.rows).sum();
    let rows: BTreeMap<String, u64> = removed
        .into_iter()
        .map(|removed| (removed.table, removed.rows))
        .collect();
    Ok(Json(Receipt {
        user_id: user.user_id,
        erased_at: service.now(),
        rows_removed: rows,
        total,
    }))
}
