//! Calls to a server that speaks chat completions, OpenRouter before all.
//!
//! Owns the HTTP client and the life of one generation: dial, read, and, as long as no text has come, pause and
//! dial again. Refuses to follow redirects or to leave the configured host. [`super::Generation`] drives it.
//!
//! ```text
//!   Pausing --> Connecting --> Reading --> Ended
//!      ^            | fault       | fault before the first text
//!      +------------+-------------+
//! ```
//!
//! Whatever is awaited lives in the phase, not in a future on the caller's stack: that is what makes `next`
//! cancel-safe, and what makes dropping a [`Call`] close its connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url, redirect, retry};
use tokio::time::{Instant, sleep_until, timeout_at};

use self::reply::Reply;
use super::breaker::{Breakers, Permit};
use super::error::{Detail, LlmError, Wait};
use super::settings::{ProviderFlavor, Settings};
use super::wire::Body;
use super::{Event, Request, failure};

mod reply;

/// A chat-completions server and the connections to it.
#[derive(Debug, Clone)]
pub struct OpenRouter {
    upstream: Arc<Upstream>,
}

/// The system offers no TLS to build an HTTP client on.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be built for the provider")]
pub struct SetupError(#[source] reqwest::Error);

#[derive(Debug)]
struct Upstream {
    client: Client,
    url: Url,
    settings: Settings,
    breakers: Breakers,
}

impl OpenRouter {
    /// Builds the client; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the system offers no TLS.
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let client = client(&settings).map_err(SetupError)?;
        let url = settings.base_url.chat_completions();
        let breakers = Breakers::new(settings.breaker);
        Ok(Self {
            upstream: Arc::new(Upstream {
                client,
                url,
                settings,
                breakers,
            }),
        })
    }

    /// The flavor's name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        self.upstream.settings.flavor.as_str()
    }

    pub(super) fn start(&self, request: Request) -> Call {
        let now = Instant::now();
        Call {
            give_up_at: now + self.upstream.settings.timeouts.total,
            upstream: Arc::clone(&self.upstream),
            request,
            fallbacks_used: 0,
            retries: 0,
            was_empty: false,
            has_text: false,
            permit: None,
            phase: Phase::Pausing { until: now },
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that sets the limits of calls to a provider"
)]
fn client(settings: &Settings) -> reqwest::Result<Client> {
    let plain_http = settings.base_url.is_plain_http();
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = &settings.api_key {
        headers.insert(AUTHORIZATION, key.authorization());
    }
    let builder = Client::builder()
        .user_agent(concat!("agent-websocket/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(settings.timeouts.connect)
        // Over HTTP/2 all streams would share one connection and stall at the peer's limit of about a hundred.
        .http1_only()
        // A redirect would carry the conversation to a host that nobody configured.
        .redirect(redirect::Policy::none())
        .https_only(!plain_http)
        // A retry is this module's decision: it costs money and has to be counted.
        .retry(retry::never())
        .tcp_nodelay(true)
        // A NAT that silently drops an idle flow must not look like a model that thinks for long.
        .tcp_keepalive(Duration::from_secs(30))
        .pool_idle_timeout(Duration::from_mins(1));
    // A server of one's own isn't behind the proxy that the system names for the outside world.
    if plain_http {
        builder.no_proxy().build()
    } else {
        builder.build()
    }
}

/// One generation, over however many calls it takes.
#[derive(Debug)]
pub(super) struct Call {
    upstream: Arc<Upstream>,
    request: Request,
    /// Fallbacks that took the place of the model; at OpenRouter none, which falls back by itself.
    fallbacks_used: usize,
    retries: u32,
    was_empty: bool,
    has_text: bool,
    give_up_at: Instant,
    /// Held until the first text or fault tells what the call says about the provider's health.
    permit: Option<Permit>,
    phase: Phase,
}

enum Phase {
    Pausing { until: Instant },
    Connecting(Pin<Box<dyn Future<Output = Result<Reply, LlmError>> + Send>>),
    Reading(Box<Reply>),
    Ended,
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pausing { .. } => "Pausing",
            Self::Connecting(_) => "Connecting",
            Self::Reading(_) => "Reading",
            Self::Ended => "Ended",
        })
    }
}

impl Call {
    pub(super) async fn next(&mut self) -> Option<Result<Event, LlmError>> {
        while !matches!(self.phase, Phase::Ended) {
            match self.step().await {
                Ok(None) => {}
                Ok(Some(event)) => {
                    self.on_event(&event);
                    return Some(Ok(event));
                }
                Err(fault) => {
                    let now = Instant::now();
                    let Some(pause) = self.pause_after(&fault, now) else {
                        self.phase = Phase::Ended;
                        return Some(Err(fault));
                    };
                    self.phase = Phase::Pausing { until: now + pause };
                }
            }
        }
        None
    }

    /// Waits for what the phase waits for; a step may lead to the next phase and report nothing.
    async fn step(&mut self) -> Result<Option<Event>, LlmError> {
        match &mut self.phase {
            Phase::Pausing { until } => {
                sleep_until(*until).await;
                self.phase = Phase::Connecting(Box::pin(self.dial()?));
            }
            Phase::Connecting(reply) => self.phase = Phase::Reading(Box::new(reply.await?)),
            Phase::Reading(reply) => return reply.next().await.map(Some),
            Phase::Ended => {}
        }
        Ok(None)
    }

