//! A span, and how OTLP writes it in JSON: ids as hexadecimal digits, whole numbers of 64 bits as text, enums as numbers.
//!
//! Pure. Refuses words of people by having no place for them: an attribute's value is a number, a flag, or a text that the
//! caller chose.

use std::time::Duration;

use serde_json::{Value, json};

use crate::trace::{SpanId, TraceId};

/// What a span is to those beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work inside this service.
    Internal,
    /// A call to another.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A name or a code.
    Text(String),
    /// Several of them.
    Texts(Vec<String>),
    /// A count.
    Count(i64),
    /// A measure.
    Measure(f64),
    /// Yes or no.
    Flag(bool),
}

/// A piece of work that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub id: SpanId,
    /// What it is part of.
    pub parent: Option<SpanId>,
    /// What it is called.
    pub name: String,
    /// What it is to others.
    pub kind: Kind,
    /// When it began, since 1970.
    pub began: Duration,
    /// When it ended, since 1970.
    pub ended: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed, as a code.
    pub error: Option<&'static str>,
}

impl Attribute {
    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!({ "stringValue": text }),
            Self::Texts(texts) => {
                let values: Vec<Value> = texts.iter().map(|text| json!({ "stringValue": text })).collect();
                json!({ "arrayValue": { "values": values } })
            }
            Self::Count(count) => json!({ "intValue": count.to_string() }),
            Self::Measure(measure) => json!({ "doubleValue": measure }),
            Self::Flag(flag) => json!({ "boolValue": flag }),
        }
    }
}

impl Span {
    fn json(&self) -> Value {
        let error = self
            .error
            .map(|error| ("error.type", Attribute::Text(error.to_owned())));
        let attributes: Vec<Value> = self
            .attributes
            .iter()
            .chain(error.as_ref())
            .map(|(key, value)| json!({ "key": key, "value": value.json() }))
            .collect();
        let mut span = json!({
            "traceId": self.trace.to_string(),
            "spanId": self.id.to_string(),
            "name": self.name,
            "kind": match self.kind { Kind::Internal => 1, Kind::Client => 3 },
            "startTimeUnixNano": self.began.as_nanos().to_string(),
            "endTimeUnixNano": self.ended.as_nanos().to_string(),
            "attributes": attributes,
            // Sampled, as W3C's flags have it.
            "flags": 1,
            // Unset, or a fault.
            "status": { "code": if self.error.is_some() { 2 } else { 0 } },
        });
        if let (Some(parent), Some(fields)) = (self.parent, span.as_object_mut()) {
            fields.insert("parentSpanId".to_owned(), parent.to_string().into());
        }
        span
    }
}

/// A batch as the collector reads it: who tells it, and the spans.
pub(super) fn batch(service: &str, node: &str, spans: &[Span]) -> Value {
    let text = |key: &str, text: &str| json!({ "key": key, "value": { "stringValue": text } });
    let version = env!("CARGO_PKG_VERSION");
    let spans: Vec<Value> = spans.iter().map(Span::json).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            text("service.name", service),
            text("service.version", version),
            text("service.instance.id", node),
        ] },
        "scopeSpans": [{ "scope": { "name": "agent-websocket", "version": version }, "spans": spans }],
    }] })
}
