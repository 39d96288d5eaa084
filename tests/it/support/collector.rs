//! An OpenTelemetry collector on this machine: keeps what it is sent, and answers as its test says.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::eventually;

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It takes what it is sent.
    Takes,
    /// It takes all but so many of each request.
    TakesAllBut(usize),
    /// It refuses with this status.
    Refuses(u16),
    /// It reads, and never answers.
    Silent,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    /// What came of it.
    mood: Mood,
}

/// A span as the collector reads it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// The span as it stands in the request.
    pub(crate) span: Value,
    /// The attributes of who told it.
    pub(crate) resource: Value,
}

#[derive(Debug)]
struct Desk {
    mood: Mutex<Mood>,
    posts: Mutex<Vec<Post>>,
}

/// The collector; stops when it is dropped.
pub(crate) struct Collector {
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) url: String,
    desk: Arc<Desk>,
    _serving: JoinSet<()>,
}

impl Collector {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let desk = Arc::new(Desk {
            mood: Mutex::new(mood),
            posts: Mutex::default(),
        });
        let app = Router::new().fallback(take).with_state(Arc::clone(&desk));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            desk,
            _serving: serving,
        }
    }

    /// Answers like this from here on.
    pub(crate) fn become_one_that(&self, mood: Mood) {
        *self.desk.mood.lock().unwrap() = mood;
    }

    /// The requests so far, oldest first, whatever they were answered.
    pub(crate) fn posts(&self) -> Vec<Post> {
        self.desk.posts.lock().unwrap().clone()
    }

    /// The spans that it took.
    pub(crate) fn spans(&self) -> Vec<Told> {
        let posts = self.posts();
        let taken = posts.iter().filter(|post| post.mood == Mood::Takes);
        taken.flat_map(|post| told(&post.body)).collect()
    }

    /// Waits until it took this many spans of a trace, and gives them.
    pub(crate) async fn trace(&self, trace_id: &str, spans: usize) -> Vec<Told> {
        let of = || {
            let mut spans = self.spans();
            spans.retain(|told| told.span["traceId"] == trace_id);
            spans
        };
        eventually("the spans of a trace arrive", || {
            std::future::ready(of().len() >= spans)
        })
        .await;
        of()
    }
}

impl Told {
    /// The span of this name; there must be one.
    pub(crate) fn named<'a>(spans: &'a [Self], name: &str) -> &'a Self {
        let mut found = spans.iter().filter(|told| told.span["name"] == name);
        let (first, more) = (found.next(), found.next());
        assert!(more.is_none(), "several {name}: {spans:#?}");
        first.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
    }

    /// An attribute's value as plain JSON; null where there is none.
    pub(crate) fn attribute(&self, key: &str) -> Value {
        plain(attribute(&self.span["attributes"], key))
    }

    /// An attribute of who told it.
    pub(crate) fn of_resource(&self, key: &str) -> Value {
        plain(attribute(&self.resource, key))
    }

    /// The names of its attributes, sorted.
    pub(crate) fn attribute_names(&self) -> Vec<String> {
        let attributes = self.span["attributes"].as_array().unwrap();
        let mut names: Vec<String> = attributes
            .iter()
            .map(|attribute| attribute["key"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// When it began and when it ended, in nanoseconds since 1970.
    pub(crate) fn time(&self) -> (u128, u128) {
        let nanos = |field: &str| self.span[field].as_str().unwrap().parse().unwrap();
        (nanos("startTimeUnixNano"), nanos("endTimeUnixNano"))
    }
}

/// The spans of a request.
fn told(body: &Value) -> Vec<Told> {
    let resources = body["resourceSpans"].as_array().unwrap();
    let of = |resource: &Value| -> Vec<Told> {
        let scopes = resource["scopeSpans"].as_array().unwrap();
        let spans = scopes.iter().flat_map(|scope| scope["spans"].as_array().unwrap());
        let told = spans.map(|span| Told {
            span: span.clone(),
            resource: resource["resource"]["attributes"].clone(),
        });
        told.collect()
    };
    resources.iter().flat_map(of).collect()
}

fn attribute<'a>(attributes: &'a Value, key: &str) -> &'a Value {
    let mut found = attributes
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["key"] == key);
    let first = found.next();
    assert!(found.next().is_none(), "{key} stands there twice: {attributes}");
    first.map_or(&Value::Null, |one| &one["value"])
}

/// A value as OTLP writes it, as one writes it otherwise.
fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "intValue" => json!(value.as_str().unwrap().parse::<i64>().unwrap()),
        "arrayValue" => value["values"].as_array().unwrap().iter().map(plain).collect(),
        "stringValue" | "doubleValue" | "boolValue" => value.clone(),
        _ => panic!("no kind of value: {kind}"),
    }
}

/// Answers a request.
async fn take(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let mood = *desk.mood.lock().unwrap();
    desk.posts.lock().unwrap().push(Post {
        path: uri.path().to_owned(),
        headers,
        body: serde_json::from_slice(&body).unwrap(),
        mood,
    });
    match mood {
        Mood::Takes => (StatusCode::OK, "{}".to_owned()),
        Mood::TakesAllBut(spans) => {
            let answer =
                json!({ "partialSuccess": { "rejectedSpans": spans.to_string(), "errorMessage": "canary" } });
            (StatusCode::OK, answer.to_string())
        }
        Mood::Refuses(status) => (StatusCode::from_u16(status).unwrap(), "no".to_owned()),
        Mood::Silent => std::future::pending().await,
    }
}
