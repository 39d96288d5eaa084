//! What answers cost, also those that were stopped: their stream never says, so the provider is asked afterwards.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};

#[derive(serde::Deserialize)]
struct Which {
    id: String,
}

/// An answer that begins and goes on for ever, under a name in its header.
async fn endless() -> Response {
    let word = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n";
    let words = stream::unfold((), move |()| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(word.as_bytes())), ()))
    });
    let headers = [
        ("content-type", "text/event-stream"),
        ("x-generation-id", "gen-7"),
    ];
    (headers, Body::from_stream(words)).into_response()
}

/// What it took, known to nobody when first asked.
async fn generation(State(asked): State<Arc<AtomicU32>>, Query(which): Query<Which>) -> Response {
    assert_eq!(which.id, "gen-7");
    asked.fetch_add(1, Ordering::Relaxed);
    let took = json!({ "data": { "total_cost": 0.0125, "native_tokens_prompt": 11, "native_tokens_completion": 222 } });
    (StatusCode::OK, took.to_string()).into_response()
}

/// A provider whose answers never end, and which tells their cost when asked.
async fn provider(asked: Arc<AtomicU32>) -> String {
    let router = Router::new()
        .route("/api/v1/chat/completions", post(endless))
        .route("/api/v1/generation", get(generation))
        .with_state(asked);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "a server of the tests, which ends with its runtime"
    )]
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/api/v1")
}

async fn usage(database: &TestDatabase) -> Vec<(String, Option<i64>, Option<i64>, Option<f64>)> {
    sqlx::query_as("SELECT source, input_tokens, output_tokens, cost_usd::float8 FROM agent.usage")
        .fetch_all(&database.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_stopped_answer_is_estimated_at_once_and_reconciled_with_the_provider() {
    let asked = Arc::new(AtomicU32::new(0));
    let url = provider(Arc::clone(&asked)).await;
    let scripted = ScriptedProvider::start().await;
    let mut node = TestNode::start(&scripted, &[("OPENROUTER_BASE_URL", &url)]).await;
    let mut client = node.connect("u").await;
    client.live().await;
    client.query("q", "Tell me everything").await;
    client.until(|frame| frame["type"] == "delta").await;
    eventually("the generation's name is stored while the answer is written", || async {
        let sql = "SELECT count(*) FROM agent.runs WHERE state = 'running' AND provider_generation_id = 'gen-7'";
        node.database.count(sql).await == 1
    })
    .await;
    client.command("cancel", json!({})).await;
    client.until(|frame| frame["type"] == "response").await;

    let estimated = usage(&node.database).await;
    assert_eq!(estimated.len(), 1);
    assert_eq!((estimated[0].0.as_str(), estimated[0].3), ("estimated", None));
    assert!(
        estimated[0].1 > Some(0) && estimated[0].2 > Some(0),
        "{estimated:?}"
    );
    eventually("the provider was asked", || async {
        usage(&node.database).await == [("reconciled".to_owned(), Some(11), Some(222), Some(0.0125))]
    })
    .await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    node.shut_down().await;
}

#[tokio::test]
async fn a_whole_answer_is_recorded_as_the_provider_counted_it() {
    let scripted = ScriptedProvider::start().await;
    scripted.then(Script::new().text("yes").finish("stop").usage(5, 1, 0.25).done());
    let mut node = TestNode::start(&scripted, &[]).await;
    let mut client = node.connect("u").await;
    client.ask("q", "Well?").await;
    assert_eq!(
        usage(&node.database).await,
        [("provider".to_owned(), Some(5), Some(1), Some(0.25))]
    );
    client
        .command("delete", json!({ "session_id": client.session }))
        .await;
    assert_eq!(
        usage(&node.database).await.len(),
        1,
        "what was paid for outlives the session"
    );
    node.shut_down().await;
}
