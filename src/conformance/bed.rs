//! What a check works with: the server's address, a token, and ways to open connections to it.
//!
//! Refuses to leave anything behind: the sessions that checks made are deleted at the end.

use std::cell::RefCell;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Stop;
use super::line::{Line, Shared};
use super::witness::{Start, Witness};
use crate::client::address::Address;
use crate::client::web::{Reply, Web};
use crate::protocol::{BEARER_PREFIX, SUBPROTOCOL};
use crate::secret::Secret;

/// The longest frame that is taken.
const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// How often a connection is tried again that came too soon.
const MAX_REPEATS: u32 = 5;

/// The server, and how it is spoken to.
pub(super) struct Bed {
    pub(super) address: Address,
    pub(super) token: Secret,
    /// Asks for an answer of a few words.
    pub(super) short: String,
    /// Asks for an answer that takes seconds.
    pub(super) long: String,
    pub(super) web: Web,
    pub(super) shared: Shared,
    /// Sessions to be deleted.
    pub(super) made: RefCell<Vec<String>>,
}

/// How a connection is opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Door {
    /// Of the URL, without the question mark.
    pub(super) query: String,
    pub(super) protocols: Vec<String>,
    /// For the header.
    pub(super) bearer: Option<Secret>,
    pub(super) origin: Option<&'static str>,
    pub(super) start: Start,
}

/// A refused upgrade.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) body: String,
    retry_after: Option<u64>,
}

impl Door {
    /// Nothing but the sub-protocol.
    pub(super) fn plain() -> Self {
        Self {
            protocols: vec![SUBPROTOCOL.to_owned()],
            ..Self::default()
        }
    }

    pub(super) fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    pub(super) fn bearer(mut self, token: &Secret) -> Self {
        self.bearer = Some(token.clone());
        self
    }

    /// A token in a sub-protocol of its own.
    pub(super) fn bearer_protocol(mut self, token: &Secret) -> Self {
        self.protocols.push(format!("{BEARER_PREFIX}{}", token.expose()));
        self
    }

    pub(super) fn no_protocol(mut self) -> Self {
        self.protocols.clear();
        self
    }
}

impl Bed {
    /// A door with a token in the header and the sub-protocol.
    pub(super) fn door(&self) -> Door {
        Door::plain().bearer(&self.token)
    }

    /// Opens a connection, or learns why not.
    pub(super) async fn knock(&self, door: &Door) -> Result<Result<Line, Refused>, Stop> {
        for _ in 0..MAX_REPEATS {
            match self.knock_once(door).await? {
                Err(Refused {
                    status: 429 | 503,
                    retry_after: Some(seconds),
                    ..
                }) if seconds <= 60 => sleep(std::time::Duration::from_secs(seconds)).await,
                outcome => return Ok(outcome),
            }
        }
        Err(Stop::Failed(format!(
            "no connection after {MAX_REPEATS} tries: too many at once"
        )))
    }

    async fn knock_once(&self, door: &Door) -> Result<Result<Line, Refused>, Stop> {
        let failed = |error: &dyn std::fmt::Display| Stop::Failed(format!("no connection: {error}"));
        let query = if door.query.is_empty() { "" } else { "?" };
        let url = format!("{}{query}{}", self.address.socket(), door.query);
        let mut request = url.into_client_request().map_err(|error| failed(&error))?;
        let mut add = |name: HeaderName, value: &str| -> Result<(), Stop> {
            let value = HeaderValue::from_str(value).map_err(|error| failed(&error))?;
            request.headers_mut().insert(name, value);
            Ok(())
        };
        if let Some(token) = &door.bearer {
            add(AUTHORIZATION, &format!("Bearer {}", token.expose()))?;
        }
        if !door.protocols.is_empty() {
            add(SEC_WEBSOCKET_PROTOCOL, &door.protocols.join(", "))?;
        }
        if let Some(origin) = door.origin {
            add(ORIGIN, origin)?;
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let opening = connect_async_with_config(request, Some(config), true);
        match timeout(self.shared.patience, opening).await {
            Ok(Ok((socket, response))) => {
                let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
                let wanted = (!door.protocols.is_empty()).then_some(SUBPROTOCOL);
                super::must(chosen.and_then(|value| value.to_str().ok()) == wanted, || {
                    format!("the server chose the sub-protocol {chosen:?} instead of {wanted:?}")
                })?;
                Ok(Ok(Line::new(
                    socket,
                    Witness::new(door.start),
                    self.shared.clone(),
                )))
            }
            Ok(Err(Error::Http(response))) => {
                let retry_after = response.headers().get("retry-after");
                Ok(Err(Refused {
                    status: response.status().as_u16(),
                    retry_after: retry_after.and_then(|value| value.to_str().ok()?.parse().ok()),
                    body: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default())
                        .into_owned(),
                }))
            }
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"no answer in time")),
        }
    }

    /// Opens a connection that must be let in.
    pub(super) async fn open(&self, door: &Door) -> Result<Line, Stop> {
        match self.knock(door).await? {
            Ok(line) => Ok(line),
            Err(refused) => Err(Stop::Failed(format!(
                "the upgrade was refused with {}: {}",
                refused.status, refused.body
            ))),
        }
    }

    /// A connection to a new session, caught up.
    pub(super) async fn fresh(&self) -> Result<Line, Stop> {
        let mut line = self.open(&self.door()).await?;
        line.live().await?;
        self.keep_in_mind(&line);
        Ok(line)
    }

    /// A connection to a session, not yet caught up.
    pub(super) async fn resume(&self, session: &str, after: Option<i64>) -> Result<Line, Stop> {
        let cursor = after.map_or_else(String::new, |after| format!("&after={after}"));
        let door = Door {
            start: Start { after },
            ..self.door().query(&format!("session_id={session}{cursor}"))
        };
        self.open(&door).await
    }

    /// The session of a connection is to be deleted at the end.
    pub(super) fn keep_in_mind(&self, line: &Line) {
        let mut made = self.made.borrow_mut();
        if !line.session.is_empty() && !made.contains(&line.session) {
            made.push(line.session.clone());
        }
    }

    /// Asks HTTP, with the token.
    pub(super) async fn http(&self, path: &str, body: Option<&Value>) -> Result<Reply, Stop> {
        for _ in 0..MAX_REPEATS {
            let reply = self
                .web
                .ask(path, Some(&self.token), body)
                .await
                .map_err(Stop::Failed)?;
            if reply.status != 429 {
                return Ok(reply);
            }
            let after = reply
                .body
                .as_ref()
                .and_then(|body| body.get("retry_after_ms")?.as_u64());
            sleep(std::time::Duration::from_millis(
                after.unwrap_or(1000).min(60_000),
            ))
            .await;
        }
        Err(Stop::Failed(format!(
            "{path}: too many requests, {MAX_REPEATS} times"
        )))
    }

    /// Deletes the sessions that were made.
    pub(super) async fn clean_up(&self) -> Result<(), Stop> {
        let made = self.made.take();
        if made.is_empty() {
            return Ok(());
        }
        let mut line = self.fresh().await?;
        let own = line.session.clone();
        for session in made.iter().chain([&own]) {
            line.ask(json!({ "type": "command", "content": "delete", "args": { "session_id": session } }))
                .await?;
        }
        Ok(())
    }
}
