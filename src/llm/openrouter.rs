//! A server that speaks chat completions, OpenRouter before all, and the connections to it.
//!
//! Owns the HTTP client with its limits, and the sending of one request up to the headers of its response. Refuses to
//! follow redirects or to leave the configured host. `call` asks for connections, `reply` reads what comes over them.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url, redirect, retry};
use tokio::time::{Instant, timeout_at};

pub(super) use self::call::Call;
use self::reply::Reply;
use super::breaker::Breakers;
use super::detail::Detail;
use super::error::{LlmError, Wait};
use super::settings::Settings;
use super::{Request, Usage, failure};

mod call;
mod cost;
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

    pub(super) async fn cost(&self, generation_id: &str) -> Result<Option<Usage>, LlmError> {
        cost::ask(&self.upstream, generation_id).await
    }

    pub(super) fn start(&self, request: Request) -> Call {
        Call::new(Arc::clone(&self.upstream), request)
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
    LlmError::Unreachable(Detail::of_transport(error))
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
