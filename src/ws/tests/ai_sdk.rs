//! The AI SDK's dialect: which verbs a frame becomes, which chunks the frames of the server become, step by step.

mod answers;
mod requests;

use serde_json::{Value, json};
use time::macros::datetime;
use uuid::Uuid;

use crate::ids::{ClientName, ConnectionId, MessageId, NotificationId, RunId, Seq, SessionId};
use crate::protocol::ai_sdk::Response;
use crate::protocol::client::{ClientFrame, Command, SessionRef};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{
    self, Accepted, Delta, Done, ErrorFrame, Live, Notification, Outcome, Pushed, Query, Reconnect,
    Regenerated, RunError, ServerFrame, Status, Thinking, Welcome,
};
use crate::protocol::text::{Timestamp, sha256_hex, utf16_len};
use crate::ws::ai_sdk::Translation;

const NOW: Timestamp = Timestamp(datetime!(2026-11-20 08:05:09.007 UTC));
const SESSION: SessionId = SessionId(Uuid::from_u128(0xc));

/// The question, the run and the answer of a turn, by its number.
fn message(turn: u128) -> MessageId {
    MessageId(Uuid::from_u128(turn * 16 + 1))
}

fn run(turn: u128) -> RunId {
    RunId(Uuid::from_u128(turn * 16 + 2))
}

fn answer(turn: u128) -> MessageId {
    MessageId(Uuid::from_u128(turn * 16 + 3))
}

fn chat(id: &str) -> Uuid {
    crate::protocol::ai_sdk::ChatId(id.to_owned()).as_uuid()
}

/// A connection's translation, and what it says in few words.
#[derive(Default)]
struct Talk(Translation);

impl Talk {
    /// In a chat, after its catch-up.
    fn in_chat(id: &str) -> Self {
        let mut talk = Self::default();
        talk.says(&submit("first", id, "m0", "Hello"));
        assert_eq!(
            talk.asks(),
            [format!("open or make {}", chat(id)), "query m0 Hello".to_owned()]
        );
        talk.hears(&[welcome(), live(), accepted(0, "m0")]);
        talk.hears(&[response(0, "complete", "Hello yourself")]);
        talk
    }

    /// The client says a frame that is taken.
    fn says(&mut self, frame: &Value) {
        self.0
            .take_in(&frame.to_string())
            .unwrap_or_else(|bad| panic!("{frame}: {bad:?}"));
    }

    /// The client says a frame that is refused; what it hears of that.
    fn is_refused(&mut self, frame: &Value) -> Vec<String> {
        let bad = self
            .0
            .take_in(&frame.to_string())
            .expect_err("it should be refused");
        self.hears(&[ServerFrame::Error(ErrorFrame::of(bad.refusal, bad.re, NOW))])
    }

    /// The next verb.
    fn asks_next(&mut self) -> Option<String> {
        self.0.next().map(verb)
    }

    /// All verbs that are left.
    fn asks(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asks_next()).collect()
    }

    /// What the client hears of these frames.
    fn hears(&mut self, frames: &[ServerFrame<'_>]) -> Vec<String> {
        frames
            .iter()
            .flat_map(|frame| self.0.tell(frame))
            .map(|response| words(&response))
            .collect()
    }
}

fn verb(frame: ClientFrame) -> String {
    match frame {
        ClientFrame::Query(query) => {
            format!("query {} {}", query.id.unwrap(), query.content.as_str())
        }
        ClientFrame::Command(_, Command::Resume(resume)) => match resume.session_id {
            SessionRef::Named(id) => format!("open {id}"),
            SessionRef::NamedOrNew(id) => format!("open or make {id}"),
            other => panic!("{other:?}"),
        },
        ClientFrame::Command(_, Command::Auth(auth)) => format!("auth {}", auth.token.as_str()),
        ClientFrame::Command(_, Command::Regenerate(Some(message))) => format!("regenerate {message}"),
        ClientFrame::Command(_, Command::Cancel(Some(run))) => format!("cancel {run}"),
        other => panic!("{other:?}"),
    }
}

/// A response as `request kind`, of a chunk as `request sequence chunk`, the chunk's text or id behind its type.
fn words(response: &Response) -> String {
    match response {
        Response::Start { request_id } => format!("{request_id} start"),
        Response::End { request_id } => format!("{request_id} end"),
        Response::NoActive { request_id } => format!("{request_id} no-active"),
        Response::Error {
            request_id,
            error_text,
        } => format!("{request_id} error: {error_text}"),
        Response::Chunk {
            request_id,
            sequence,
            chunk,
        } => {
            let said = ["delta", "messageId", "finishReason", "reason", "errorText"]
                .iter()
                .find_map(|name| chunk[name].as_str())
                .map(|said| format!(" {said}"));
            let kind = chunk["type"].as_str().unwrap();
            format!("{request_id} {sequence} {kind}{}", said.unwrap_or_default())
        }
    }
}

/// The words of chunks in their order, from a sequence number on.
fn chunks(request: &str, from: usize, chunks: &[&str]) -> Vec<String> {
    let numbered = chunks.iter().enumerate();
    numbered
        .map(|(index, chunk)| format!("{request} {} {chunk}", from + index))
        .collect()
}

fn submit(request: &str, chat: &str, id: &str, text: &str) -> Value {
    json!({
        "type": "send", "requestId": request, "id": chat, "trigger": "submit-message", "headers": {}, "body": {},
        "messages": [{ "id": id, "role": "user", "parts": [{ "type": "text", "text": text }] }],
    })
}

