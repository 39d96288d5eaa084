//! Commands: which there are, their arguments, and how they are read.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::{
    AckArgs, Auth, CancelArgs, DeleteArgs, History, InboxArgs, ModelArgs, NoArgs, Page, RegenerateArgs,
    RenameArgs, Resume, Search, UnqueueArgs,
};
use super::fields::CommandFields;
use super::{MAX_PAGE, check_title};
use crate::ids::{ClientName, MessageId, NotificationId, RunId, SessionId};
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

/// Which notifications were seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Ack {
    /// All that is unacknowledged.
    All,
    /// These.
    Ids(Vec<NotificationId>),
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

/// A command with its arguments, as it stands on the wire.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "content", content = "args", rename_all = "snake_case")]
pub(super) enum Arguments {
    /// Opens a connection without a token, or renews the token of one.
    Auth(Auth),
    /// Is the server there?
    Ping(NoArgs),
    /// Which commands are there?
    Help(NoArgs),
    /// The user's sessions, most recently active first.
    Sessions(Page),
    /// A new session on this connection.
    New(NoArgs),
    /// Another session on this connection.
    Resume(Resume),
    /// Messages of this session before a `seq`, or the newest; in the order of `seq`.
    History(History),
    /// Names this session.
    Rename(RenameArgs),
    /// A fresh context: older turns stay in the history and leave the model's window.
    Clear(NoArgs),
    /// Removes a session with everything in it.
    Delete(DeleteArgs),
    /// Stops the run in progress, or the one named.
    Cancel(CancelArgs),
    /// Chooses this session's model.
    Model(ModelArgs),
    /// The user's messages that hold these words, in all sessions.
    Search(Search),
    /// A new answer to a query, the session's latest unless one is named.
    Regenerate(RegenerateArgs),
    /// What waits in this session, in the order in which it will run.
    Queue(NoArgs),
    /// Takes a waiting query out of the queue.
    Unqueue(UnqueueArgs),
    /// The user's unacknowledged notifications.
    Inbox(InboxArgs),
    /// These notifications were seen.
    Ack(AckArgs),
}

pub(super) fn command(fields: CommandFields) -> Result<(Option<ClientName>, Command), Refusal> {
    let name = fields.content.map(Text::into_string).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        let content = "Message content is required";
        return Err(Refusal::new(ErrorCode::ContentRequired, content));
    }
    if COMMANDS.iter().all(|(known, _)| *known != name) {
        let content = "No such command; `help` lists them";
        return Err(Refusal::new(ErrorCode::UnknownCommand, content));
    }
    let command = match take(json!({ "content": name, "args": fields.args.unwrap_or_default() }))? {
        Arguments::Auth(auth) => Command::Auth(auth),
        Arguments::Ping(_) => Command::Ping,
        Arguments::Help(_) => Command::Help,
        Arguments::Sessions(page) => Command::Sessions(limited(page, page.limit)?),
        Arguments::New(_) => Command::New,
        Arguments::Resume(resume) => Command::Resume(resume),
        Arguments::History(page) => Command::History(limited(page, page.limit)?),
        Arguments::Rename(args) => Command::Rename(check_title(&args.title)?),
        Arguments::Clear(_) => Command::Clear,
        Arguments::Delete(args) => Command::Delete(args.session_id),
        Arguments::Cancel(args) => Command::Cancel(args.run_id),
        Arguments::Model(args) => Command::Model(args.model),
        Arguments::Search(args) => {
            let limit = args.limit;
            Command::Search(search(limited(args, limit)?)?)
        }
        Arguments::Regenerate(args) => Command::Regenerate(args.message_id),
        Arguments::Queue(_) => Command::Queue,
        Arguments::Unqueue(args) => Command::Unqueue(args.message_id),
        Arguments::Inbox(args) => Command::Inbox(limited(args.limit, args.limit)?),
        Arguments::Ack(args) => Command::Ack(ack(args)?),
    };
    Ok((fields.id, command))
}

fn take(command: Value) -> Result<Arguments, Refusal> {
    serde_json::from_value(command)
        .map_err(|error| Refusal::new(ErrorCode::InvalidMessage, format!("args: {}", complaint(&error))))
}

fn limited<T>(args: T, limit: Option<u32>) -> Result<T, Refusal> {
    match limit {
        Some(limit) if !(1..=MAX_PAGE).contains(&limit) => Err(Refusal::new(
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
