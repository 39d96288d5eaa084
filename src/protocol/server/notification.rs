//! Frames of the type `notification`: what the client should know unasked.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::ids::{ConnectionId, MessageId, NotificationId, Seq, SessionId};
use crate::protocol::client::Priority;
use crate::protocol::text::Timestamp;

/// `type: notification`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notification<'a> {
    /// First frame once authenticated.
    Welcome(Box<Welcome<'a>>),
    /// Pushed by another service.
    Message(Box<Pushed<'a>>),
    /// Acknowledged on another device.
    Cleared(Cleared<'a>),
    /// The session closes for want of activity.
    Timeout(Plain<'a>),
}

/// `event: welcome`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Welcome<'a> {
    /// `Connected to Agent WebSocket. Session ID: <uuid>`.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// The session of this connection.
    pub session_id: SessionId,
    /// Whether it existed before.
    pub resumed: bool,
    /// All up to here has been sent on this connection, or will be before `live`.
    pub head: Seq,
    /// The earliest message that can still be read.
    pub first_available: Seq,
    /// This connection, for logs.
    pub connection_id: ConnectionId,
    /// Who the token says you are.
    pub user_id: Cow<'a, str>,
    /// The version of this contract.
    pub protocol: u32,
    /// How long the server may be silent.
    pub heartbeat_ms: u64,
    /// The largest frame that the server takes.
    pub max_message_bytes: usize,
    /// When the token must have been renewed.
    pub token_expires_at: Timestamp,
    /// How to come back.
    pub reconnect: Reconnect,
    /// What the catch-up leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// How a client should come back after a cut.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Reconnect {
    /// The first wait.
    pub base_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
    /// How much to vary it.
    pub jitter_ms: u64,
}

/// Messages that a catch-up leaves out, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gap {
    /// The first one left out.
    pub from: Seq,
    /// The last one left out.
    pub to: Seq,
}

/// `event: message`: a row of `agent.notifications`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Pushed<'a> {
    /// The text.
    pub content: Cow<'a, str>,
    /// When it was written.
    pub timestamp: Timestamp,
    /// By which repeats are known and by which it is acknowledged.
    pub notification_id: NotificationId,
    /// The writer's word for what it is.
    pub kind: Cow<'a, str>,
    /// A heading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Cow<'a, str>>,
    /// The writer's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Cow<'a, Value>>,
    /// The order of delivery at a connect.
    #[schemars(with = "Priority")]
    pub priority: Cow<'a, str>,
    /// When the row was inserted.
    pub created_at: Timestamp,
    /// The session that it is about, or null.
    pub session_id: Option<SessionId>,
    /// Its place in the conversation, once, if it became part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// Its message, once, if it became part of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// Sent to catch up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// `event: cleared`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cleared<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
    /// What was acknowledged.
    pub notification_ids: Vec<NotificationId>,
}

/// A frame of text only.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Plain<'a> {
    /// For a person.
    pub content: Cow<'a, str>,
    /// When.
    pub timestamp: Timestamp,
}
