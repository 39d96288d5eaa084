//! What a client may say: frames parsed from text, each field checked once, here.
//!
//! Refuses unknown fields, NUL, and anything over its limit, with the code and the sentence for the client. `ws` and
//! `http` call it; nothing behind them checks these things again.

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::{ErrorCode, Refusal};
use super::text::{Text, check_json};
use crate::ids::{ClientName, MessageId, NotificationId, RunId, Seq, SessionId};

/// The longest query, in bytes of UTF-8.
pub const MAX_CONTENT_BYTES: usize = 32 * 1024;

/// The most messages that one `history` answer holds.
pub const MAX_PAGE: u32 = 200;

/// A frame from a client, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    /// A question to the agent.
    Query(Query),
    /// A command, with the frame's id.
    Command(Option<ClientName>, Command),
    /// A person's view of an answer.
    Feedback(Feedback),
}

impl ClientFrame {
    /// The frame's own id.
    pub fn id(&self) -> Option<&ClientName> {
        match self {
            Self::Query(query) => query.id.as_ref(),
            Self::Command(id, _) => id.as_ref(),
            Self::Feedback(feedback) => feedback.id.as_ref(),
        }
    }
}

/// A frame that was refused: what to answer, and to which frame.
#[derive(Clone, Debug, PartialEq)]
pub struct BadFrame {
    /// The frame's id, where it could be read.
    pub re: Option<ClientName>,
    /// What was wrong.
    pub refusal: Refusal,
}

/// What happens to a query when a run is in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// Wait behind it.
    #[default]
    Enqueue,
    /// Answer `busy`, store nothing.
    Reject,
    /// Cancel it and run next.
    Interrupt,
}

/// The order among waiting queries of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before the others.
    High,
    /// In between.
    #[default]
    Normal,
    /// After the others.
    Low,
}

/// A question to the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The client's own id: makes the send idempotent.
    pub id: Option<ClientName>,
    /// The question.
    pub content: Text,
    /// Its place among waiting ones.
    pub priority: Priority,
    /// What to do when a run is in progress.
    pub on_busy: OnBusy,
    /// A model that the operator allows.
    pub model: Option<Text>,
    /// The client's own data, stored beside the message.
    pub metadata: Option<Map<String, Value>>,
}

/// A rating, comment or correction of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The frame's id.
    pub id: Option<ClientName>,
    /// The answer.
    pub message_id: MessageId,
    /// −1, 0 or 1.
    pub rating: Option<i16>,
    /// A comment.
    pub comment: Option<Text>,
    /// What the answer should have been.
    pub correction: Option<Text>,
    /// Short labels, at most 16.
    pub tags: Vec<Text>,
}

/// Something else that a client asks of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A token: the first frame of a socket without one, or a renewal.
    Auth(Auth),
    /// Are you there?
    Ping,
    /// Which commands are there?
    Help,
    /// My sessions, most recently active first.
    Sessions(Page),
    /// A new session on this socket.
    New,
    /// Another session on this socket.
    Resume(Resume),
    /// Earlier messages of this session.
    History(History),
    /// A title for this session.
    Rename(Text),
    /// A fresh context from here on.
    Clear,
    /// Remove a session.
    Delete(SessionId),
    /// Stop the run in progress, or the one named.
    Cancel(Option<RunId>),
    /// This session's model.
    Model(Option<Text>),
    /// Messages that hold these words.
    Search(Search),
    /// A new answer to a query, the session's latest unless one is named.
    Regenerate(Option<MessageId>),
    /// What waits in this session.
    Queue,
    /// Takes a waiting query out of the queue.
    Unqueue(MessageId),
    /// My unacknowledged notifications.
    Inbox(Option<u32>),
    /// I have seen these notifications.
    Ack(Ack),
}

/// Arguments of `auth`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The JWT.
    pub token: Text,
    /// The session to resume; wins over the URL's.
    #[serde(default)]
    pub session_id: Option<SessionRef>,
    /// The cursor; wins over the URL's.
    #[serde(default)]
    pub after: Option<i64>,
}

/// Which session a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SessionRef {
    /// The most recently active one, or a new one.
    Latest,
    /// This one.
    Id(SessionId),
}

impl TryFrom<String> for SessionRef {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        Uuid::parse_str(&text)
            .map(|id| Self::Id(SessionId(id)))
            .map_err(|_| "must be a UUID or `latest`")
    }
}

