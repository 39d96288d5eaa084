//! What a frame means to a person, and what must be done about it: [`super::replica`]'s words.
//!
//! Data only. `chat` and `check` read it.

use super::frames::{Accepted, Done, Failure, Gap, Notification, Query, Response, Thinking};
use crate::ids::{MessageId, NotificationId, SessionId};
use crate::protocol::text::Timestamp;

/// Which session to open at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A new one.
    New,
    /// The user's most recently active one.
    Latest,
    /// This one.
    Session(SessionId),
}

/// What a frame means to a person.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The connection is open, on this session.
    Opened {
        /// Which session.
        session_id: SessionId,
        /// Whether it is another one than before.
        switched: bool,
        /// Whether the session existed before.
        resumed: bool,
        /// Who the token says you are.
        user_id: String,
    },
    /// These messages were left out of the catch-up.
    Gap(Gap),
    /// The catch-up is complete.
    Live,
    /// A message of the user: replayed, or written elsewhere.
    Asked(Query),
    /// A query of ours is durable.
    Accepted(Accepted),
    /// An answer begins.
    Thinking(Thinking),
    /// An answer will begin anew.
    Requeued,
    /// Text that was not shown yet.
    Text {
        /// Of which answer.
        message_id: MessageId,
        /// When the server sent it.
        at: Timestamp,
        /// What was shown of this answer holds no more.
        anew: bool,
        /// The text.
        text: String,
    },
    /// An answer has ended.
    Answered {
        /// The answer.
        response: Box<Response>,
        /// How it relates to the text that was shown.
        shown: Shown,
        /// Whether its text is the one that its hash was made of.
        intact: bool,
    },
    /// Another service says something.
    Notified(Box<Notification>),
    /// Acknowledged on another device.
    Cleared(Vec<NotificationId>),
    /// A command was carried out.
    Done(Done),
    /// A refusal or a failure.
    Failed(Failure),
    /// The session was renamed.
    Renamed(Option<String>),
    /// The session was deleted.
    Deleted,
    /// The session closes for want of activity.
    Idle,
}

/// How an answer's text relates to what was shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The rest, to be put behind what was shown; empty if all was.
    Rest(String),
    /// More was shown than was stored.
    TooMuch,
    /// Something else was shown.
    Otherwise,
}

/// What must be done besides telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Continue,
    /// Something was missed: connect anew, from the cursor.
    Resume,
    /// Send a new token.
    Renew,
    /// The server goes away; come back no earlier than in so many milliseconds.
    Leave(u64),
}
