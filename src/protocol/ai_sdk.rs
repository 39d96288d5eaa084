//! The second dialect as types: the frames of the AI SDK's `WebSocketChatTransport`, read from text and written as text.
//!
//! Owns what of their frames counts here: the request, the chat, and the last message if it is the user's. Refuses what cannot be
//! kept, such as files; all else that a client sends of the conversation is not even looked at, since it stands in our log. Data only;
//! `ws::ai_sdk` gives it its meaning.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{BadFrame, check_content};
use super::error::{ErrorCode, Refusal};
use super::text::{Text, complaint};
use crate::ids::{ClientName, digest};

/// The sub-protocol that a client may offer, and must where it brings its token as one.
pub const SUBPROTOCOL: &str = "agentws.aisdk.v1";

/// The longest id of a request, a chat or a message, in bytes.
const MAX_ID_BYTES: usize = 256;

/// A frame of the transport's.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Which answer of the server's belongs to it.
    pub id: RequestId,
    /// What it wants.
    pub wish: Wish,
}

/// What a frame wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Something of a chat, with the token in the frame's `headers` if there is one.
    Of(ChatId, Option<Text>, Deed),
    /// No more of what this request asked for.
    Abort,
}

/// What is wanted of a chat.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// An answer to this.
    Submit(Question),
    /// Another answer: to the message named, else to this one.
    Regenerate(Option<String>, Question),
    /// The answer that is being written, or the last one.
    Resume,
}

/// A request's id, the client's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub String);

impl RequestId {
    /// The id under which our own verbs know the request.
    pub fn name(&self) -> ClientName {
        name(&self.0)
    }
}

/// A chat's id: a session's id, or the client's own name for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatId(pub String);

impl ChatId {
    /// As an id: the client's own if it is a UUID, else made of it.
    pub fn as_uuid(&self) -> Uuid {
        Uuid::parse_str(&self.0).unwrap_or_else(|_| digest(&["chat", &self.0]))
    }
}

/// The user's last message.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The id under which it is kept, made of the client's.
    pub id: ClientName,
    /// Its text.
    pub content: Text,
}

/// A client's id as one that our contract takes: itself, or an id made of it.
pub fn name(id: &str) -> ClientName {
    ClientName::new(id).unwrap_or_else(|_| ClientName::of(digest(&["name", id])))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(rename = "type")]
    kind: String,
    request_id: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    trigger: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    messages: Vec<UiMessage>,
    #[serde(default)]
    headers: HashMap<String, Value>,
    #[serde(default)]
    last_sequence: Option<Value>,
}

#[derive(Deserialize)]
struct UiMessage {
    id: String,
    role: String,
    #[serde(default)]
    parts: Vec<UiPart>,
}

#[derive(Deserialize)]
struct UiPart {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// Which request a frame is, where no more of it can be read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    request_id: String,
}

/// Reads a frame. Fields that are not known are let pass: the dialect is another's, and grows.
///
/// # Errors
/// The request, where it could be read, and what to answer.
pub fn parse(text: &str) -> Result<Request, (Option<RequestId>, BadFrame)> {
    let refused = |id: Option<RequestId>, refusal: Refusal| {
        let re = id.as_ref().map(RequestId::name);
        (id, BadFrame { re, refusal })
    };
    let fields: Fields = serde_json::from_str(text).map_err(|error| {
        let id = serde_json::from_str(text)
            .ok()
            .and_then(|envelope: Envelope| request_id(envelope.request_id));
        let code = if error.is_data() {
            ErrorCode::InvalidMessage
        } else {
            ErrorCode::InvalidJson
        };
        refused(id, Refusal::new(code, complaint(&error)))
    })?;
    let Some(id) = request_id(fields.request_id.clone()) else {
        return Err(refused(None, invalid("requestId must be 1 to 256 bytes")));
    };
    match wish(fields) {
        Ok(wish) => Ok(Request { id, wish }),
        Err(refusal) => Err(refused(Some(id), refusal)),
    }
}

