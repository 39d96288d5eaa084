//! What is said of a run, in the collector, in the log and in its row.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{CHAT, PARENT, RUN, SPANS, STORE, connect, node, sampled, trace};
use crate::support::client::TestClient;
use crate::support::collector::{Collector, Mood, Told};
use crate::support::database::TestDatabase;
use crate::support::node::{token, values};
use crate::support::process::ServeProcess;
use crate::support::provider::{Script, ScriptedProvider};

/// An answer of which the provider tells everything.
fn answer() -> Script {
    Script::new()
        .head()
        .text("Hello, ")
        .text("world.")
        .finish("stop")
        .usage(12, 3, 0.5)
        .done()
}

/// Kinds of spans as OTLP numbers them.
const INTERNAL: i64 = 1;
const CLIENT: i64 = 3;

fn assert_stands_under(span: &Told, kind: i64, parent: &Value) {
    assert_eq!(span.span["kind"], kind, "{span:#?}");
    assert_eq!(&span.span["parentSpanId"], parent, "{span:#?}");
    let (began, ended) = span.time();
    assert!(began <= ended, "{span:#?}");
}

#[tokio::test]
async fn the_call_of_the_model_and_the_storing_stand_in_the_run_and_say_what_the_conventions_name() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    provider.then(answer());
    let mut client = connect(&node, None, &sampled(&trace(1))).await;
    let response = client.ask("q", "Say hello").await;
    let spans = collector.trace(&trace(1), SPANS).await;
    let [run, chat, store] = [RUN, CHAT, STORE].map(|name| Told::named(&spans, name));

    assert_stands_under(run, INTERNAL, &json!(PARENT));
    assert_stands_under(chat, CLIENT, &run.span["spanId"]);
    assert_stands_under(store, INTERNAL, &run.span["spanId"]);
    let [run_time, chat_time, store_time] = [run, chat, store].map(Told::time);
    assert!(run_time.0 <= chat_time.0 && chat_time.1 <= store_time.0 && store_time.1 <= run_time.1);
    for span in [run, chat, store] {
        assert_eq!(span.span["status"]["code"], 0, "no fault: {span:#?}");
        assert_eq!(span.of_resource("service.name"), "agent-websocket");
        assert_eq!(span.of_resource("service.version"), env!("CARGO_PKG_VERSION"));
    }
    for (key, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("openrouter")),
        ("gen_ai.conversation.id", json!(client.session)),
        ("gen_ai.request.model", json!("test/model")),
        ("gen_ai.request.stream", json!(true)),
        ("gen_ai.response.model", response["model"].clone()),
        ("gen_ai.response.finish_reasons", json!(["stop"])),
        ("gen_ai.usage.input_tokens", json!(12)),
        ("gen_ai.usage.output_tokens", json!(3)),
    ] {
        assert_eq!(chat.attribute(key), value, "{key}");
    }
    assert!(
        chat.attribute("gen_ai.response.time_to_first_chunk")
            .as_f64()
            .unwrap()
            > 0.0
    );
    for (key, value) in [
        ("gen_ai.operation.name", json!("invoke_agent")),
        ("gen_ai.agent.name", json!("agent_websocket")),
        ("gen_ai.usage.output_tokens", json!(3)),
        ("agent_websocket.run.state", json!("complete")),
        ("agent_websocket.run.attempt", json!(1)),
    ] {
        assert_eq!(run.attribute(key), value, "{key}");
    }
    client.cut();
    node.shut_down().await;
}

