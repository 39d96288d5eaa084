//! Commands: which there are, their arguments, and how they are read.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{CommandFields, MAX_PAGE, check_title};
use crate::ids::{ClientName, MessageId, NotificationId, RunId, Seq, SessionId};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::text::{Text, complaint};

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
    /// The one with this id, or the one that this user has under this name. Only the AI SDK's dialect names sessions.
    Named(Uuid),
    /// The same, or else a new one under this name.
    NamedOrNew(Uuid),
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

impl Search {
    /// Checks the words' length.
    ///
    /// # Errors
    /// `invalid_message` when there are none, or too many.
    pub fn checked(self) -> Result<Self, Refusal> {
        if (1..=500).contains(&self.q.as_str().trim().len()) {
            return Ok(self);
        }
        Err(Refusal::new(
            ErrorCode::InvalidMessage,
            "q must be 1 to 500 bytes",
        ))
    }
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

pub(super) fn command(fields: CommandFields) -> Result<(Option<ClientName>, Command), Refusal> {
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
        "rename" => Command::Rename(check_title(&take::<TitleArgs>(args)?.title)?),
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
    serde_json::from_value(args)
        .map_err(|error| Refusal::new(ErrorCode::InvalidMessage, format!("args: {}", complaint(&error))))
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
    search
        .checked()
        .map_err(|refusal| Refusal::new(refusal.code, format!("args: {}", refusal.content)))
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
