//! Takes spans out of the queue and posts them, one batch at a time.
//!
//! A batch that the collector could not take now (busy, restarting, away) is posted again a few times while others wait in the
//! queue; then it is dropped and counted. Nobody waits for any of it but the end of the process, and that for a bounded time.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect, retry};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::span::{Span, batch};
use super::{QUEUE, Settings};
use crate::metrics::Traces;

/// The most spans that are sent at once; the default of OpenTelemetry's own.
const MAX_BATCH: usize = 512;

/// Time for one post; the default of OTLP.
const POST_WITHIN: Duration = Duration::from_secs(10);

/// The most bytes of a collector's answer that are read: the form has two short fields.
const MAX_ANSWER: usize = 64 * 1024;

/// How often a batch is posted.
const TRIES: u32 = 3;

/// The pause before a batch is posted again; twice as long each time.
const PAUSE: Duration = Duration::from_secs(1);

/// Time for what is left when the process ends: within what `app` gives its last tasks.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// The system offers no TLS to build an HTTP client on.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be built for the collector")]
pub struct SetupError(#[source] reqwest::Error);

/// The task that sends.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    settings: Settings,
    node: String,
    spans: mpsc::Receiver<Span>,
    metrics: Traces,
    /// The collector took the batch before: only a change is worth a line in the log.
    well: bool,
}

/// What became of a post.
enum Posted {
    /// All but so many.
    Taken(usize),
    /// Another try may help.
    NotNow(String),
    Refused(String),
}

impl Sender {
    pub(super) fn new(
        settings: Settings,
        node: String,
        spans: mpsc::Receiver<Span>,
        metrics: Traces,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            client: client(&settings).map_err(SetupError)?,
            settings,
            node,
            spans,
            metrics,
            well: true,
        })
    }

    /// Sends until the stop, then what is left. The caller gives the stop after the last run has ended.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut waiting = Vec::new();
        let deadline = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break None,
                () = fill(&mut self.spans, &mut waiting, self.settings.delay) => {}
            }
            if waiting.is_empty() {
                // Nobody is left who could tell anything.
                break None;
            }
            let (is_settled, deadline) = self.send_until(&waiting, &stop).await;
            if is_settled {
                waiting.clear();
            }
            if deadline.is_some() {
                break deadline;
            }
        };
        let deadline = deadline.unwrap_or_else(|| Instant::now() + LAST_WITHIN);
        self.send_the_rest(waiting, deadline).await;
    }

    /// Sends a batch. A post that is under way when the stop comes may end, since the collector may have it already; the end of
    /// its time is then the second value. Whether the batch needs nothing more is the first.
    async fn send_until(&mut self, spans: &[Span], stop: &CancellationToken) -> (bool, Option<Instant>) {
        let send = self.send(spans, stop);
        tokio::pin!(send);
        tokio::select! {
            biased;
            is_settled = &mut send => (is_settled, None),
            () = stop.cancelled() => {
                let deadline = Instant::now() + LAST_WITHIN;
                (timeout_at(deadline, send).await.unwrap_or(false), Some(deadline))
            }
        }
    }

    /// Posts a batch until it is taken, refused or given up. `false`: the stop came before the next try.
    async fn send(&mut self, spans: &[Span], stop: &CancellationToken) -> bool {
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            match self.post(spans).await {
                Posted::Taken(rejected) => {
                    self.taken(spans, rejected);
                    break;
                }
                Posted::NotNow(_) if attempt < TRIES => {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return false,
                        () = tokio::time::sleep(pause) => pause *= 2,
                    }
                }
                Posted::NotNow(fault) | Posted::Refused(fault) => {
                    self.lost(spans, &fault);
                    break;
                }
            }
        }
        true
    }

    /// What was not settled when the stop came, and what is in the queue; each batch is posted once.
    async fn send_the_rest(mut self, mut waiting: Vec<Span>, deadline: Instant) {
        self.spans.close();
        while let Ok(span) = self.spans.try_recv() {
            waiting.push(span);
        }
        for spans in waiting.chunks(MAX_BATCH) {
            match timeout_at(deadline, self.post(spans)).await {
                Ok(Posted::Taken(rejected)) => self.taken(spans, rejected),
                Ok(Posted::NotNow(fault) | Posted::Refused(fault)) => self.lost(spans, &fault),
                Err(_) => self.lost(spans, "there was no time left"),
            }
        }
    }

    async fn post(&self, spans: &[Span]) -> Posted {
        let body = batch(&self.settings.service, &self.node, spans).to_string();
        let post = self.client.post(self.settings.url.clone()).body(body);
        let response = match post.send().await {
            Ok(response) => response,
            // Without the address: a path may hold a key.
            Err(error) => return Posted::NotNow(kind(&error).to_owned()),
        };
        let status = response.status();
        // Those that OTLP calls retryable.
        let not_now = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        if status.is_success() {
            Posted::Taken(rejected(response).await.min(spans.len()))
        } else if not_now.contains(&status) {
            Posted::NotNow(status.as_u16().to_string())
        } else {
            Posted::Refused(status.as_u16().to_string())
        }
    }

    fn taken(&mut self, spans: &[Span], rejected: usize) {
        self.metrics.exported(spans.len() - rejected);
        self.metrics.dropped("not_taken", rejected);
        if !self.well {
            tracing::info!("the collector takes spans again");
        }
        self.well = true;
    }

    fn lost(&mut self, spans: &[Span], fault: &str) {
        self.metrics.dropped("not_taken", spans.len());
        if self.well {
            tracing::warn!(
                fault,
                spans = spans.len(),
                "the collector takes no spans: they are dropped until it does"
            );
        }
        self.well = false;
    }
}

/// Waits for a span, then for more until the batch is full or the first has waited long enough. Cancel-safe: what was taken
/// stands in `waiting`. Nothing in it: the queue is closed.
async fn fill(spans: &mut mpsc::Receiver<Span>, waiting: &mut Vec<Span>, delay: Duration) {
    let Some(first) = spans.recv().await else {
        return;
    };
    waiting.push(first);
    let deadline = Instant::now() + delay;
    while waiting.len() < MAX_BATCH {
        let room = (MAX_BATCH - waiting.len()).min(QUEUE);
        match timeout_at(deadline, spans.recv_many(waiting, room)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// How many spans of a batch a collector says that it took not, where it took the rest. An answer that says nothing readable, or too
/// much, says none.
async fn rejected(mut response: Response) -> usize {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ANSWER {
            return 0;
        }
    }
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    // Whole numbers of 64 bits are text in this mapping; a number is to be read as well.
    match answer.pointer("/partialSuccess/rejectedSpans") {
        Some(Value::String(number)) => number.parse().unwrap_or_default(),
        Some(Value::Number(number)) => number
            .as_u64()
            .map_or(0, |number| usize::try_from(number).unwrap_or(usize::MAX)),
        _ => 0,
    }
}

/// What went wrong, in words that hold nothing of the address.
fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "it could not be reached"
    } else {
        "the connection broke"
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that sets the limits of calls to a collector"
)]
fn client(settings: &Settings) -> reqwest::Result<Client> {
    let mut headers = settings.headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let builder = Client::builder()
        .user_agent(concat!("agent-websocket/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .timeout(POST_WITHIN)
        // A redirect would carry the headers to a host that nobody configured.
        .redirect(redirect::Policy::none())
        .https_only(settings.url.scheme() == "https")
        // Counted and bounded above.
        .retry(retry::never());
    // A collector of one's own isn't behind the proxy that the system names for the outside world.
    if settings.url.scheme() == "http" {
        builder.no_proxy().build()
    } else {
        builder.build()
    }
}