    fn dial(&mut self) -> Result<impl Future<Output = Result<Reply, LlmError>> + Send + use<>, LlmError> {
        let permit = self
            .upstream
            .breakers
            .admit(self.model(), Instant::now().into_std())
            .map_err(|retry_after| LlmError::CircuitOpen { retry_after })?;
        let body = Body::new(&self.request, self.model(), self.upstream.settings.flavor);
        let body = serde_json::to_vec(&body).map_err(|error| LlmError::Rejected(Detail::of_error(&error)))?;
        self.permit = Some(permit);
        Ok(connect(Arc::clone(&self.upstream), body, self.give_up_at))
    }

    fn model(&self) -> &str {
        let fallback = self
            .fallbacks_used
            .checked_sub(1)
            .and_then(|at| self.request.fallbacks.get(at));
        fallback.unwrap_or(&self.request.model)
    }

    fn on_event(&mut self, event: &Event) {
        if matches!(event, Event::Started { .. }) {
            return;
        }
        self.has_text = true;
        if let Some(permit) = self.permit.take() {
            permit.answered();
        }
        if matches!(event, Event::Finished(_)) {
            self.phase = Phase::Ended;
        }
    }

    /// Takes note of a fault and says how long to wait before the next call; `None` if the fault stands.
    fn pause_after(&mut self, fault: &LlmError, now: Instant) -> Option<Duration> {
        match self.permit.take() {
            Some(permit) if fault.is_outage() => permit.failed(now.into_std()),
            Some(permit) => permit.answered(),
            None => {}
        }
        let pause = self.plan_retry(fault)?;
        if now + pause >= self.give_up_at {
            return None;
        }
        self.retries += 1;
        self.was_empty |= matches!(fault, LlmError::Empty { .. });
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(fault = fault.label(), error = %fault, pause_ms, "the provider is asked again");
        Some(pause)
    }

    fn plan_retry(&mut self, fault: &LlmError) -> Option<Duration> {
        let retry = self.upstream.settings.retry;
        if self.has_text || self.retries >= retry.max_retries {
            return None;
        }
        let jitter = retry.pause(self.retries, rand::random());
        if self.turn_to_fallback(fault) {
            return Some(jitter);
        }
        let wanted = fault.retry_after().unwrap_or_default();
        let hopeless = match fault {
            // The breaker's pause is the caller's to wait for: others wait for it too.
            LlmError::CircuitOpen { .. } => true,
            // A cold start may yield nothing once; twice is the model's answer.
            LlmError::Empty { .. } => self.was_empty || !fault.is_retryable(),
            _ => !fault.is_retryable(),
        };
        (!hopeless && wanted <= retry.max_retry_after).then(|| wanted + jitter)
    }

    /// OpenRouter gets the fallbacks with the request; at any other server each retry asks the next one.
    fn turn_to_fallback(&mut self, fault: &LlmError) -> bool {
        let other_model_helps = fault.is_retryable() || matches!(fault, LlmError::ModelUnavailable(_));
        let turn = other_model_helps
            && self.upstream.settings.flavor != ProviderFlavor::OpenRouter
            && self.fallbacks_used < self.request.fallbacks.len();
        if turn {
            self.fallbacks_used += 1;
        }
        turn
    }
}

/// Sends the request and waits for the headers of a stream; any other response is a fault.
async fn connect(upstream: Arc<Upstream>, body: Vec<u8>, give_up_at: Instant) -> Result<Reply, LlmError> {
    let timeouts = upstream.settings.timeouts;
    let deadline = give_up_at.min(Instant::now() + timeouts.headers);
    let call = upstream.client.post(upstream.url.clone()).body(body).send();
    let response = match timeout_at(deadline, call).await {
        Err(_) => return Err(LlmError::TimedOut(Wait::Headers)),
        Ok(Err(error)) => return Err(of_transport(error)),
        Ok(Ok(response)) => response,
    };
    if is_stream(&response) {
        return Ok(Reply::new(response, &upstream.settings, give_up_at));
    }
    // The words of a complaint are for the log alone: they get as little time as the usage does.
    let deadline = give_up_at.min(Instant::now() + timeouts.drain);
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = read_complaint(response, upstream.settings.limits.error_body_bytes, deadline).await;
    Err(failure::of_response(status, &headers, &body))
}

fn of_transport(error: reqwest::Error) -> LlmError {
    if error.is_timeout() {
        return LlmError::TimedOut(Wait::Connection);
    }
    LlmError::Unreachable(Detail::of_error(&error.without_url()))
}

/// Servers label their streams in many ways, and some not at all; JSON and HTML are what complaints come in.
fn is_stream(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let is_document = ["application/json", "application/problem+json", "text/html"]
        .iter()
        .any(|document| kind.to_ascii_lowercase().starts_with(document));
    response.status().is_success() && !is_document
}

/// Reads what comes of the body within its limits of size and time; the status has said the most important part.
async fn read_complaint(mut response: Response, max_bytes: usize, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Ok(Some(bytes))) = timeout_at(deadline, response.chunk()).await {
        let room = max_bytes - body.len();
        body.extend(bytes.iter().take(room));
        if body.len() == max_bytes {
            break;
        }
    }
    body
}
