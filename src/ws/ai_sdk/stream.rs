//! One request's answer as the chunks of a UI message: begun once, text in its order, ended once.
//!
//! Owns the count of chunks and what of the text was sent. A later attempt at an answer takes back what an earlier one has shown. Pure;
//! `ws::ai_sdk` decides which frames belong to which request.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ids::{ClientName, MessageId, RunId, SessionId};
use crate::protocol::ai_sdk::{ChatId, RequestId, Response, transient};
use crate::protocol::error::ErrorCode;
use crate::protocol::server::{self, Delta, Pushed};
use crate::protocol::text::utf16_len;
use crate::ws::frames::failure_text;

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// That its message is kept, or its wish for another answer.
    Stored(ClientName),
    /// The catch-up, which shows what there is to resume.
    Shown,
    /// The answer of this run.
    Run(RunId),
    /// The answer of this run, which was asked for before; the catch-up shows how far it is.
    Joined(RunId),
}

/// The text sent of an answer.
#[derive(Debug, Default)]
struct Sent {
    attempt: u32,
    bytes: usize,
    utf16: u64,
    hash: Sha256,
    /// The part of the message that is being written.
    part: Option<String>,
}

/// A request that is not over.
#[derive(Debug)]
pub(super) struct Stream {
    request: RequestId,
    pub(super) chat: ChatId,
    pub(super) goal: Goal,
    sequence: u64,
    begun: bool,
    sent: Sent,
}

impl Stream {
    pub(super) fn new(request: RequestId, chat: ChatId, goal: Goal) -> Self {
        Self {
            request,
            chat,
            goal,
            sequence: 0,
            begun: false,
            sent: Sent::default(),
        }
    }

    pub(super) fn request(&self) -> &RequestId {
        &self.request
    }

    /// Whether anything of the answer was shown.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Which run's answer it shows.
    pub(super) fn run(&self) -> Option<RunId> {
        match self.goal {
            Goal::Run(run) | Goal::Joined(run) => Some(run),
            Goal::Stored(_) | Goal::Shown => None,
        }
    }

    /// There is something to resume.
    pub(super) fn start(&self) -> Response {
        Response::Start {
            request_id: self.request.0.clone(),
        }
    }

    /// There is nothing to resume.
    pub(super) fn no_active(&self) -> Response {
        Response::NoActive {
            request_id: self.request.0.clone(),
        }
    }

    /// There will be no answer.
    pub(super) fn error(&self, text: &str) -> Response {
        Response::Error {
            request_id: self.request.0.clone(),
            error_text: text.to_owned(),
        }
    }

    /// The answer begins. Its message id is the log's, so that the client knows it again after a resume; the session's is told
    /// beside it, since a chat may have a name of its own.
    pub(super) fn begin(&mut self, session: SessionId, message: MessageId, out: &mut Vec<Response>) {
        if self.begun {
            return;
        }
        self.begun = true;
        out.push(self.chunk(json!({ "type": "start", "messageId": message })));
        let ids = json!({ "session_id": session, "message_id": message });
        out.push(self.chunk(transient("session", &session.to_string(), &ids)));
        // What a later attempt takes back is what stands behind this.
        out.push(self.chunk(json!({ "type": "start-step" })));
    }

    /// A piece of the text.
    pub(super) fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<Response>) {
        self.begin(delta.session_id, delta.message_id, out);
        if delta.attempt < self.sent.attempt {
            return;
        }
        if delta.attempt > self.sent.attempt {
            self.take_back(delta.attempt, out);
        }
        // All text so far comes again with each catch-up.
        let known = self.sent.utf16.saturating_sub(delta.offset);
        if self.sent.utf16 >= delta.offset
            && let Some(text) = after_utf16(&delta.content, known)
        {
            self.text(text, out);
        }
    }

    /// The whole answer: what was not sent of it, and how it ended.
    pub(super) fn finish(
        mut self,
        response: &server::Response<'_>,
        failure: Option<&str>,
        out: &mut Vec<Response>,
    ) {
        self.begin(response.session_id, response.message_id, out);
        let content = response.content.as_ref();
        let is_beginning = content
            .get(..self.sent.bytes)
            .is_some_and(|sent| Sha256::digest(sent) == self.sent.hash.clone().finalize());
        if !is_beginning {
            self.take_back(self.sent.attempt + 1, out);
        }
        if let Some(rest) = content.get(self.sent.bytes..).filter(|rest| !rest.is_empty()) {
            self.text(rest, out);
        }
        if let Some(part) = self.sent.part.take() {
            out.push(self.chunk(json!({ "type": "text-end", "id": part })));
        }
        out.push(self.chunk(json!({ "type": "finish-step" })));
        let end = match response.state.as_ref() {
            "complete" => finished(response.finish_reason.as_deref()),
            "cancelled" => json!({ "type": "abort", "reason": "cancelled" }),
            _ => {
                let code = response.error.map_or(ErrorCode::Internal, |error| error.code);
                let text = failure.map_or_else(|| failure_text(code), str::to_owned);
                json!({ "type": "error", "errorText": text })
            }
        };
        out.push(self.chunk(end));
        out.push(Response::End {
            request_id: self.request.0,
        });
    }

    /// A notification, in passing.
    pub(super) fn notification(&mut self, pushed: &Pushed<'_>) -> Response {
        let data = serde_json::to_value(pushed).unwrap_or_default();
        self.chunk(transient(
            "notification",
            &pushed.notification_id.to_string(),
            &data,
        ))
    }

    /// Forgets the text that was sent, and has the client forget it.
    fn take_back(&mut self, attempt: u32, out: &mut Vec<Response>) {
        if self.sent.bytes > 0 {
            out.push(self.chunk(json!({ "type": "reset-step" })));
        }
        self.sent = Sent {
            attempt,
            ..Sent::default()
        };
    }

    fn text(&mut self, text: &str, out: &mut Vec<Response>) {
        let part = self.part(out);
        self.sent.bytes += text.len();
        self.sent.utf16 += utf16_len(text);
        self.sent.hash.update(text);
        out.push(self.chunk(json!({ "type": "text-delta", "id": part, "delta": text })));
    }

    /// The part of the message that text goes to, begun if it is not yet.
    fn part(&mut self, out: &mut Vec<Response>) -> String {
        if let Some(part) = &self.sent.part {
            return part.clone();
        }
        let part = format!("text-{}", self.sent.attempt);
        out.push(self.chunk(json!({ "type": "text-start", "id": part })));
        self.sent.part = Some(part.clone());
        part
    }

    fn chunk(&mut self, chunk: Value) -> Response {
        let sequence = self.sequence;
        self.sequence += 1;
        Response::Chunk {
            request_id: self.request.0.clone(),
            sequence,
            chunk,
        }
    }
}

/// The text after its first so many UTF-16 code units; `None` where nothing is left.
fn after_utf16(text: &str, units: u64) -> Option<&str> {
    let mut before = 0;
    text.char_indices().find_map(|(at, c)| {
        let begins = before >= units;
        before += c.len_utf16() as u64;
        begins.then(|| text.get(at..)).flatten()
    })
}

fn finished(reason: Option<&str>) -> Value {
    let reason = reason.map(|reason| match reason {
        "stop" => "stop",
        "length" => "length",
        "content_filter" => "content-filter",
        "tool_calls" => "tool-calls",
        _ => "other",
    });
    match reason {
        Some(reason) => json!({ "type": "finish", "finishReason": reason }),
        None => json!({ "type": "finish" }),
    }
}
