//! A client that speaks the contract over a real socket and remembers every frame.

use std::collections::HashMap;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::PATIENCE;
use super::schema::is_server_frame;

/// One connection.
pub(crate) struct TestClient {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) frames: Vec<Value>,
    pub(crate) session: String,
}

/// How a handshake failed: status and body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) retry_after: Option<String>,
}

impl TestClient {
    /// Opens a socket with a token in the header and waits for `welcome`.
    pub(crate) async fn connect(base: &str, token: &str, query: &str) -> Self {
        let authorization = format!("Bearer {token}");
        let mut client = Self::open(
            base,
            &format!("/v1/ws{query}"),
            &[("authorization", &authorization)],
        )
        .await
        .unwrap_or_else(|refused| panic!("the handshake failed: {refused:?}"));
        client.welcome().await;
        client
    }

    /// Opens a socket with any headers.
    pub(crate) async fn open(base: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, Refused> {
        match Self::try_open(base, path, headers).await {
            Ok(opened) => opened,
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    /// Opens a socket with any headers where the server may be gone.
    pub(crate) async fn try_open(
        base: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Result<Self, Refused>, Error> {
        let mut request = format!("ws://{base}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Ok(Self {
                socket,
                frames: Vec::new(),
                session: String::new(),
            })),
            Err(Error::Http(response)) => Ok(Err(Refused {
                status: response.status().as_u16(),
                body: response
                    .body()
                    .as_deref()
                    .map(String::from_utf8_lossy)
                    .unwrap_or_default()
                    .into_owned(),
                retry_after: response
                    .headers()
                    .get("retry-after")
                    .map(|value| value.to_str().unwrap().to_owned()),
            })),
            Err(error) => Err(error),
        }
    }

    /// Waits for `welcome` and takes the session's id from it.
    pub(crate) async fn welcome(&mut self) -> Value {
        let welcome = self.until(|frame| frame["event"] == "welcome").await;
        self.session = welcome["session_id"].as_str().unwrap().to_owned();
        welcome
    }

    /// Waits until the catch-up is over.
    pub(crate) async fn live(&mut self) -> Value {
        self.until(|frame| frame["event"] == "live").await
    }

    /// The next frame, or the close.
    pub(crate) async fn next(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.unwrap_or_else(|_| {
                panic!(
                    "no frame came; the last were {:#?}",
                    self.frames.iter().rev().take(5).collect::<Vec<_>>()
                )
            });
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    assert!(frame["content"].is_string(), "every frame has content: {frame}");
                    assert!(
                        frame["timestamp"].is_string(),
                        "every frame has a timestamp: {frame}"
                    );
                    is_server_frame(&frame);
                    self.frames.push(frame.clone());
                    return Ok(frame);
                }
                Some(Ok(Message::Close(close))) => return Err(close),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next frame that a condition holds for; those before it are remembered.
    pub(crate) async fn until(&mut self, condition: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.next().await {
                Ok(frame) if condition(&frame) => return frame,
                Ok(_) => {}
                Err(close) => panic!("closed ({close:?}) after {:#?}", self.frames.last()),
            }
        }
    }

    /// Waits for the close and returns its code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Ok(_) => {}
                Err(Some(close)) => return (close.code.into(), close.reason.to_string()),
                Err(None) => return (1006, String::new()),
            }
        }
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends a query under an id and waits for its `accepted`.
    pub(crate) async fn query(&mut self, id: &str, content: &str) -> Value {
        self.send(&json!({ "type": "query", "id": id, "content": content }))
            .await;
        self.until(|frame| frame["event"] == "accepted" && frame["re"] == id)
            .await
    }

    /// Sends a query and waits for the whole answer.
    pub(crate) async fn ask(&mut self, id: &str, content: &str) -> Value {
        let accepted = self.query(id, content).await;
        self.until(|frame| frame["type"] == "response" && frame["in_reply_to"] == accepted["message_id"])
            .await
    }

    /// Sends a command and waits for what answers it: a `status` or an `error`.
    pub(crate) async fn command(&mut self, name: &str, args: Value) -> Value {
        let id = format!("c{}", self.frames.len());
        self.send(&json!({ "type": "command", "content": name, "args": args, "id": id }))
            .await;
        self.until(|frame| frame["re"] == id.as_str()).await
    }

    /// The next notification with this content.
    pub(crate) async fn notified(&mut self, content: &str) -> Value {
        self.until(|frame| frame["event"] == "message" && frame["content"] == content)
            .await
    }

    /// The contents of the notifications so far, in their order.
    pub(crate) fn told(&self) -> Vec<&str> {
        self.frames
            .iter()
            .filter(|frame| frame["event"] == "message")
            .map(|frame| frame["content"].as_str().unwrap())
            .collect()
    }

    /// Cuts the connection without a goodbye.
    pub(crate) fn cut(self) -> Vec<Value> {
        self.frames
    }
}

