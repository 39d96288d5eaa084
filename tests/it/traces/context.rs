//! In whose trace a run is told: the client's, if it has one that is recorded; its own, for a part of all; none.

use agent_websocket::ids::{RunId, SessionId, SessionKey, UserId};
use serde_json::json;

use super::{
    CHAT, PARENT, RUN, SPANS, connect, counted, metrics, node, node_on, rows, rows_become, sampled, trace,
};
use crate::support::client::TestClient;
use crate::support::collector::{Collector, Mood, Told};
use crate::support::eventually;
use crate::support::http::Api;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};

/// Half an answer, and the rest once a gate is open.
fn half_then(gate: &str) -> Script {
    Script::new()
        .head()
        .text("Half ")
        .wait_for(gate)
        .text("done.")
        .finish("stop")
        .done()
}

/// Asks for something on a session in which an answer is half written, and waits for it.
async fn waits_and_is_answered(provider: &ScriptedProvider, client: &mut TestClient) {
    let waiting = client.query("q2", "second").await;
    assert_eq!(waiting["queue_position"], 1);
    provider.open("go");
    client
        .until(|frame| frame["type"] == "response" && frame["in_reply_to"] == waiting["message_id"])
        .await;
}

#[tokio::test]
async fn a_run_is_told_in_the_trace_that_its_socket_came_with() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    let mut client = connect(&node, None, &sampled(&trace(1))).await;
    for question in ["one", "two"] {
        client.ask(question, question).await;
    }
    let spans = collector.trace(&trace(1), 2 * SPANS).await;
    let runs: Vec<&Told> = spans.iter().filter(|told| told.span["name"] == RUN).collect();
    assert_eq!(runs.len(), 2);
    assert!(
        runs.iter().all(|run| run.span["parentSpanId"] == PARENT),
        "{runs:#?}"
    );
    rows_become(&node, &[Some(&trace(1)), Some(&trace(1))]).await;
    client.cut();
    node.shut_down().await;
}

#[tokio::test]
async fn a_run_is_told_in_the_trace_that_its_request_came_with() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    let api = Api::new(&node.base, &token("alice"));
    let session = api.call("POST", "/v1/sessions", None).await.json()["session_id"].clone();
    let path = format!("/v1/sessions/{}/messages", session.as_str().unwrap());
    let reply = api
        .call_with(
            "POST",
            &path,
            &[("traceparent", &sampled(&trace(1)))],
            Some(json!({ "content": "Well?" })),
        )
        .await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let spans = collector.trace(&trace(1), SPANS).await;
    assert_eq!(Told::named(&spans, RUN).span["parentSpanId"], PARENT);
    rows_become(&node, &[Some(&trace(1))]).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_page_of_another_origin_may_send_its_trace() {
    let provider = ScriptedProvider::start().await;
    let origin = "https://app.example.com";
    let mut node = TestNode::start(&provider, &[("ALLOWED_ORIGINS", origin)]).await;
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,traceparent",
        ),
    ];
    let reply = crate::support::http::request(&node.base, "OPTIONS", "/v1/sessions", &headers, None).await;
    let allowed = reply.header("access-control-allow-headers").unwrap_or_default();
    assert!(
        allowed.split(',').any(|name| name.trim() == "traceparent"),
        "{reply:?}"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_context_that_is_not_well_formed_is_ignored_and_the_run_gets_a_trace_of_its_own() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    let theirs = trace(1);
    let malformed = [
        String::new(),
        "hello".to_owned(),
        format!("00-{theirs}-{PARENT}"),
        format!("00-{theirs}-{PARENT}-01-more"),
        format!("ff-{theirs}-{PARENT}-01"),
        format!("00-{}-{PARENT}-01", theirs.to_uppercase()),
        format!("00-{theirs}-{}-01", "0".repeat(16)),
    ];
    for traceparent in &malformed {
        let mut client = connect(&node, None, traceparent).await;
        let answer = client.ask("q", "Well?").await;
        assert_eq!(answer["state"], "complete", "{traceparent:?}");
        client.cut();
    }
    eventually("each run's row names its trace", || async {
        rows(&node)
            .await
            .iter()
            .filter(|(trace, _)| trace.is_some())
            .count()
            == malformed.len()
    })
    .await;
    let mut traces: Vec<String> = rows(&node)
        .await
        .into_iter()
        .filter_map(|(trace, _)| trace)
        .collect();
    assert!(!traces.contains(&theirs), "{traces:?}");
    for own in &traces {
        let spans = collector.trace(own, SPANS).await;
        assert!(Told::named(&spans, RUN).span.get("parentSpanId").is_none());
    }
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), malformed.len(), "a trace for each");
    node.shut_down().await;
}