fn regenerate(request: &str, message: Option<&str>, last: &str) -> Value {
    let mut frame = submit(request, "c1", last, "Again?");
    frame["trigger"] = json!("regenerate-message");
    frame["messageId"] = json!(message);
    frame
}

fn resume(request: &str, chat: &str) -> Value {
    json!({ "type": "resume", "requestId": request, "id": chat, "headers": {}, "body": {} })
}

fn abort(request: &str) -> Value {
    json!({ "type": "abort", "requestId": request })
}

fn with_token(mut frame: Value, token: &str) -> Value {
    frame["headers"] = json!({ "authorization": format!("Bearer {token}") });
    frame
}

fn welcome() -> ServerFrame<'static> {
    ServerFrame::Notification(Notification::Welcome(Box::new(Welcome {
        content: "Connected".into(),
        timestamp: NOW,
        session_id: SESSION,
        resumed: true,
        head: Seq(2),
        first_available: Seq(1),
        connection_id: ConnectionId(Uuid::nil()),
        user_id: "u".into(),
        protocol: 1,
        heartbeat_ms: 25_000,
        max_message_bytes: 1,
        token_expires_at: NOW,
        reconnect: Reconnect {
            base_ms: 1,
            max_ms: 1,
            jitter_ms: 1,
        },
        gap: None,
    })))
}

fn live() -> ServerFrame<'static> {
    ServerFrame::Status(Status::Live(Live {
        content: "Live".into(),
        timestamp: NOW,
        session_id: SESSION,
        head: Seq(2),
    }))
}

fn accepted(turn: u128, re: &str) -> ServerFrame<'static> {
    ServerFrame::Status(Status::Accepted(Accepted {
        content: "Accepted".into(),
        timestamp: NOW,
        re: Some(ClientName::new(re).unwrap()),
        session_id: SESSION,
        seq: Seq(1),
        message_id: message(turn),
        run_id: run(turn),
        queue_position: 0,
        duplicate: false,
    }))
}

fn duplicate(turn: u128, re: &str) -> ServerFrame<'static> {
    let ServerFrame::Status(Status::Accepted(accepted)) = accepted(turn, re) else {
        panic!("it is accepted");
    };
    ServerFrame::Status(Status::Accepted(Accepted {
        duplicate: true,
        ..accepted
    }))
}

fn query(turn: u128, id: &'static str) -> ServerFrame<'static> {
    ServerFrame::Query(Query {
        content: "A question".into(),
        timestamp: NOW,
        id: Some(id.into()),
        session_id: SESSION,
        seq: Seq(1),
        message_id: message(turn),
        run_id: Some(run(turn)),
        replay: true,
    })
}

fn thinking(turn: u128) -> ServerFrame<'static> {
    ServerFrame::Status(Status::Thinking(Thinking {
        content: "Thinking...".into(),
        timestamp: NOW,
        session_id: SESSION,
        run_id: run(turn),
        in_reply_to: message(turn),
        message_id: answer(turn),
        replay: false,
    }))
}

fn delta(turn: u128, attempt: u32, offset: u64, text: &'static str) -> ServerFrame<'static> {
    ServerFrame::Delta(Delta {
        content: text.into(),
        timestamp: NOW,
        session_id: SESSION,
        message_id: answer(turn),
        run_id: run(turn),
        attempt,
        offset,
        replay: false,
    })
}

fn response(turn: u128, state: &'static str, text: &'static str) -> ServerFrame<'static> {
    let error = (state == "failed" || state == "incomplete").then_some(RunError {
        code: ErrorCode::ProviderTimeout,
        retryable: true,
    });
    ServerFrame::Response(Box::new(server::Response {
        content: text.into(),
        timestamp: NOW,
        session_id: SESSION,
        seq: Seq(2),
        message_id: answer(turn),
        in_reply_to: Some(message(turn)),
        run_id: Some(run(turn)),
        state: state.into(),
        error,
        finish_reason: (state == "complete").then_some("stop".into()),
        model: None,
        usage: None,
        length: utf16_len(text),
        sha256: sha256_hex(text),
        replay: false,
    }))
}

fn refused(re: Option<&str>, code: ErrorCode, text: &'static str) -> ServerFrame<'static> {
    let re = re.map(|re| ClientName::new(re).unwrap());
    ServerFrame::Error(ErrorFrame::of(Refusal::new(code, text), re, NOW))
}

fn failed(turn: u128, text: &'static str) -> ServerFrame<'static> {
    ServerFrame::Error(ErrorFrame {
        content: text.into(),
        timestamp: NOW,
        re: None,
        run_id: Some(run(turn)),
        code: ErrorCode::ProviderTimeout,
        retryable: true,
        retry_after_ms: None,
    })
}

fn regenerated(turn: u128, re: &str) -> ServerFrame<'static> {
    ServerFrame::Status(Status::Done(Done {
        content: "A new answer was asked for".into(),
        timestamp: NOW,
        re: Some(ClientName::new(re).unwrap()),
        outcome: Outcome::Regenerate(Regenerated {
            run_id: run(turn),
            in_reply_to: message(turn),
            message_id: answer(turn),
            queue_position: 0,
            duplicate: false,
        }),
    }))
}

fn notified(text: &'static str) -> ServerFrame<'static> {
    ServerFrame::Notification(Notification::Message(Box::new(Pushed {
        content: text.into(),
        timestamp: NOW,
        notification_id: NotificationId(Uuid::from_u128(7)),
        kind: "message".into(),
        title: None,
        data: None,
        priority: "normal".into(),
        created_at: NOW,
        session_id: None,
        seq: None,
        message_id: None,
        replay: false,
    })))
}
