//! From the log's words to the wire's: a message, a step, a moment as frames.
//!
//! One place, so that live and replayed frames, WebSocket and server-sent events cannot differ.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::ids::{ClientName, NotificationId, RunId, SessionId};
use crate::log::{AnswerState, Message, Role};
use crate::protocol::error::ErrorCode;
use crate::protocol::server::{
    Accepted, Delta, Done, ErrorFrame, Outcome, Pushed, Query, Response, RunError, ServerFrame, Status,
    Thinking,
};
use crate::protocol::text::{Timestamp, sha256_hex, utf16_len};
use crate::session::replay::Part;
use crate::store::append;

/// What a person reads when the connection opens.
pub(super) fn welcome_text(session: SessionId) -> String {
    format!("Connected to Agent WebSocket. Session ID: {session}")
}

/// The query that this connection sent is durable.
pub(super) fn accepted(
    session_id: SessionId,
    re: Option<ClientName>,
    accepted: &append::Accepted,
) -> ServerFrame<'static> {
    let content = if accepted.queue_position == 0 {
        "Accepted"
    } else {
        "Accepted; waiting for its turn"
    };
    ServerFrame::Status(Status::Accepted(Accepted {
        content: content.into(),
        timestamp: accepted.created_at,
        re,
        session_id,
        seq: accepted.seq,
        message_id: accepted.message_id,
        run_id: accepted.run_id,
        queue_position: accepted.queue_position,
        duplicate: accepted.duplicate,
    }))
}

/// A run starts.
pub(super) fn thinking(thinking: Thinking<'_>) -> ServerFrame<'_> {
    ServerFrame::Status(Status::Thinking(thinking))
}

/// A piece of an answer.
pub(super) fn delta(session_id: SessionId, part: Part, replay: bool, now: Timestamp) -> ServerFrame<'static> {
    ServerFrame::Delta(Delta {
        content: part.text.into(),
        timestamp: now,
        session_id,
        message_id: part.message_id,
        run_id: part.run_id,
        attempt: part.attempt,
        offset: part.offset,
        replay,
    })
}

/// A message of the log.
pub(super) fn message(message: &Message, replay: bool) -> ServerFrame<'_> {
    match message.role {
        Role::User => ServerFrame::Query(Query {
            content: Cow::Borrowed(&message.content),
            timestamp: message.created_at,
            id: message.client_id.as_deref().map(Cow::Borrowed),
            session_id: message.session_id,
            seq: message.seq,
            message_id: message.message_id,
            run_id: message.run_id,
            replay,
        }),
        Role::Assistant => ServerFrame::Response(Box::new(response(message, replay))),
        Role::Notification => ServerFrame::notification(in_context(message, replay)),
    }
}

fn response(message: &Message, replay: bool) -> Response<'_> {
    Response {
        content: Cow::Borrowed(&message.content),
        timestamp: message.created_at,
        session_id: message.session_id,
        seq: message.seq,
        message_id: message.message_id,
        in_reply_to: message.in_reply_to,
        run_id: message.run_id,
        state: message.state.as_str().into(),
        error: message.error.map(|code| RunError {
            code,
            retryable: code.is_retryable(),
        }),
        finish_reason: message.finish_reason.as_deref().map(Cow::Borrowed),
        model: message.model.as_deref().map(Cow::Borrowed),
        usage: message.usage,
        length: utf16_len(&message.content),
        sha256: sha256_hex(&message.content),
        replay,
    }
}

/// What the message of a notification keeps beside its text.
#[derive(Debug, Default, Deserialize)]
struct Notice {
    kind: Option<String>,
    title: Option<String>,
    data: Option<Value>,
    priority: Option<String>,
}

fn in_context(message: &Message, replay: bool) -> Pushed<'_> {
    let notice: Notice = message
        .metadata
        .clone()
        .and_then(|value| serde_json::from_value(value).ok())
        .unwrap_or_default();
    Pushed {
        content: Cow::Borrowed(&message.content),
        timestamp: message.created_at,
        // A row in the conversation always names its notification; the message's own id stands in should one not.
        notification_id: message
            .notification_id
            .unwrap_or(NotificationId(message.message_id.0)),
        kind: notice.kind.unwrap_or_else(|| "message".to_owned()).into(),
        title: notice.title.map(Cow::Owned),
        data: notice.data.map(Cow::Owned),
        priority: notice.priority.unwrap_or_else(|| "normal".to_owned()).into(),
        created_at: message.created_at,
        session_id: Some(message.session_id),
        seq: Some(message.seq),
        message_id: Some(message.message_id),
        replay,
    }
}

/// The failure of a run, before its response. Only ours to say: no word of the provider's.
pub(super) fn run_error(message: &Message) -> Option<ServerFrame<'static>> {
    let code = message.error?;
    let content = match message.state {
        AnswerState::Complete | AnswerState::Cancelled => return None,
        AnswerState::Failed | AnswerState::Incomplete => failure_text(code),
    };
    Some(ServerFrame::Error(ErrorFrame {
        content: content.into(),
        timestamp: message.created_at,
        re: None,
        run_id: message.run_id,
        code,
        retryable: code.is_retryable(),
        retry_after_ms: None,
    }))
}

/// What a person reads of a run that failed.
pub(super) fn failure_text(code: ErrorCode) -> String {
    format!("Failed to generate response: {}", reason(code))
}

/// Why a run failed, for a person.
fn reason(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ProviderBusy => "the model is busy; try again later",
        ErrorCode::ProviderTimeout => "the model took too long",
        ErrorCode::ProviderUnavailable => "the model is unavailable",
        ErrorCode::ContentFiltered => "the content was filtered",
        ErrorCode::ContextTooLong => "the conversation is too long for the model",
        ErrorCode::ModelUnavailable => "this model is unavailable",
        _ => "the server was interrupted",
    }
}

/// A command was carried out.
pub(super) fn done(
    content: impl Into<Cow<'static, str>>,
    re: Option<ClientName>,
    now: Timestamp,
    outcome: Outcome,
) -> ServerFrame<'static> {
    ServerFrame::Status(Status::Done(Done {
        content: content.into(),
        timestamp: now,
        re,
        outcome,
    }))
}

/// A run that changed without a message.
pub(super) fn run_changed(
    session_id: SessionId,
    run_id: RunId,
    state: &'static str,
    attempt: u32,
    now: Timestamp,
) -> ServerFrame<'static> {
    ServerFrame::Status(Status::Run(crate::protocol::server::RunChanged {
        content: format!("The run is {state}").into(),
        timestamp: now,
        session_id,
        run_id,
        state: state.into(),
        attempt,
    }))
}
