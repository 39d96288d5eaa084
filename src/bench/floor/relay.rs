//! The floor's way from the provider to the client: one call, its events read with as little as they need, a frame for each token
//! or for the whole. Called by `floor`.

use std::borrow::Cow;
use std::net::SocketAddr;

use anyhow::{Context, ensure};
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket};
use axum::http::Request;
use futures_util::StreamExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};

use super::{Floor, Missed};
use crate::bench::rows::Pool;

/// Messages of a conversation that the provider is sent, as the server does.
const HISTORY: usize = 50;

/// How questions are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The answer in one frame, rows stored together.
    Whole,
    /// The same, each row stored by itself.
    RowByRow,
    /// A frame for each token, rows stored together.
    TokenByToken,
}

/// The HTTP client, with nothing between it and the connection.
#[derive(Debug)]
pub(super) struct Relay {
    client: Client<HttpConnector, Body>,
    url: String,
}

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
}

/// What the provider is sent of a conversation.
#[derive(Clone, Serialize)]
pub(super) struct Turn {
    role: &'static str,
    content: String,
}

impl Turn {
    fn new(role: &'static str, content: &str) -> Self {
        Self {
            role,
            content: content.to_owned(),
        }
    }

    pub(super) fn system() -> Self {
        let content = "You are agent_websocket, an AI assistant communicating via WebSocket.";
        Self::new("system", content)
    }

    pub(super) fn user(content: &str) -> Self {
        Self::new("user", content)
    }

    pub(super) fn assistant(content: &str) -> Self {
        Self::new("assistant", content)
    }
}

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    messages: &'a [Turn],
    temperature: f32,
    max_tokens: u32,
    stream: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Question<'a>,
}

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'a str,
    content: &'a str,
}

pub(super) fn frame(kind: &str, content: &str) -> anyhow::Result<Message> {
    let frame = Frame {
        r#type: kind,
        content,
    };
    Ok(Message::Text(serde_json::to_string(&frame)?.into()))
}

/// What a client waits for before it asks.
pub(super) fn live(session: impl std::fmt::Display) -> Message {
    let live = format!(
        "{{\"type\":\"status\",\"event\":\"live\",\"session_id\":\"{session}\",\"content\":\"Live\"}}"
    );
    Message::Text(live.into())
}

impl Relay {
    pub(super) fn new(provider: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(4096)
                .build(connector),
            url: format!("http://{provider}/api/v1/chat/completions"),
        }
    }

    pub(super) async fn ask(&self, turns: &[Turn]) -> anyhow::Result<Body> {
        let messages = turns.get(turns.len().saturating_sub(HISTORY)..).unwrap_or(turns);
        let ask = Ask {
            model: "bench/scripted",
            messages,
            temperature: 0.7,
            max_tokens: 1500,
            stream: true,
        };
        let request = Request::post(&self.url)
            .header("content-type", "application/json")
            .body(Body::from(serde_json::to_vec(&ask)?))?;
        let response = self.client.request(request).await?;
        ensure!(
            response.status().is_success(),
            "the provider says {}",
            response.status()
        );
        Ok(Body::new(response.into_body()))
    }
}

/// Serves one connection to its end.
pub(super) async fn converse(mut socket: WebSocket, floor: &Floor, way: Way) -> anyhow::Result<()> {
    let token_by_token = way == Way::TokenByToken;
    let session = floor.new_session();
    let mut turns = vec![Turn::system()];
    socket.send(live(session)).await?;
    while let Some(message) = socket.recv().await {
        let Message::Text(text) = message? else { continue };
        let question: Question<'_> = serde_json::from_str(&text)?;
        let question = question.content.into_owned();
        floor.store(way, session, "user", &question).await?;
        turns.push(Turn::user(&question));
        let mut body = floor.relay.ask(&turns).await?.into_data_stream();
        let mut events = Vec::new();
        let mut answer = String::new();
        while let Some(piece) = body.next().await {
            events.extend_from_slice(&piece?);
            let used = read_events(&events, &mut answer, token_by_token.then_some(&mut socket)).await?;
            events.drain(..used);
        }
        floor.store(way, session, "assistant", &answer).await?;
        let shown = if token_by_token { "" } else { answer.as_str() };
        socket.send(frame("response", shown)?).await?;
        turns.push(Turn::assistant(&answer));
    }
    Ok(())
}

/// Sends the rows that a client has missed, and that it is up to date.
pub(super) async fn replay(mut socket: WebSocket, pool: &Pool, missed: &Missed) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        r#type: &'a str,
        seq: i64,
        replay: bool,
        content: &'a str,
    }
    for (seq, content) in pool.after(missed.session_id, missed.after).await? {
        let row = Row {
            r#type: "query",
            seq,
            replay: true,
            content: &content,
        };
        socket
            .send(Message::Text(serde_json::to_string(&row)?.into()))
            .await?;
    }
    let live = "{\"type\":\"status\",\"event\":\"live\",\"content\":\"Live\"}";
    socket.send(Message::Text(live.into())).await?;
    while socket.recv().await.transpose()?.is_some() {}
    Ok(())
}

/// Reads the whole events, appends their tokens, sends each on if it is to be; returns how far it came.
pub(super) async fn read_events(
    bytes: &[u8],
    answer: &mut String,
    mut socket: Option<&mut WebSocket>,
) -> anyhow::Result<usize> {
    let mut used = 0;
    while let Some(rest) = bytes.get(used..)
        && let Some(end) = rest.windows(2).position(|two| two == b"\n\n")
    {
        let event = std::str::from_utf8(rest.get(..end).unwrap_or_default())?;
        used += end + 2;
        let Some(data) = event.strip_prefix("data: ").filter(|data| *data != "[DONE]") else {
            continue;
        };
        let chunk: Chunk<'_> = serde_json::from_str(data).context("an event of the provider")?;
        let token = chunk.choices.first().map_or("", |choice| &choice.delta.content);
        answer.push_str(token);
        if let Some(socket) = &mut socket
            && !token.is_empty()
        {
            socket.send(frame("delta", token)?).await?;
        }
    }
    Ok(used)
}
