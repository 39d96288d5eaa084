//! A collector that is away, silent, busy or that refuses costs spans and nothing else.

use tokio::net::TcpSocket;

use super::{SPANS, connect, counted, metrics, node, sampled, trace};
use crate::support::collector::{Collector, Mood};
use crate::support::eventually;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

/// How many questions are asked.
const QUESTIONS: usize = 4;

/// Asks, and gets every answer.
async fn answers_come(node: &TestNode) {
    let mut client = connect(node, None, &sampled(&trace(1))).await;
    for question in 0..QUESTIONS {
        let answer = client.ask(&format!("q{question}"), "Well?").await;
        assert_eq!(answer["state"], "complete", "{answer}");
    }
    client.cut();
}

/// Ends a node, which leaves no task behind; none of its spans was taken, and each is counted as lost.
async fn ends_and_spans_are_lost(mut node: TestNode, spans: usize) {
    let metrics = metrics(&node);
    node.shut_down().await;
    assert_eq!(counted(&metrics), [0, spans as u64, 0]);
}

#[tokio::test]
async fn a_collector_that_never_answers_delays_no_answer_and_no_shutdown() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Silent).await,
    );
    let node = node(&provider, &collector, &[]).await;
    answers_come(&node).await;
    // From here on the sender waits for an answer to a post: this one, or another after it gave that up.
    eventually("spans are posted", || {
        std::future::ready(!collector.posts().is_empty())
    })
    .await;
    answers_come(&node).await;
    ends_and_spans_are_lost(node, 2 * QUESTIONS * SPANS).await;
}

#[tokio::test]
async fn a_collector_that_is_not_there_delays_no_answer_and_no_shutdown() {
    let provider = ScriptedProvider::start().await;
    // Bound and not listening: nobody else gets the port, and who connects is refused.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    let changes = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let node = TestNode::start(&provider, &changes).await;
    answers_come(&node).await;
    ends_and_spans_are_lost(node, QUESTIONS * SPANS).await;
}

#[tokio::test]
async fn what_a_collector_refuses_is_lost_and_what_comes_after_is_taken() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Refuses(400)).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    let metrics = metrics(&node);
    let mut client = connect(&node, None, &sampled(&trace(1))).await;
    client.ask("q", "Well?").await;
    client.cut();
    eventually("the spans are counted as lost", || {
        std::future::ready(counted(&metrics) == [0, SPANS as u64, 0])
    })
    .await;
    collector.become_one_that(Mood::Takes);
    let mut client = connect(&node, None, &sampled(&trace(2))).await;
    client.ask("q", "And now?").await;
    client.cut();
    collector.trace(&trace(2), SPANS).await;
    node.shut_down().await;
    assert_eq!(counted(&metrics), [SPANS as u64, SPANS as u64, 0]);
    let taken = collector.spans();
    assert!(
        taken.iter().all(|told| told.span["traceId"] == trace(2)),
        "{taken:#?}"
    );
}

#[tokio::test]
async fn what_a_busy_collector_sends_away_is_sent_again() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Refuses(503)).await,
    );
    let mut node = node(&provider, &collector, &[]).await;
    let metrics = metrics(&node);
    let mut client = connect(&node, None, &sampled(&trace(1))).await;
    client.ask("q", "Well?").await;
    client.cut();
    eventually("spans are posted", || {
        std::future::ready(!collector.posts().is_empty())
    })
    .await;
    collector.become_one_that(Mood::Takes);
    collector.trace(&trace(1), SPANS).await;
    node.shut_down().await;
    assert_eq!(counted(&metrics), [SPANS as u64, 0, 0]);
}

#[tokio::test]
async fn what_waits_for_its_batch_is_sent_at_the_end_of_the_process() {
    let (provider, collector) = (
        ScriptedProvider::start().await,
        Collector::start(Mood::Takes).await,
    );
    let mut node = node(&provider, &collector, &[("OTEL_BSP_SCHEDULE_DELAY", "60000")]).await;
    let metrics = metrics(&node);
    let mut client = connect(&node, None, &sampled(&trace(1))).await;
    client.ask("q", "Well?").await;
    client.cut();
    node.shut_down().await;
    assert_eq!(counted(&metrics), [SPANS as u64, 0, 0]);
    assert_eq!(collector.spans().len(), SPANS);
}

#[tokio::test]
async fn what_a_collector_takes_in_part_is_counted_in_parts() {
    let provider = ScriptedProvider::start().await;
    // Of one batch of three each, and more than there were.
    for (but, counts) in [(1, [2, 1, 0]), (4711, [0, 3, 0])] {
        let collector = Collector::start(Mood::TakesAllBut(but)).await;
        let mut node = node(&provider, &collector, &[("OTEL_BSP_SCHEDULE_DELAY", "60000")]).await;
        let metrics = metrics(&node);
        let mut client = connect(&node, None, &sampled(&trace(1))).await;
        client.ask("q", "Well?").await;
        client.cut();
        node.shut_down().await;
        assert_eq!(counted(&metrics), counts);
    }
}
