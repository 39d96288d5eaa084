//! The steps inside the database, as the server's login: schema, role, indexes, LISTEN.
//!
//! Refuses to repair anything. [`super::run`] calls [`check`].

use std::io;
use std::time::Duration;

use super::Options;
use super::causes::POOLER;
use super::door::ms;
use super::report::{Finding, Report};
use crate::secret::DatabaseUrl;
use crate::store::{Store, StoreError, in_time};

/// How long a NOTIFY may take to a connection that listens.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// How many missing things are named.
const NAMED: usize = 5;

pub(super) async fn check(options: &Options, report: &mut Report) -> io::Result<()> {
    let Some(url) = &options.database_url else {
        return report.skip("database", "no --database-url");
    };
    let store = match Store::connect(url.expose(), 2).await {
        Ok(store) => store,
        Err(error) => {
            let measured = format!("{url}: {error}");
            return report.add(
                "database",
                &Finding::fail(
                    measured,
                    "wrong address, password or firewall, or no Postgres runs there",
                ),
            );
        }
    };
    report.add("schema", &found(schema(&store).await))?;
    report.add("role", &found(role(&store).await))?;
    report.add("indexes", &found(indexes(&store).await))?;
    report.add(
        "LISTEN",
        &found(listen(options.listen_url.as_ref().unwrap_or(url)).await),
    )?;
    store.close().await;
    Ok(())
}

fn found(finding: Result<Finding, StoreError>) -> Finding {
    finding.unwrap_or_else(|error| {
        Finding::fail(
            error.to_string(),
            "wrong role: this login may not look at the schema. GRANT agent_app to it.",
        )
    })
}

async fn schema(store: &Store) -> Result<Finding, StoreError> {
    Ok(if in_time(store.is_migrated()).await? {
        Finding::ok("has this version's migrations")
    } else {
        Finding::fail(
            "lacks migrations of this version",
            "old schema: run `agent-websocket migrate` with the version that serves",
        )
    })
}

async fn role(store: &Store) -> Result<Finding, StoreError> {
    let login = in_time(store.login()).await?;
    let missing = in_time(store.missing_rights()).await?;
    let name = &login.name;
    Ok(if !missing.is_empty() {
        Finding::fail(
            format!("{name} lacks {}", named(&missing)),
            format!("wrong role: the server needs what agent_app may. GRANT agent_app TO \"{name}\"."),
        )
    } else if !login.sees_all_rows {
        Finding::fail(
            format!("{name} sees no rows: row-level security has no policy for it"),
            format!("wrong role: rights alone are not enough. GRANT agent_app TO \"{name}\"."),
        )
    } else if login.is_superuser {
        Finding::warn(
            format!("{name} is a superuser"),
            "wrong role: it works, and may do everything. Give the server a login with agent_app alone.",
        )
    } else {
        Finding::ok(format!(
            "{name} may do what the server does (Postgres {})",
            login.server_version / 10_000
        ))
    })
}

async fn indexes(store: &Store) -> Result<Finding, StoreError> {
    let missing = in_time(store.missing_indexes()).await?;
    Ok(if missing.is_empty() {
        Finding::ok("all there and valid")
    } else {
        Finding::fail(
            format!("not there or not valid: {}", named(&missing)),
            "missing index: it was dropped, or its building failed. migrations/ has its CREATE INDEX; run that CONCURRENTLY.",
        )
    })
}

async fn listen(url: &DatabaseUrl) -> Result<Finding, StoreError> {
    let store = Store::connect(url.expose(), 2).await?;
    let heard = in_time(store.hears(HEARD_WITHIN)).await;
    store.close().await;
    Ok(match heard? {
        Some(took) => Finding::ok(format!("NOTIFY heard in {}", ms(took))),
        None => Finding::fail(
            format!("NOTIFY not heard in {} s", HEARD_WITHIN.as_secs()),
            POOLER,
        ),
    })
}

fn named(missing: &[String]) -> String {
    let first = missing
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match missing.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