#[tokio::test]
async fn nothing_is_said_beside_what_is_listed_here() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20eA%3D%3D");
    let mut node = node(&provider, &collector, &[headers]).await;
    provider.then(answer());
    let mut client = connect(&node, None, &sampled(&trace(1))).await;
    client.ask("q", "Say hello").await;
    let spans = collector.trace(&trace(1), SPANS).await;
    assert_eq!(
        Told::named(&spans, CHAT).attribute_names(),
        [
            "gen_ai.conversation.id",
            "gen_ai.operation.name",
            "gen_ai.provider.name",
            "gen_ai.request.max_tokens",
            "gen_ai.request.model",
            "gen_ai.request.stream",
            "gen_ai.request.temperature",
            "gen_ai.response.finish_reasons",
            "gen_ai.response.id",
            "gen_ai.response.model",
            "gen_ai.response.time_to_first_chunk",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
        ]
    );
    assert_eq!(
        Told::named(&spans, RUN).attribute_names(),
        [
            "agent_websocket.run.attempt",
            "agent_websocket.run.id",
            "agent_websocket.run.state",
            "gen_ai.agent.name",
            "gen_ai.conversation.id",
            "gen_ai.operation.name",
            "gen_ai.provider.name",
            "gen_ai.request.model",
            "gen_ai.response.finish_reasons",
            "gen_ai.response.model",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
        ]
    );
    assert!(Told::named(&spans, STORE).attribute_names().is_empty());
    for post in collector.posts() {
        assert_eq!(post.path, "/v1/traces");
        assert_eq!(post.headers["content-type"], "application/json");
        assert_eq!(post.headers["authorization"], "Basic eA==");
    }
    client.cut();
    node.shut_down().await;
}

#[tokio::test]
async fn a_fault_of_the_provider_is_an_error_of_its_call_and_its_code_one_of_the_run() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    provider.then(Script::status(402, "{}"));
    let mut client = connect(&node, None, &sampled(&trace(1))).await;
    let answer = client.ask("q", "Well?").await;
    assert_eq!(answer["state"], "failed", "{answer}");
    let spans = collector.trace(&trace(1), SPANS).await;
    let [run, chat, store] = [RUN, CHAT, STORE].map(|name| Told::named(&spans, name));
    assert_eq!(
        chat.attribute("error.type"),
        "refused",
        "as in provider_errors_total"
    );
    assert_eq!(run.attribute("error.type"), answer["error"]["code"], "{answer}");
    assert_eq!(run.attribute("agent_websocket.run.state"), "failed");
    let codes = [run, chat, store].map(|span| span.span["status"]["code"].clone());
    assert_eq!(
        codes,
        [2, 2, 0].map(|code| json!(code)),
        "the failure itself was stored well"
    );
    client.cut();
    node.shut_down().await;
}

#[tokio::test]
async fn the_row_of_a_run_and_its_lines_in_the_log_name_the_trace() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let database = TestDatabase::new().await;
    for format in ["json", "text"] {
        let settings = values(
            &provider.base_url(),
            &database.url,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
                ("LOG_FORMAT", format),
            ],
        );
        let mut serve = ServeProcess::start(format, settings).await;
        let theirs = trace(if format == "json" { 1 } else { 2 });
        let authorization = format!("Bearer {}", token("alice"));
        let context = sampled(&theirs);
        let headers = [
            ("authorization", authorization.as_str()),
            ("traceparent", &context),
        ];
        let mut client = TestClient::open(&serve.base, "/v1/ws", &headers).await.unwrap();
        client.welcome().await;
        client.ask("q", "Well?").await;
        client.cut();
        // The delay is OpenTelemetry's, of seconds: the end of the process does not wait for it.
        serve.process.terminate();
        serve.ended().await;
        let told = collector.trace(&theirs, SPANS).await;
        let run = Told::named(&told, RUN).attribute("agent_websocket.run.id");
        let run = run.as_str().unwrap();
        let noted: String = sqlx::query_scalar("SELECT trace_id FROM agent.runs WHERE run_id = $1")
            .bind(run.parse::<Uuid>().unwrap())
            .fetch_one(&database.pool)
            .await
            .unwrap();
        assert_eq!(noted, theirs);
        let log = serve.process.stderr();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(run)).collect();
        assert!(!lines.is_empty(), "{log}");
        for line in lines {
            if format == "json" {
                let event: Value = serde_json::from_str(line).unwrap();
                assert_eq!(event["span"]["trace_id"], theirs, "{line}");
            } else {
                assert!(line.contains(&format!("run{{trace_id={theirs}}}")), "{line}");
            }
        }
    }
}