#[tokio::test]
async fn a_trace_that_is_not_recorded_is_not_told_of_nor_noted() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    let unsampled = format!("00-{}-{PARENT}-00", trace(1));
    let mut client = connect(&node, None, &unsampled).await;
    client.ask("q", "Not this").await;
    client.cut();
    let mut client = connect(&node, None, &sampled(&trace(2))).await;
    client.ask("q", "But this").await;
    client.cut();
    // They are sent in the order in which they are told: those of the first run would have come before.
    collector.trace(&trace(2), SPANS).await;
    let spans = collector.spans();
    assert_eq!(spans.len(), SPANS, "{spans:#?}");
    rows_become(&node, &[None, Some(&trace(2))]).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_ratio_of_nothing_leaves_what_clients_record() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[("OTEL_TRACES_SAMPLER_ARG", "0")]).await;
    let mut client = node.connect("alice").await;
    client.ask("q", "Not this").await;
    client.cut();
    let mut client = connect(&node, None, &sampled(&trace(2))).await;
    client.ask("q", "But this").await;
    client.cut();
    collector.trace(&trace(2), SPANS).await;
    assert_eq!(collector.spans().len(), SPANS);
    rows_become(&node, &[None, Some(&trace(2))]).await;
    node.shut_down().await;
}

#[tokio::test]
async fn nothing_is_told_or_noted_unless_a_collector_is_named() {
    let provider = ScriptedProvider::start().await;
    let beside = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20x"),
        ("OTEL_SERVICE_NAME", "agent"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ];
    let mut node = TestNode::start(&provider, &beside).await;
    let metrics = metrics(&node);
    assert!(node.node().service().settings.traces.is_none());
    provider.on("first", half_then("go"));
    let mut client = connect(&node, None, &sampled(&trace(1))).await;
    client.query("q1", "first").await;
    waits_and_is_answered(&provider, &mut client).await;
    client.cut();
    let database = node.database.clone();
    node.shut_down().await;
    let noted: i64 =
        sqlx::query_scalar("SELECT count(*) FROM agent.runs WHERE num_nonnulls(trace_id, traceparent) > 0")
            .fetch_one(&database.pool)
            .await
            .unwrap();
    assert_eq!(noted, 0);
    assert_eq!(counted(&metrics), [0, 0, 0]);
}

#[tokio::test]
async fn a_run_that_waited_is_told_in_the_trace_of_who_asked_for_it() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    provider.on("first", half_then("go"));
    let mut first = connect(&node, None, &sampled(&trace(1))).await;
    first.query("q1", "first").await;
    let mut second = connect(&node, Some(&first.session), &sampled(&trace(2))).await;
    waits_and_is_answered(&provider, &mut second).await;
    for number in [1, 2] {
        let spans = collector.trace(&trace(number), SPANS).await;
        assert_eq!(Told::named(&spans, RUN).span["parentSpanId"], PARENT);
    }
    for client in [first, second] {
        client.cut();
    }
    rows_become(&node, &[Some(&trace(1)), Some(&trace(2))]).await;
    node.shut_down().await;
}

#[tokio::test]
async fn further_answers_are_told_in_the_trace_of_who_asked_for_them_however_soon_they_begin() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    let mut client = connect(&node, None, &sampled(&trace(0))).await;
    client.ask("q", "Well?").await;
    // Such a run waits for its place, which is free: it begins about when its row learns of its trace.
    for number in 1..=8 {
        let mut other = connect(&node, Some(&client.session), &sampled(&trace(number))).await;
        let asked = other.command("regenerate", json!({})).await;
        assert_eq!(asked["type"], "status", "{asked}");
        let spans = collector.trace(&trace(number), SPANS).await;
        assert_eq!(Told::named(&spans, RUN).span["parentSpanId"], PARENT);
        other.cut();
    }
    client.cut();
    node.shut_down().await;
}

