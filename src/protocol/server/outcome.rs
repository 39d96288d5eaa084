//! What a command became: the `event` and the `data` of the `status` that answers it. The lists are HTTP's bodies, too.

use schemars::JsonSchema;
use serde::Serialize;

use crate::ids::{MessageId, NotificationId, RunId, Seq, SessionId, UserId};
use crate::protocol::item::{MessageView, NotificationView, SessionView, WaitingView};
use crate::protocol::text::{Text, Timestamp};

/// What a command became: its name, and its data.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Outcome {
    /// The server is there.
    Ping(Nothing),
    /// The commands.
    Help(CommandList),
    /// The user's sessions, most recently active first.
    Sessions(SessionList),
    /// A new session on this connection; `welcome` follows.
    New(SessionNamed),
    /// Another session on this connection; `welcome` follows.
    Resume(SessionNamed),
    /// Messages in the order of `seq`.
    History(MessageList),
    /// The session was renamed.
    Rename(Renamed),
    /// A fresh context begins.
    Clear(Cut),
    /// The session is gone.
    Delete(SessionNamed),
    /// What became of the run.
    Cancel(Cancelled),
    /// The session's model.
    Model(ModelChosen),
    /// Messages that hold the words, newest first.
    Search(MatchList),
    /// A new answer was asked for.
    Regenerate(Regenerated),
    /// What waits in this session, in the order in which it will run.
    Queue(WaitingList),
    /// The query waits no more.
    Unqueue(Unqueued),
    /// The user's unacknowledged notifications.
    Inbox(NotificationList),
    /// What was acknowledged.
    Ack(Acknowledged),
}

/// Nothing to tell.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Nothing {}

/// Whose token it was.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Authenticated {
    /// Who the token says you are.
    pub user_id: UserId,
    /// When the token must have been renewed.
    pub expires_at: Timestamp,
}

/// Which commands there are.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CommandList {
    /// All of them.
    pub commands: Vec<CommandHelp>,
}

/// A command, for people.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct CommandHelp {
    /// What stands in `content`.
    pub name: &'static str,
    /// Its arguments, and what it does.
    pub description: &'static str,
}

/// Sessions, most recently active first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SessionList {
    /// A page of them.
    pub sessions: Vec<SessionView>,
}

/// A session, by its id.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct SessionNamed {
    /// Which session.
    pub session_id: SessionId,
}

/// Messages in the order of `seq`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MessageList {
    /// A page of them.
    pub messages: Vec<MessageView>,
}

/// A session's title.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Renamed {
    /// Which session.
    pub session_id: SessionId,
    /// Its title now.
    pub title: Text,
}

/// Where the model's window begins.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Cut {
    /// The last message that is out of the model's window.
    pub context_after_seq: Seq,
}

/// What a cancel did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cancelled {
    /// Which run; null where nothing was running.
    pub run_id: Option<RunId>,
    /// What it is now.
    #[schemars(with = "CancelState")]
    pub state: String,
}

/// What a run is after a cancel.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "only its schema is used: `service` passes on the database's word"
)]
enum CancelState {
    /// It stops now, and its `response` follows.
    Cancelling,
    /// It was waiting and never ran, or had been cancelled before.
    Cancelled,
    /// It had ended before.
    Complete,
    /// It had ended before.
    Incomplete,
    /// It had ended before.
    Failed,
    /// Nothing was running.
    None,
}

/// A session's model.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ModelChosen {
    /// The model that answers; null for the operator's default.
    pub model: Option<String>,
    /// Those that may be chosen.
    pub allowed_models: Vec<String>,
}

/// Messages that hold the words.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MatchList {
    /// Newest first.
    pub matches: Vec<MessageView>,
}

/// The run that will write the new answer.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Regenerated {
    /// Which run.
    pub run_id: RunId,
    /// The query's message.
    pub in_reply_to: MessageId,
    /// The answer to come.
    pub message_id: MessageId,
    /// 0 = running.
    pub queue_position: u32,
    /// The same `id` was accepted before; this repeats that answer.
    pub duplicate: bool,
}

/// What waits.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WaitingList {
    /// In the order in which it will run.
    pub queue: Vec<WaitingView>,
}

/// A query that waits no more.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Unqueued {
    /// The query's message, which stays.
    pub message_id: MessageId,
    /// Its run, which is cancelled.
    pub run_id: RunId,
}

/// What was not acknowledged.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NotificationList {
    /// By priority, then age.
    pub notifications: Vec<NotificationView>,
}

/// What was acknowledged.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Acknowledged {
    /// Those that were not before.
    pub notification_ids: Vec<NotificationId>,
}
