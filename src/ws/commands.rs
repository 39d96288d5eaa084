//! Carries out what a client asks and says what it became: one reply for each frame.
//!
//! Runs beside the connection's loop, so that text goes on flowing while the database works. `ws::connection` starts it
//! and sends what it returns.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::frames::{accepted, done};
use crate::auth::{AuthError, Principal};
use crate::feed::Opened;
use crate::ids::{ClientName, ConnectionId, MessageId, NotificationId, SessionKey};
use crate::protocol::client::{self, COMMANDS, ClientFrame, Command, Feedback, Query, Resume, SessionRef};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{ErrorFrame, FeedbackStored, ServerFrame, Status};
use crate::protocol::text::Text;
use crate::service::Service;
use crate::service::views::{MessageView, NotificationView, SessionView, WaitingView, items};
use crate::store::append::Accepted;
use crate::store::runs::RegenerateOutcome;

/// What a frame became.
#[derive(Debug)]
pub(super) enum Reply {
    /// A query was stored; `accepted` goes out in its place in the log.
    Asked(Accepted, Option<ClientName>),
    /// Frames to be sent.
    Frames(Vec<ServerFrame<'static>>),
    /// Notifications were acknowledged.
    Acknowledged {
        /// The command's answer.
        done: ServerFrame<'static>,
        /// Those that were not before.
        ids: Vec<NotificationId>,
    },
    /// Another session on this connection.
    Switch {
        /// The command's answer.
        done: ServerFrame<'static>,
        /// The session.
        opened: Opened,
        /// The client's cursor.
        after: Option<i64>,
    },
    /// This connection deleted its own session.
    DeletedOwn(ServerFrame<'static>),
    /// A token was checked.
    Authenticated {
        /// The frame's id.
        re: Option<ClientName>,
        /// Who it is, or why not.
        outcome: Result<Principal, AuthError>,
        /// The session wanted, if this opens the conversation.
        session: Option<SessionRef>,
        /// The client's cursor.
        after: Option<i64>,
    },
}

/// Longer than an append is tried again: its own verdict is the better one.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gives up on a request after a while; whether it was carried out is then unknown, and the client is told to try again.
async fn patient<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(Refusal::internal()))
}

/// Who asks, and where.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) service: Arc<Service>,
    pub(super) connection: ConnectionId,
    pub(super) key: SessionKey,
}

impl Asker {
    /// Stores a query.
    pub(super) async fn ask(self, message_id: MessageId, query: Query) -> Reply {
        let re = query.id.clone();
        match patient(self.service.ask(&self.key, message_id, query)).await {
            Ok(done) if done.duplicate => Reply::Frames(vec![accepted(self.key.session_id, re, &done)]),
            Ok(done) => Reply::Asked(done, re),
            Err(refusal) => self.refused(refusal, re),
        }
    }

    /// Carries out anything else.
    pub(super) async fn carry_out(self, frame: ClientFrame) -> Reply {
        match frame {
            ClientFrame::Query(query) => self.ask(MessageId::new(), query).await,
            ClientFrame::Feedback(feedback) => match self.service.admit_command(&self.key.user_id) {
                Ok(()) => self.feedback(feedback).await,
                Err(refusal) => self.refused(refusal, feedback.id),
            },
            ClientFrame::Command(re, command) => match patient(self.command(re.clone(), command)).await {
                Ok(reply) => reply,
                Err(refusal) => self.refused(refusal, re),
            },
        }
    }

    fn refused(&self, refusal: Refusal, re: Option<ClientName>) -> Reply {
        Reply::Frames(vec![ServerFrame::Error(ErrorFrame::of(
            refusal,
            re,
            self.service.now(),
        ))])
    }

    async fn feedback(self, feedback: Feedback) -> Reply {
        let (re, message_id) = (feedback.id.clone(), feedback.message_id);
        match patient(self.service.feedback(&self.key, feedback)).await {
            Ok(()) => Reply::Frames(vec![ServerFrame::Status(Status::Feedback(FeedbackStored {
                content: "Thank you for your feedback".into(),
                timestamp: self.service.now(),
                re,
                message_id,
            }))]),
            Err(refusal) => self.refused(refusal, re),
        }
    }

    async fn command(&self, re: Option<ClientName>, command: Command) -> Result<Reply, Refusal> {
        self.service.admit_command(&self.key.user_id)?;
        match command {
            Command::New => self.switch(re, "new", None, None).await,
            Command::Resume(Resume { session_id, after }) => {
                let after = if session_id == SessionRef::Latest {
                    None
                } else {
                    after
                };
                self.switch(re, "resume", Some(session_id), after).await
            }
            Command::Delete(session_id) => {
                let key = SessionKey {
                    session_id,
                    ..self.key.clone()
                };
                self.service.delete(&key, Some(self.connection)).await?;
                let data = json!({ "session_id": session_id });
                let done = done("delete", "Session deleted", re, self.service.now(), data);
                Ok(if key == self.key {
                    Reply::DeletedOwn(done)
                } else {
                    Reply::Frames(vec![done])
                })
            }
            Command::Ack(ack) => {
                let ids = self.service.acknowledge(&self.key.user_id, &ack).await?;
                let data = json!({ "notification_ids": ids });
                let done = done("ack", "Acknowledged", re, self.service.now(), data);
                Ok(Reply::Acknowledged { done, ids })
            }
            other => {
                let (event, content, data) = self.simple(other, re.as_ref()).await?;
                Ok(Reply::Frames(vec![done(
                    event,
                    content,
                    re,
                    self.service.now(),
                    data,
                )]))
            }
        }
    }