/// Arguments of `sessions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// How many, 1 to 200; 50 if absent.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only sessions that come after this one in the list.
    #[serde(default)]
    pub before: Option<SessionId>,
}

/// Arguments of `resume`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Which session.
    pub session_id: SessionRef,
    /// The last `seq` that the client has applied.
    #[serde(default)]
    pub after: Option<i64>,
}

/// Arguments of `history`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Only messages before this `seq`.
    #[serde(default)]
    pub before: Option<Seq>,
    /// How many, 1 to 200; 50 if absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Arguments of `search`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The words.
    pub q: Text,
    /// How many, 1 to 200; 20 if absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Arguments of `ack`.
#[derive(Clone, Debug, PartialEq)]
pub enum Ack {
    /// All that is unacknowledged.
    All,
    /// These.
    Ids(Vec<NotificationId>),
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type", default)]
    kind: Option<Value>,
    #[serde(default)]
    id: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryFields {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    id: Option<ClientName>,
    #[serde(default)]
    content: Option<Text>,
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    on_busy: Option<OnBusy>,
    #[serde(default)]
    model: Option<Text>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    #[serde(default, rename = "timestamp")]
    _timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandFields {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    id: Option<ClientName>,
    #[serde(default)]
    content: Option<Text>,
    #[serde(default)]
    args: Option<Map<String, Value>>,
    #[serde(default, rename = "timestamp")]
    _timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedbackFields {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    id: Option<ClientName>,
    #[serde(default)]
    message_id: Option<MessageId>,
    #[serde(default)]
    rating: Option<i16>,
    #[serde(default)]
    content: Option<Text>,
    #[serde(default)]
    correction: Option<Text>,
    #[serde(default)]
    tags: Option<Vec<Text>>,
    #[serde(default)]
    request_id: Option<Uuid>,
    #[serde(default, rename = "approved")]
    _approved: Option<bool>,
    #[serde(default, rename = "timestamp")]
    _timestamp: Option<serde::de::IgnoredAny>,
}

/// Reads one text frame.
///
/// # Errors
/// What to answer; the connection lives on.
pub fn parse(text: &str) -> Result<ClientFrame, BadFrame> {
    if !text.trim_start().starts_with('{') {
        return Err(bad(None, ErrorCode::InvalidJson, "A frame is one JSON object"));
    }
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            // It is JSON, but `type` or `id` stands in it twice.
            return bad(None, ErrorCode::InvalidMessage, printable(&error.to_string()));
        }
        bad(
            None,
            ErrorCode::InvalidJson,
            format!("Not JSON: {}", position(&error)),
        )
    })?;
    let re = match envelope.id {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(
            ClientName::new(&id)
                .map_err(|error| bad(None, ErrorCode::InvalidMessage, format!("id {error}")))?,
        ),
        Some(_) => return Err(bad(None, ErrorCode::InvalidMessage, "id must be a string")),
    };
    let refused = |refusal| BadFrame {
        re: re.clone(),
        refusal,
    };
    match envelope.kind {
        Some(Value::String(kind)) => match kind.as_str() {
            "query" => query(fields(text).map_err(refused)?)
                .map(ClientFrame::Query)
                .map_err(refused),
            "command" => {
                let fields: CommandFields = fields(text).map_err(refused)?;
                command(fields)
                    .map(|(id, command)| ClientFrame::Command(id, command))
                    .map_err(refused)
            }
            "human_feedback" => feedback(fields(text).map_err(refused)?)
                .map(ClientFrame::Feedback)
                .map_err(refused),
            _ => Err(refused(Refusal::new(
                ErrorCode::UnknownType,
                "A client's type is query, command or human_feedback",
            ))),
        },
        Some(_) => Err(refused(Refusal::new(
            ErrorCode::InvalidMessage,
            "type must be a string",
        ))),
        None => Err(refused(Refusal::new(
            ErrorCode::InvalidMessage,
            "type is required",
        ))),
    }
}

/// Checks a question's text: not blank, not too long.
///
/// # Errors
/// `content_required` or `too_large`.
pub fn check_content(content: Option<Text>) -> Result<Text, Refusal> {
    let content = content
        .filter(|text| !text.as_str().trim().is_empty())
        .ok_or_else(|| Refusal::new(ErrorCode::ContentRequired, "Message content is required"))?;
    if content.as_str().len() > MAX_CONTENT_BYTES {
        return Err(Refusal::new(
            ErrorCode::TooLarge,
            "Content is longer than 32768 bytes of UTF-8",
        ));
    }
    Ok(content)
}

