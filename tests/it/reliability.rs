//! What survives what: nodes that are killed, stopped, rolled and cut off from Postgres, as processes of their own.

mod drain;
mod kill;
mod outage;
mod program;

use serde_json::Value;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::node::{token, values};
use crate::support::process::ServeProcess;
use crate::support::provider::ScriptedProvider;

/// A node as a process.
async fn serve(
    name: &str,
    database: &TestDatabase,
    provider: &ScriptedProvider,
    changes: &[(&str, &str)],
) -> ServeProcess {
    ServeProcess::start(name, values(&provider.base_url(), &database.server_url, changes)).await
}

/// A device of alice in a session, from its start, once it is live.
async fn resume(node: &ServeProcess, session: &str) -> TestClient {
    let query = format!("?session_id={session}&after=0");
    let mut client = TestClient::connect(&node.base, &token("alice"), &query).await;
    client.live().await;
    client
}

fn is_response(frame: &Value) -> bool {
    frame["type"] == "response"
}

/// The runs of a database in the order of their queries: state and attempt.
async fn runs(database: &TestDatabase) -> Vec<(String, i32)> {
    sqlx::query_as("SELECT state, attempt FROM agent.runs ORDER BY queued_at, query_seq")
        .fetch_all(&database.pool)
        .await
        .unwrap()
}
