//! What the scripted provider says to one request, and how it is said.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

/// The steps of one response. The head of a stream goes out before the first step that needs it; a script that ends
/// without [`Script::cut`] ends its response properly.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    status: Option<u16>,
    headers: Vec<(String, String)>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Head,
    Bytes(Vec<u8>),
    Text(String),
    Finish(String),
    Usage {
        input_tokens: u32,
        output_tokens: u32,
        cost: f64,
    },
    Delay(Duration),
    WaitFor(String),
    Flood(Vec<u8>),
    Stall,
    Cut,
}

impl Script {
    /// An empty stream.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A whole, ordinary answer, one word a token.
    pub(crate) fn answer(text: &str) -> Self {
        let words = text.split_inclusive(' ').fold(Self::new(), Self::text);
        let n_words = u32::try_from(text.split_whitespace().count()).unwrap();
        words.finish("stop").usage(10, n_words, 0.000_125).done()
    }

    /// A response that is no stream.
    pub(crate) fn status(status: u16, body: &str) -> Self {
        let script = Self {
            status: Some(status),
            ..Self::default()
        };
        script.header("content-type", "application/json").raw(body)
    }

    /// Sets a header of the response; the last one of a name counts.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends the head without waiting for a first piece of the body.
    pub(crate) fn head(self) -> Self {
        self.step(Step::Head)
    }

    /// A token.
    pub(crate) fn text(self, token: &str) -> Self {
        self.step(Step::Text(token.to_owned()))
    }

    /// The chunk with the finish reason.
    pub(crate) fn finish(self, reason: &str) -> Self {
        self.step(Step::Finish(reason.to_owned()))
    }

    /// The chunk with the usage, in the shape in which it really comes: beside an empty delta.
    pub(crate) fn usage(self, input_tokens: u32, output_tokens: u32, cost: f64) -> Self {
        self.step(Step::Usage {
            input_tokens,
            output_tokens,
            cost,
        })
    }

    pub(crate) fn done(self) -> Self {
        self.event("[DONE]")
    }

    /// An event with this payload.
    pub(crate) fn event(self, data: &str) -> Self {
        self.raw(format!("data: {data}\n\n"))
    }

    pub(crate) fn comment(self, text: &str) -> Self {
        self.raw(format!(": {text}\n\n"))
    }

    /// An event that is no JSON.
    pub(crate) fn garbage(self) -> Self {
        self.event("{\"choices\": [<html>")
    }

    /// Bytes of the body as they are.
    pub(crate) fn raw(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Bytes(bytes.into()))
    }

    pub(crate) fn delay(self, delay: Duration) -> Self {
        self.step(Step::Delay(delay))
    }

    /// Waits until the test opens the gate.
    pub(crate) fn wait_for(self, gate: &str) -> Self {
        self.step(Step::WaitFor(gate.to_owned()))
    }

    /// Sends these bytes for ever, as fast as they are taken.
    pub(crate) fn flood(self, bytes: &str) -> Self {
        self.step(Step::Flood(bytes.into()))
    }

    /// Says nothing more, but stays.
    pub(crate) fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    /// Drops the connection in the middle of the response.
    pub(crate) fn cut(self) -> Self {
        self.step(Step::Cut)
    }

    /// Repeats what the script says so far.
    pub(crate) fn times(mut self, n: usize) -> Self {
        self.steps = vec![self.steps; n].concat();
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn head_bytes(&self, call: usize) -> String {
        let mut headers = vec![
            ("content-type".to_owned(), "text/event-stream".to_owned()),
            ("x-generation-id".to_owned(), format!("gen-{call}")),
        ];
        headers.retain(|(name, _)| !self.headers.iter().any(|(other, _)| other == name));
        headers.extend(
            self.headers
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .cloned(),
        );
        let status = self.status.unwrap_or(200);
        let mut lines = vec![
            format!("HTTP/1.1 {status} Scripted"),
            "transfer-encoding: chunked".to_owned(),
            "connection: close".to_owned(),
        ];
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.join("\r\n") + "\r\n\r\n"
    }
}

/// What a script needs to know of the request that it answers.
pub(super) struct Stage {
    pub(super) call: usize,
    pub(super) model: String,
    pub(super) open_gates: watch::Receiver<HashSet<String>>,
}

impl Stage {
    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> Value {
        json!({
            "id": format!("gen-{}", self.call),
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        })
    }

    /// The bytes of a step that has any.
    fn bytes_of(&self, step: &Step) -> Option<Vec<u8>> {
        let chunk = match step {
            Step::Bytes(bytes) | Step::Flood(bytes) => return Some(bytes.clone()),
            Step::Text(token) => self.chunk(&json!({"role": "assistant", "content": token}), None),
            Step::Finish(reason) => self.chunk(&json!({"content": ""}), Some(reason)),
            Step::Usage {
                input_tokens,
                output_tokens,
                cost,
            } => {
                let mut chunk = self.chunk(&json!({"content": ""}), None);
                chunk["usage"] = json!({
                    "prompt_tokens": input_tokens,
                    "completion_tokens": output_tokens,
                    "total_tokens": input_tokens + output_tokens,
                    "cost": cost,
                });
                chunk
            }
            Step::Head | Step::Delay(_) | Step::WaitFor(_) | Step::Stall | Step::Cut => return None,
        };
        Some(format!("data: {chunk}\n\n").into_bytes())
    }
}

/// How a script leaves its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Proper,
    Cut,
}

/// Plays the script to its last byte; an error means that the client is gone.
pub(super) async fn play(
    script: &Script,
    mut stage: Stage,
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Ending> {
    let mut head = Some(script.head_bytes(stage.call));
    for step in &script.steps {
        let bytes = stage.bytes_of(step);
        if bytes.is_some() || matches!(step, Step::Head) {
            writer
                .write_all(head.take().unwrap_or_default().as_bytes())
                .await?;
        }
        match step {
            Step::Delay(delay) => tokio::time::sleep(*delay).await,
            Step::WaitFor(gate) => {
                let _ = stage.open_gates.wait_for(|open| open.contains(gate)).await;
            }
            Step::Stall => std::future::pending().await,
            Step::Cut => return Ok(Ending::Cut),
            _ => {}
        }
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            continue;
        };
        let framed = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat();
        writer.write_all(&framed).await?;
        if matches!(step, Step::Flood(_)) {
            loop {
                writer.write_all(&framed).await?;
            }
        }
    }
    writer
        .write_all(head.take().unwrap_or_default().as_bytes())
        .await?;
    Ok(Ending::Proper)
}

/// Ends the response. A client that has read `[DONE]` may be gone by now, which is no abort.
pub(super) async fn end(ending: Ending, writer: &mut (impl AsyncWrite + Unpin)) {
    if ending == Ending::Proper {
        let _ = writer.write_all(b"0\r\n\r\n").await;
        let _ = writer.shutdown().await;
    }
}
