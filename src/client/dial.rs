//! Opens a socket: address, headers, TLS, and why it could not be opened.
//!
//! Refuses to retry. The token goes into a header, never into the address. `connection` and `check` call it.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, error};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::address::Address;
use crate::protocol::SUBPROTOCOL;
use crate::secret::Secret;

/// An open socket.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long a connection may take to be opened.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest frame that is taken: an answer of half a megabyte with every character escaped, and some more.
const MAX_FRAME_BYTES: usize = 8 * 1024 * 1024;

/// Why no socket was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server, or a proxy before it, answered with a status.
    #[error("the server answered {status}{}", .detail.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Status {
        /// The status.
        status: u16,
        /// The problem's own words, if it had some.
        detail: Option<String>,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// Nobody answered, or not as a server does.
    #[error("{0}")]
    Unreachable(String),
    /// No trust in the other end.
    #[error("TLS: {0}")]
    Tls(String),
    /// The token cannot be had, or cannot be sent.
    #[error("{0}")]
    Token(String),
}

/// Opens a socket; `query` begins with `?` or is empty.
///
/// # Errors
/// Why not.
pub async fn dial(address: &Address, query: &str, token: &Secret) -> Result<Socket, Refused> {
    let mut request = format!("{}{query}", address.socket())
        .into_client_request()
        .map_err(refusal)?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| Refused::Token("the token holds characters that no token has".to_owned()))?;
    bearer.set_sensitive(true);
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, bearer);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("agent-websocket/", env!("CARGO_PKG_VERSION"))),
    );
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let opening = connect_async_with_config(request, Some(config), true);
    match tokio::time::timeout(PATIENCE, opening).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(refusal(error)),
        Err(_) => Err(Refused::Unreachable(format!(
            "no answer in {} s",
            PATIENCE.as_secs()
        ))),
    }
}

fn refusal(error: Error) -> Refused {
    match error {
        Error::Http(response) => {
            let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
            let body = response.body().as_deref().unwrap_or_default();
            Refused::Status {
                status: response.status().as_u16(),
                detail: detail(body),
                retry_after: header("retry-after")
                    .and_then(|text| text.parse().ok())
                    .map(Duration::from_secs),
            }
        }
        Error::Tls(error) => Refused::Tls(error.to_string()),
        // The library hands rustls's complaints on as faults of the stream.
        Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => Refused::Tls(error.to_string()),
        Error::Protocol(error::ProtocolError::SecWebSocketSubProtocolError(_)) => Refused::Unreachable(
            "the other end does not speak agentws.v1: it is another server, or a proxy drops the header Sec-WebSocket-Protocol"
                .to_owned(),
        ),
        error => Refused::Unreachable(error.to_string()),
    }
}

/// The sentence in a problem document.
fn detail(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(document.get("detail")?.as_str()?.to_owned())
}