    async fn switch(
        &self,
        re: Option<ClientName>,
        event: &'static str,
        wanted: Option<SessionRef>,
        after: Option<i64>,
    ) -> Result<Reply, Refusal> {
        let opened = self.service.open(&self.key.user_id, wanted).await?;
        let data = json!({ "session_id": opened.room.key().session_id });
        let done = done(event, "Session opened", re, self.service.now(), data);
        Ok(Reply::Switch { done, opened, after })
    }

    /// Commands that are answered by one `status` with data: those that read, then those that change something.
    async fn simple(
        &self,
        command: Command,
        re: Option<&ClientName>,
    ) -> Result<(&'static str, &'static str, Value), Refusal> {
        let (service, key) = (&self.service, &self.key);
        Ok(match command {
            Command::Ping => ("ping", "pong", json!({})),
            Command::Help => ("help", "The commands", help()),
            Command::Sessions(page) => {
                let sessions = service.list(&key.user_id, page).await?;
                (
                    "sessions",
                    "Your sessions",
                    json!({ "sessions": items::<_, SessionView>(sessions) }),
                )
            }
            Command::History(page) => {
                let messages = service.history(key, page.before, page.limit).await?;
                (
                    "history",
                    "Earlier messages",
                    json!({ "messages": items::<_, MessageView>(messages) }),
                )
            }
            Command::Search(search) => {
                let found = service
                    .search(&key.user_id, search.q.as_str(), search.limit)
                    .await?;
                (
                    "search",
                    "Matches",
                    json!({ "matches": items::<_, MessageView>(found) }),
                )
            }
            other => return self.change(other, re).await,
        })
    }

    async fn change(
        &self,
        command: Command,
        re: Option<&ClientName>,
    ) -> Result<(&'static str, &'static str, Value), Refusal> {
        let (service, key) = (&self.service, &self.key);
        Ok(match command {
            Command::Rename(title) => {
                service.rename(key, &title).await?;
                (
                    "rename",
                    "Renamed",
                    json!({ "session_id": key.session_id, "title": title }),
                )
            }
            Command::Clear => {
                let seq = service.clear(key).await?;
                (
                    "clear",
                    "A fresh context begins here",
                    json!({ "context_after_seq": seq }),
                )
            }
            Command::Cancel(run) => {
                let cancelled = service.cancel(key, run).await?;
                (
                    "cancel",
                    "Cancel",
                    json!({ "run_id": cancelled.run_id, "state": cancelled.state }),
                )
            }
            Command::Model(model) => {
                let model = model.map(Text::into_string);
                service.set_model(key, model.as_deref()).await?;
                let allowed = &service.settings.agent.allowed_models;
                (
                    "model",
                    "The session's model",
                    json!({ "model": model, "allowed_models": allowed }),
                )
            }
            other => return self.queue_or_inbox(other, re).await,
        })
    }

    async fn queue_or_inbox(
        &self,
        command: Command,
        re: Option<&ClientName>,
    ) -> Result<(&'static str, &'static str, Value), Refusal> {
        let (service, key) = (&self.service, &self.key);
        Ok(match command {
            Command::Regenerate(message) => {
                let outcome = service.regenerate(key, message, re).await?;
                ("regenerate", "A new answer was asked for", regenerated(&outcome))
            }
            Command::Queue => {
                let waiting = service.queue(key).await?;
                (
                    "queue",
                    "What waits",
                    json!({ "queue": items::<_, WaitingView>(waiting) }),
                )
            }
            Command::Unqueue(message) => {
                let run = service.unqueue(key, message).await?;
                (
                    "unqueue",
                    "Taken out of the queue",
                    json!({ "message_id": message, "run_id": run }),
                )
            }
            Command::Inbox(limit) => {
                let pending = service
                    .inbox(&key.user_id, &[], limit.unwrap_or(client::MAX_PAGE))
                    .await?;
                let list = items::<_, NotificationView>(pending);
                ("inbox", "Your notifications", json!({ "notifications": list }))
            }
            // The others are dealt with before.
            _ => {
                return Err(Refusal::new(
                    ErrorCode::UnknownCommand,
                    "No such command; `help` lists them",
                ));
            }
        })
    }
}

fn regenerated(outcome: &RegenerateOutcome) -> Value {
    match outcome {
        RegenerateOutcome::Queued {
            run_id,
            query_id,
            answer_id,
            position,
            duplicate,
        } => json!({
            "run_id": run_id,
            "in_reply_to": query_id,
            "message_id": answer_id,
            "queue_position": position,
            "duplicate": duplicate,
        }),
        RegenerateOutcome::Conflict | RegenerateOutcome::QueueFull | RegenerateOutcome::Missing => {
            Value::Null
        }
    }
}

fn help() -> Value {
    let commands: Vec<Value> = COMMANDS
        .iter()
        .map(|(name, what)| json!({ "name": name, "description": what }))
        .collect();
    json!({ "commands": commands })
}