/// What a client holds after applying frames by the contract's rules: messages by `seq`, and texts placed by offset.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Transcript {
    /// `seq` → (type, content).
    pub(crate) messages: std::collections::BTreeMap<i64, (String, String)>,
    /// Answer → (attempt, UTF-16 text) as it was assembled from deltas.
    drafts: HashMap<String, (i64, Vec<u16>)>,
    /// The last `seq` applied.
    pub(crate) cursor: i64,
}

impl Transcript {
    /// Applies frames; `own` gives the content of queries that this client sent, by id.
    ///
    /// # Panics
    /// When a frame breaks the contract: a `seq` twice live, or out of order, text beyond what is held, a wrong hash.
    pub(crate) fn apply(&mut self, frames: &[Value], own: &HashMap<String, String>) {
        for frame in frames {
            match frame["type"].as_str().unwrap() {
                "delta" => self.place(frame),
                "response" => {
                    let content = frame["content"].as_str().unwrap();
                    assert_eq!(
                        frame["length"],
                        content.encode_utf16().count(),
                        "length of {frame}"
                    );
                    assert_eq!(
                        frame["sha256"],
                        agent_websocket::protocol::text::sha256_hex(content),
                        "sha256 of {frame}"
                    );
                    self.message(frame, content.to_owned());
                }
                "query" => self.message(frame, frame["content"].as_str().unwrap().to_owned()),
                "notification" if frame["seq"].is_i64() => {
                    self.message(frame, frame["content"].as_str().unwrap().to_owned());
                }
                "status" if frame["event"] == "accepted" && frame["duplicate"] == false => {
                    let content = own
                        .get(frame["re"].as_str().unwrap_or_default())
                        .cloned()
                        .unwrap_or_default();
                    self.message(frame, content);
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, frame: &Value, content: String) {
        let seq = frame["seq"].as_i64().unwrap();
        assert_eq!(
            seq,
            self.cursor + 1,
            "seq follows the cursor without gap or repeat: {frame}"
        );
        self.cursor = seq;
        let kind = match frame["type"].as_str().unwrap() {
            "response" => "assistant",
            "notification" => "notification",
            _ => "user",
        };
        self.messages.insert(seq, (kind.to_owned(), content));
    }

    fn place(&mut self, frame: &Value) {
        let attempt = frame["attempt"].as_i64().unwrap();
        let offset = usize::try_from(frame["offset"].as_u64().unwrap()).unwrap();
        let draft = self
            .drafts
            .entry(frame["message_id"].as_str().unwrap().to_owned())
            .or_default();
        if draft.0 != attempt {
            *draft = (attempt, Vec::new());
        }
        assert!(
            offset <= draft.1.len(),
            "text beyond what is held ({}): {frame}",
            draft.1.len()
        );
        draft.1.truncate(offset);
        draft.1.extend(frame["content"].as_str().unwrap().encode_utf16());
    }

    /// What was assembled of an answer.
    pub(crate) fn draft(&self, message_id: &str) -> Option<String> {
        self.drafts
            .get(message_id)
            .map(|(_, units)| String::from_utf16(units).unwrap())
    }
}
