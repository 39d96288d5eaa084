//! A session as a file: JSON Lines for programs, Markdown for people. Page by page, so that a long one needs no memory.
//!
//! `http` streams it, the command line writes it.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::ids::{MessageId, Seq, SessionKey, UserId};
use crate::log::{AnswerState, Message, Role};
use crate::protocol::item::{MessageView, SessionView};
use crate::store::feedback::StoredFeedback;
use crate::store::sessions::Session;
use crate::store::{Store, StoreError, in_time};

/// Messages read at a time.
const PAGE: u32 = 200;

/// How a session is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line: the session, then each message as the HTTP interface shows it.
    JsonLines,
    /// A text with a heading for each message.
    Markdown,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::JsonLines, Self::Markdown];

    /// The format of this name: `jsonl` or `markdown`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "jsonl" => Some(Self::JsonLines),
            "markdown" => Some(Self::Markdown),
            _ => None,
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::JsonLines => "application/jsonl; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }

    /// How a file of it is called: the part after the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Markdown => "md",
        }
    }
}

/// An export under way: the messages that were there when it began.
#[derive(Debug)]
pub struct Export {
    store: Store,
    key: SessionKey,
    format: Format,
    feedback: HashMap<MessageId, StoredFeedback>,
    head: Option<Session>,
    written: Seq,
    upto: Seq,
}

#[derive(Serialize)]
struct SessionLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    user_id: &'a UserId,
    #[serde(flatten)]
    session: SessionView,
}

#[derive(Serialize)]
struct MessageLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    message: MessageView,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<&'a StoredFeedback>,
}

impl Export {
    /// Begins to export a session. `None` when this user has no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin(store: Store, key: SessionKey, format: Format) -> Result<Option<Self>, StoreError> {
        let Some(session) = in_time(store.find_session(&key)).await? else {
            return Ok(None);
        };
        let feedback = in_time(store.feedback_of(&key)).await?;
        Ok(Some(Self {
            store,
            key,
            format,
            feedback,
            written: Seq(session.first_seq.0 - 1),
            upto: session.last_seq,
            head: Some(session),
        }))
    }

    /// The next piece of the file; `None` at its end.
    ///
    /// # Errors
    /// When the database fails: the file is not whole then.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        if let Some(session) = self.head.take() {
            return Ok(Some(self.write_head(session)));
        }
        let messages = in_time(
            self.store
                .messages_after(&self.key, self.written, self.upto, PAGE),
        )
        .await?;
        let Some(last) = messages.last() else {
            return Ok(None);
        };
        self.written = last.seq;
        Ok(Some(
            messages
                .into_iter()
                .map(|message| self.write_message(message))
                .collect(),
        ))
    }

    fn write_head(&self, session: Session) -> String {
        match self.format {
            Format::JsonLines => line(&SessionLine {
                kind: "session",
                user_id: &self.key.user_id,
                session: SessionView::from(session),
            }),
            Format::Markdown => {
                let title = session.title.as_deref().unwrap_or("Untitled session");
                format!(
                    "# {}\n\nSession {} of {}, begun {}, last active {}.\n",
                    title.replace(['\r', '\n'], " "),
                    session.session_id,
                    self.key.user_id,
                    session.created_at,
                    session.last_activity_at
                )
            }
        }
    }

    fn write_message(&self, message: Message) -> String {
        let feedback = self.feedback.get(&message.message_id);
        match self.format {
            Format::JsonLines => line(&MessageLine {
                kind: "message",
                message: MessageView::from(message),
                feedback,
            }),
            Format::Markdown => section(&message, feedback),
        }
    }
}

/// One JSON object and the end of its line.
fn line(object: &impl Serialize) -> String {
    let mut line = serde_json::to_string(object).unwrap_or_default();
    line.push('\n');
    line
}

/// A message under its heading, as it is: what it marks up itself stays marked up.
fn section(message: &Message, feedback: Option<&StoredFeedback>) -> String {
    let mut text = format!("\n## {}", speaker(message.role));
    if let Some(model) = &message.model {
        let _ = write!(text, " ({model})");
    }
    let _ = write!(text, ", {}", message.created_at);
    if message.state != AnswerState::Complete {
        let _ = write!(text, ", {}", message.state.as_str());
    }
    let _ = write!(text, "\n\n{}\n", message.content);
    if let Some(feedback) = feedback {
        text.push_str(&opinion(feedback));
    }
    text
}

fn speaker(role: Role) -> &'static str {
    match role {
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::Notification => "Notification",
    }
}

/// Feedback as a quotation below its answer.
fn opinion(feedback: &StoredFeedback) -> String {
    let mut text = String::from("\n> Feedback");
    if let Some(rating) = feedback.rating {
        let _ = write!(text, ": rated {rating}");
    }
    if !feedback.tags.is_empty() {
        let _ = write!(text, " ({})", feedback.tags.join(", "));
    }
    text.push('\n');
    for (what, words) in [
        ("Comment", &feedback.comment),
        ("Correction", &feedback.correction),
    ] {
        if let Some(words) = words {
            let _ = writeln!(text, ">\n> {what}: {}", words.replace('\n', "\n> "));
        }
    }
    text
}