fn wish(fields: Fields) -> Result<Wish, Refusal> {
    let kind = fields.kind.as_str();
    if kind == "abort" {
        return Ok(Wish::Abort);
    }
    let token = bearer(&fields.headers)?;
    let deed = match (kind, fields.trigger.as_deref()) {
        // What was sent before cannot be cut into the same pieces again, so all of it is.
        ("resume", _) if fields.last_sequence.is_some_and(|last| !last.is_null()) => {
            return Err(invalid(
                "lastSequence is not understood: leave it out, and all is sent again",
            ));
        }
        ("resume", _) => Deed::Resume,
        ("send", Some("submit-message")) => Deed::Submit(question(fields.messages)?),
        ("send", Some("regenerate-message")) => {
            Deed::Regenerate(fields.message_id, question(fields.messages)?)
        }
        ("send", _) => return Err(invalid("trigger must be submit-message or regenerate-message")),
        _ => {
            let what = "type must be send, resume or abort";
            return Err(Refusal::new(ErrorCode::UnknownType, what));
        }
    };
    let chat = fields.id.filter(|id| is_id(id)).map(ChatId);
    let chat = chat.ok_or_else(|| invalid("id must be 1 to 256 bytes"))?;
    Ok(Wish::Of(chat, token, deed))
}

/// The last message, which must be the user's and text.
fn question(messages: Vec<UiMessage>) -> Result<Question, Refusal> {
    let Some(last) = messages.into_iter().last().filter(|last| last.role == "user") else {
        return Err(invalid("the last of messages must be the user's"));
    };
    if !is_id(&last.id) {
        return Err(invalid("a message's id must be 1 to 256 bytes"));
    }
    if last.parts.iter().any(|part| part.kind == "file") {
        return Err(invalid("files cannot be sent here, only text"));
    }
    let texts: Vec<String> = last
        .parts
        .into_iter()
        .filter(|part| part.kind == "text")
        .filter_map(|part| part.text)
        .collect();
    let content = Text::new(texts.join("\n")).map_err(invalid)?;
    Ok(Question {
        id: name(&last.id),
        content: check_content(Some(content))?,
    })
}

/// The token of an `Authorization` header in a frame; the transport writes names of headers in small letters, others need not.
fn bearer(headers: &HashMap<String, Value>) -> Result<Option<Text>, Refusal> {
    let header = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let Some((_, value)) = header else {
        return Ok(None);
    };
    let token = value
        .as_str()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| Text::new(token.trim().to_owned()).ok());
    let what = "the authorization in headers must be `Bearer <token>`";
    token.map(Some).ok_or_else(|| invalid(what))
}

fn request_id(id: String) -> Option<RequestId> {
    is_id(&id).then_some(RequestId(id))
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len())
}

fn invalid(what: &'static str) -> Refusal {
    Refusal::new(ErrorCode::InvalidMessage, what)
}

/// A frame to the transport.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Response {
    /// There is something to resume.
    Start {
        /// Which request.
        request_id: String,
    },
    /// A piece of an answer.
    Chunk {
        /// Which request.
        request_id: String,
        /// Counts from 0 without a gap.
        sequence: u64,
        /// A `UIMessageChunk`.
        chunk: Value,
    },
    /// The answer is over.
    End {
        /// Which request.
        request_id: String,
    },
    /// There will be none.
    Error {
        /// Which request.
        request_id: String,
        /// For a person.
        error_text: String,
    },
    /// There is nothing to resume.
    NoActive {
        /// Which request.
        request_id: String,
    },
}

impl Response {
    /// The frame as one line of JSON.
    pub fn encode(&self) -> String {
        // Only a map with keys that are no strings, or a failing Serialize, could err; there is neither.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A `UIMessageChunk` that is shown in passing and becomes no part of the message.
pub fn transient(kind: &str, id: &str, data: &Value) -> Value {
    json!({ "type": format!("data-{kind}"), "id": id, "data": data, "transient": true })
}