/// Checks a client's own object.
///
/// # Errors
/// `invalid_message` with the reason.
pub fn check_metadata(metadata: Option<Map<String, Value>>) -> Result<Option<Map<String, Value>>, Refusal> {
    if let Some(object) = &metadata {
        check_json(object)
            .map_err(|why| Refusal::new(ErrorCode::InvalidMessage, format!("metadata {why}")))?;
    }
    Ok(metadata)
}

/// Checks a title: one line, 1 to 200 characters.
///
/// # Errors
/// `invalid_message` with the reason.
pub fn check_title(title: Text) -> Result<Text, Refusal> {
    let text = title.as_str().trim();
    if text.is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(Refusal::new(
            ErrorCode::InvalidMessage,
            "title must be one line of 1 to 200 characters",
        ));
    }
    Text::new(text.to_owned()).map_err(|why| Refusal::new(ErrorCode::InvalidMessage, why))
}

fn query(fields: QueryFields) -> Result<Query, Refusal> {
    Ok(Query {
        id: fields.id,
        content: check_content(fields.content)?,
        priority: fields.priority.unwrap_or_default(),
        on_busy: fields.on_busy.unwrap_or_default(),
        model: fields.model,
        metadata: check_metadata(fields.metadata)?,
    })
}

fn feedback(fields: FeedbackFields) -> Result<Feedback, Refusal> {
    let invalid = |why: &'static str| Err(Refusal::new(ErrorCode::InvalidMessage, why));
    if fields.request_id.is_some() {
        return Err(Refusal::not_found("request"));
    }
    let Some(message_id) = fields.message_id else {
        return invalid("message_id is required");
    };
    if !matches!(fields.rating, None | Some(-1..=1)) {
        return invalid("rating must be -1, 0 or 1");
    }
    let tags = fields.tags.unwrap_or_default();
    if tags.len() > 16
        || tags
            .iter()
            .any(|tag| tag.as_str().is_empty() || tag.as_str().len() > 64)
    {
        return invalid("tags must be at most 16, each of 1 to 64 bytes");
    }
    let comment = fields.content.filter(|text| !text.as_str().is_empty());
    if fields.rating.is_none() && comment.is_none() && fields.correction.is_none() && tags.is_empty() {
        return invalid("one of rating, content, correction or tags is required");
    }
    for text in [&comment, &fields.correction].into_iter().flatten() {
        if text.as_str().len() > MAX_CONTENT_BYTES {
            return Err(Refusal::new(
                ErrorCode::TooLarge,
                "Longer than 32768 bytes of UTF-8",
            ));
        }
    }
    Ok(Feedback {
        id: fields.id,
        message_id,
        rating: fields.rating,
        comment,
        correction: fields.correction,
        tags,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TitleArgs {
    title: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionArgs {
    session_id: SessionId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunArgs {
    #[serde(default)]
    run_id: Option<RunId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelArgs {
    /// Null for the default, but never left out: that would undo the choice unasked.
    #[serde(deserialize_with = "Option::deserialize")]
    model: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionalMessageArgs {
    #[serde(default)]
    message_id: Option<MessageId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageArgs {
    message_id: MessageId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitArgs {
    #[serde(default)]
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckArgs {
    #[serde(default)]
    notification_ids: Option<Vec<NotificationId>>,
    #[serde(default)]
    all: Option<bool>,
}

/// The commands and what each does, for `help` and for the documentation.
pub const COMMANDS: [(&str, &str); 18] = [
    (
        "auth",
        "{token, session_id?, after?}: authenticate, or renew the token",
    ),
    ("ping", "is the server there?"),
    ("help", "this list"),
    (
        "sessions",
        "{limit?, before?}: your sessions, most recently active first",
    ),
    ("new", "a new session on this connection"),
    (
        "resume",
        "{session_id, after?}: another session on this connection",
    ),
    ("history", "{before?, limit?}: earlier messages of this session"),
    ("rename", "{title}: name this session"),
    (
        "clear",
        "a fresh context: older messages stay in the history but leave the model's window",
    ),
    ("delete", "{session_id}: remove a session"),
    ("cancel", "{run_id?}: stop the answer being written"),
    ("model", "{model}: this session's model; null for the default"),
    ("search", "{q, limit?}: messages that hold these words"),
    ("regenerate", "{message_id?}: a new answer to a query"),
    ("queue", "what waits in this session"),
    ("unqueue", "{message_id}: take a waiting query out of the queue"),
    ("inbox", "{limit?}: your unacknowledged notifications"),
    ("ack", "{notification_ids | all: true}: you have seen them"),
];

fn command(fields: CommandFields) -> Result<(Option<ClientName>, Command), Refusal> {
    let name = fields.content.map(Text::into_string).unwrap_or_default();
    let args = Value::Object(fields.args.unwrap_or_default());
    let command = match name.trim() {
        "" => {
            return Err(Refusal::new(
                ErrorCode::ContentRequired,
                "Message content is required",
            ));
        }
        "auth" => Command::Auth(take(args)?),
        "ping" => nothing(args, Command::Ping)?,
        "help" => nothing(args, Command::Help)?,
        "sessions" => Command::Sessions(limited(take::<Page>(args)?, |page| page.limit)?),
        "new" => nothing(args, Command::New)?,
        "resume" => Command::Resume(take(args)?),
        "history" => Command::History(limited(take::<History>(args)?, |page| page.limit)?),
        "rename" => Command::Rename(check_title(take::<TitleArgs>(args)?.title)?),
        "clear" => nothing(args, Command::Clear)?,
        "delete" => Command::Delete(take::<SessionArgs>(args)?.session_id),
        "cancel" => Command::Cancel(take::<RunArgs>(args)?.run_id),
        "model" => Command::Model(take::<ModelArgs>(args)?.model),
        "search" => Command::Search(search(limited(take::<Search>(args)?, |search| search.limit)?)?),
        "regenerate" => Command::Regenerate(take::<OptionalMessageArgs>(args)?.message_id),
        "queue" => nothing(args, Command::Queue)?,
        "unqueue" => Command::Unqueue(take::<MessageArgs>(args)?.message_id),
        "inbox" => Command::Inbox(limited(take::<LimitArgs>(args)?, |page| page.limit)?.limit),
        "ack" => Command::Ack(ack(take(args)?)?),
        _ => {
            let content = "No such command; `help` lists them";
            return Err(Refusal::new(ErrorCode::UnknownCommand, content));
        }
    };
    Ok((fields.id, command))
}

fn take<T: serde::de::DeserializeOwned>(args: Value) -> Result<T, Refusal> {
    serde_json::from_value(args).map_err(|error| {
        Refusal::new(
            ErrorCode::InvalidMessage,
            format!("args: {}", printable(&error.to_string())),
        )
    })
}

fn nothing(args: Value, command: Command) -> Result<Command, Refusal> {
    take::<NoArgs>(args).map(|_| command)
}

fn limited<T>(args: T, limit: impl Fn(&T) -> Option<u32>) -> Result<T, Refusal> {
    match limit(&args) {
        Some(0) => Err(Refusal::new(
            ErrorCode::InvalidMessage,
            "args: limit must be 1 to 200",
        )),
        Some(limit) if limit > MAX_PAGE => Err(Refusal::new(
            ErrorCode::InvalidMessage,
            "args: limit must be 1 to 200",
        )),
        _ => Ok(args),
    }
}

fn search(search: Search) -> Result<Search, Refusal> {
    let length = search.q.as_str().trim().len();
    if length == 0 || length > 500 {
        return Err(Refusal::new(
            ErrorCode::InvalidMessage,
            "args: q must be 1 to 500 bytes",
        ));
    }
    Ok(search)
}

fn ack(args: AckArgs) -> Result<Ack, Refusal> {
    match (args.notification_ids, args.all) {
        (None, Some(true)) => Ok(Ack::All),
        (Some(ids), None | Some(false)) if ids.len() <= 1000 => Ok(Ack::Ids(ids)),
        _ => Err(Refusal::new(
            ErrorCode::InvalidMessage,
            "args: notification_ids (at most 1000) or all: true is required",
        )),
    }
}

fn fields<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    serde_json::from_str(text)
        .map_err(|error| Refusal::new(ErrorCode::InvalidMessage, printable(&error.to_string())))
}

fn bad(
    re: Option<ClientName>,
    code: ErrorCode,
    content: impl Into<std::borrow::Cow<'static, str>>,
) -> BadFrame {
    BadFrame {
        re,
        refusal: Refusal::new(code, content),
    }
}

/// Where a parser stopped, without repeating what the client sent.
fn position(error: &serde_json::Error) -> String {
    format!("stopped at line {} column {}", error.line(), error.column())
}

/// Serde's messages may quote what the client sent: control characters out, and no longer than a line.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect()
}
