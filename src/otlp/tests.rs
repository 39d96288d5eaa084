//! What a batch looks like to a collector; what a full queue does.

use std::time::Duration;

use serde_json::json;

use super::span::{Attribute, Kind, Span, batch};
use super::{QUEUE, Settings, Spans};
use crate::metrics::{Format, Metrics, Readings};
use crate::trace::{SpanId, TraceId};

fn span() -> Span {
    Span {
        trace: "4bf92f3577b34da6a3ce929d0e0e4736".parse::<TraceId>().unwrap(),
        id: "00f067aa0ba902b7".parse::<SpanId>().unwrap(),
        parent: None,
        name: "chat test/model".to_owned(),
        kind: Kind::Client,
        began: Duration::from_millis(1_700_000_000_001),
        ended: Duration::from_millis(1_700_000_000_501),
        attributes: vec![
            ("text", Attribute::Text("t".to_owned())),
            ("texts", Attribute::Texts(vec!["stop".to_owned()])),
            ("count", Attribute::Count(12)),
            ("measure", Attribute::Measure(0.5)),
            ("flag", Attribute::Flag(true)),
        ],
        error: None,
    }
}

#[test]
fn a_batch_is_written_as_protobufs_json_mapping_has_it() {
    let child = Span {
        parent: Some("00f067aa0ba902b8".parse().unwrap()),
        kind: Kind::Internal,
        attributes: Vec::new(),
        error: Some("provider_busy"),
        ..span()
    };
    let written = batch("my-agent", "7", &[span(), child]);
    let of = |path: &str| {
        written
            .pointer(path)
            .unwrap_or_else(|| panic!("no {path}: {written}"))
    };
    let resource = of("/resourceSpans/0/resource/attributes/0");
    assert_eq!(
        resource,
        &json!({ "key": "service.name", "value": { "stringValue": "my-agent" } })
    );
    let first = of("/resourceSpans/0/scopeSpans/0/spans/0");
    assert_eq!(
        first,
        &json!({
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "spanId": "00f067aa0ba902b7",
            "name": "chat test/model",
            "kind": 3,
            "startTimeUnixNano": "1700000000001000000",
            "endTimeUnixNano": "1700000000501000000",
            "attributes": [
                { "key": "text", "value": { "stringValue": "t" } },
                { "key": "texts", "value": { "arrayValue": { "values": [{ "stringValue": "stop" }] } } },
                { "key": "count", "value": { "intValue": "12" } },
                { "key": "measure", "value": { "doubleValue": 0.5 } },
                { "key": "flag", "value": { "boolValue": true } },
            ],
            "flags": 1,
            "status": { "code": 0 },
        })
    );
    let second = of("/resourceSpans/0/scopeSpans/0/spans/1");
    assert_eq!(second["parentSpanId"], "00f067aa0ba902b8");
    assert_eq!(second["kind"], 1);
    assert_eq!(second["status"], json!({ "code": 2 }));
    assert_eq!(
        second["attributes"],
        json!([{ "key": "error.type", "value": { "stringValue": "provider_busy" } }])
    );
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_nobody_waits() {
    let metrics = Metrics::default();
    let settings = Settings {
        url: "http://127.0.0.1:1/v1/traces".parse().unwrap(),
        headers: reqwest::header::HeaderMap::new(),
        service: "test".to_owned(),
        ratio: 1.0,
        delay: Duration::from_secs(5),
    };
    // The task does not run: nothing is ever taken out.
    let (spans, _sender) = Spans::new(settings, "1".to_owned(), metrics.traces.clone()).unwrap();
    for _ in 0..QUEUE + 3 {
        spans.tell(span());
    }
    let text = metrics.text(Readings::default(), Format::Prometheus);
    assert!(
        text.contains("agent_websocket_spans_dropped_total{reason=\"queue_full\"} 3\n"),
        "{text}"
    );
}