#[tokio::test]
async fn what_a_query_came_with_is_kept_though_its_run_was_claimed_by_then() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().head().text("Half ").stall());
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.query("q", "Well?").await;
    client.until(|frame| frame["type"] == "delta").await;
    let (session, run) = sqlx::query_as("SELECT session_id, run_id FROM agent.runs WHERE state = 'running'")
        .fetch_one(&node.database.pool)
        .await
        .unwrap();
    let key = SessionKey {
        user_id: UserId::new("alice").unwrap(),
        session_id: SessionId(session),
    };
    let parent = sampled(&trace(1));
    let store = &node.node().service().store;
    store
        .keep_parent(&key, RunId(run), parent.parse().unwrap())
        .await
        .unwrap();
    let kept: Option<String> = sqlx::query_scalar("SELECT traceparent FROM agent.runs")
        .fetch_one(&node.database.pool)
        .await
        .unwrap();
    assert_eq!(kept, Some(parent));
    client.cut();
    node.shut_down().await;
}

#[tokio::test]
async fn an_answer_that_another_question_interrupts_is_no_error_and_each_is_told_in_its_own_trace() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    provider.on("first", Script::new().head().text("Half ").stall());
    let mut first = connect(&node, None, &sampled(&trace(1))).await;
    first.query("q1", "first").await;
    first.until(|frame| frame["type"] == "delta").await;
    let mut second = connect(&node, Some(&first.session), &sampled(&trace(2))).await;
    let urgent = json!({ "type": "query", "id": "q2", "content": "urgent", "on_busy": "interrupt" });
    second.send(&urgent).await;
    let cancelled = collector.trace(&trace(1), SPANS).await;
    let run = Told::named(&cancelled, RUN);
    assert_eq!(run.attribute("agent_websocket.run.state"), "cancelled");
    for told in &cancelled {
        assert_eq!(told.span["status"]["code"], 0, "{told:#?}");
    }
    let answered = collector.trace(&trace(2), SPANS).await;
    let run = Told::named(&answered, RUN);
    assert_eq!(run.attribute("agent_websocket.run.state"), "complete");
    assert_eq!(run.span["parentSpanId"], PARENT);
    for client in [first, second] {
        client.cut();
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_second_try_on_another_node_is_told_in_the_trace_of_the_first() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut one = node(&provider, &collector, &[]).await;
    provider.then(Script::new().head().stall());
    // No context of the client's: what the second try knows of the trace stands in the row.
    let mut client = one.connect("alice").await;
    client.query("q", "Well?").await;
    provider.wait_for(|tally| tally.calls == 1).await;
    eventually("the first try's trace is noted", || async {
        rows(&one).await.iter().all(|(trace, _)| trace.is_some())
    })
    .await;
    let noted = rows(&one).await[0].0.clone().unwrap();
    let mut two = node_on(one.database.clone(), &provider, &collector, &[]).await;
    let session = client.session.clone();
    client.cut();
    one.shut_down().await;
    let mut client = two.resume("alice", &session, 0).await;
    client.until(|frame| frame["type"] == "response").await;
    let mut spans = collector.trace(&noted, 2 + SPANS).await;
    // Each node sends for itself, so that they may arrive in any order.
    spans.sort_by_key(Told::time);
    let states: Vec<_> = spans
        .iter()
        .filter(|told| told.span["name"] == RUN)
        .map(|told| {
            let of = |key| told.attribute(key);
            (
                of("agent_websocket.run.attempt"),
                of("agent_websocket.run.state"),
                told.of_resource("service.instance.id"),
            )
        })
        .collect();
    let [first, second] = states.as_slice() else {
        panic!("two tries: {spans:#?}");
    };
    assert_eq!((&first.0, &first.1), (&json!(1), &json!("released")));
    assert_eq!((&second.0, &second.1), (&json!(2), &json!("complete")));
    assert_ne!(first.2, second.2, "each node has its own name");
    let calls: Vec<_> = spans.iter().filter(|told| told.span["name"] == CHAT).collect();
    assert_eq!(calls[0].attribute("error.type"), "shutdown");
    assert!(calls[1].attribute("error.type").is_null());
    rows_become(&two, &[Some(&noted)]).await;
    client.cut();
    two.shut_down().await;
}
