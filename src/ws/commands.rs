//! Carries out what a client asks and says what it became: one reply for each frame.
//!
//! Runs beside the connection's loop, so that text goes on flowing while the database works. `ws::connection` starts it
//! and sends what it returns.

use std::sync::Arc;
use std::time::Duration;

use super::frames::{accepted, done};
use crate::auth::{AuthError, Principal};
use crate::feed::Opened;
use crate::ids::{ClientName, ConnectionId, MessageId, NotificationId, SessionKey};
use crate::protocol::client::{self, COMMANDS, ClientFrame, Command, Feedback, Query, Resume, SessionRef};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{
    Acknowledged, CommandHelp, CommandList, Cut, ErrorFrame, FeedbackStored, MatchList, MessageList,
    ModelChosen, Nothing, NotificationList, Outcome, Renamed, ServerFrame, SessionList, SessionNamed, Status,
    Unqueued, WaitingList,
};
use crate::protocol::text::Text;
use crate::service::Service;
use crate::service::views::items;
use crate::store::append::Accepted;
use crate::trace::Parent;

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
    /// The trace that the connection belongs to.
    pub(super) parent: Option<Parent>,
}

impl Asker {
    /// Stores a query.
    pub(super) async fn ask(self, message_id: MessageId, query: Query) -> Reply {
        let re = query.id.clone();
        match patient(self.service.ask(&self.key, message_id, query, self.parent)).await {
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
            Command::New => self.switch(re, Outcome::New, None, None).await,
            Command::Resume(Resume { session_id, after }) => {
                let after = if session_id == SessionRef::Latest {
                    None
                } else {
                    after
                };
                self.switch(re, Outcome::Resume, Some(session_id), after).await
            }
            Command::Delete(session_id) => {
                let key = SessionKey {
                    session_id,
                    ..self.key.clone()
                };
                self.service.delete(&key, Some(self.connection)).await?;
                let outcome = Outcome::Delete(SessionNamed { session_id });
                let done = done("Session deleted", re, self.service.now(), outcome);
                Ok(if key == self.key {
                    Reply::DeletedOwn(done)
                } else {
                    Reply::Frames(vec![done])
                })
            }
            Command::Ack(ack) => {
                let ids = self.service.acknowledge(&self.key.user_id, &ack).await?;
                let outcome = Outcome::Ack(Acknowledged {
                    notification_ids: ids.clone(),
                });
                let done = done("Acknowledged", re, self.service.now(), outcome);
                Ok(Reply::Acknowledged { done, ids })
            }
            other => {
                let (content, outcome) = self.simple(other, re.as_ref()).await?;
                let now = self.service.now();
                Ok(Reply::Frames(vec![done(content, re, now, outcome)]))
            }
        }
    }

    async fn switch(
        &self,
        re: Option<ClientName>,
        outcome: fn(SessionNamed) -> Outcome,
        wanted: Option<SessionRef>,
        after: Option<i64>,
    ) -> Result<Reply, Refusal> {
        let opened = self.service.open(&self.key.user_id, wanted, after).await?;
        let session_id = opened.room.key().session_id;
        let outcome = outcome(SessionNamed { session_id });
        let done = done("Session opened", re, self.service.now(), outcome);
        Ok(Reply::Switch { done, opened, after })
    }

    /// Commands that are answered by one `status` with data: those that read, then those that change something.
    async fn simple(
        &self,
        command: Command,
        re: Option<&ClientName>,
    ) -> Result<(&'static str, Outcome), Refusal> {
        let (service, key) = (&self.service, &self.key);
        Ok(match command {
            Command::Ping => ("pong", Outcome::Ping(Nothing {})),
            Command::Help => ("The commands", Outcome::Help(help())),
            Command::Sessions(page) => {
                let sessions = service.list(&key.user_id, page).await?;
                let sessions = items(sessions);
                ("Your sessions", Outcome::Sessions(SessionList { sessions }))
            }
            Command::History(page) => {
                let messages = service.history(key, page.before, page.limit).await?;
                let messages = items(messages);
                ("Earlier messages", Outcome::History(MessageList { messages }))
            }
            Command::Search(search) => {
                let found = service
                    .search(&key.user_id, search.q.as_str(), search.limit)
                    .await?;
                let matches = items(found);
                ("Matches", Outcome::Search(MatchList { matches }))
            }
            other => return self.change(other, re).await,
        })
    }

    async fn change(
        &self,
        command: Command,
        re: Option<&ClientName>,
    ) -> Result<(&'static str, Outcome), Refusal> {
        let (service, key) = (&self.service, &self.key);
        Ok(match command {
            Command::Rename(title) => {
                service.rename(key, &title).await?;
                let session_id = key.session_id;
                ("Renamed", Outcome::Rename(Renamed { session_id, title }))
            }
            Command::Clear => {
                let context_after_seq = service.clear(key).await?;
                let cut = Cut { context_after_seq };
                ("A fresh context begins here", Outcome::Clear(cut))
            }
            Command::Cancel(run) => ("Cancel", Outcome::Cancel(service.cancel(key, run).await?)),
            Command::Model(model) => {
                let model = model.map(Text::into_string);
                service.set_model(key, model.as_deref()).await?;
                let allowed_models = service.settings.agent.allowed_models.clone();
                let chosen = ModelChosen {
                    model,
                    allowed_models,
                };
                ("The session's model", Outcome::Model(chosen))
            }
            other => return self.queue_or_inbox(other, re).await,
        })
    }

    async fn queue_or_inbox(
        &self,
        command: Command,
        re: Option<&ClientName>,
    ) -> Result<(&'static str, Outcome), Refusal> {
        let (service, key) = (&self.service, &self.key);
        Ok(match command {
            Command::Regenerate(message) => {
                let regenerated = service.regenerate(key, message, re, self.parent).await?;
                ("A new answer was asked for", Outcome::Regenerate(regenerated))
            }
            Command::Queue => {
                let queue = items(service.queue(key).await?);
                ("What waits", Outcome::Queue(WaitingList { queue }))
            }
            Command::Unqueue(message) => {
                let unqueued = Unqueued {
                    message_id: message,
                    run_id: service.unqueue(key, message).await?,
                };
                ("Taken out of the queue", Outcome::Unqueue(unqueued))
            }
            Command::Inbox(limit) => {
                let pending = service
                    .inbox(&key.user_id, &[], limit.unwrap_or(client::MAX_PAGE))
                    .await?;
                let notifications = items(pending);
                (
                    "Your notifications",
                    Outcome::Inbox(NotificationList { notifications }),
                )
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

fn help() -> CommandList {
    let commands = COMMANDS
        .iter()
        .map(|&(name, description)| CommandHelp { name, description });
    CommandList {
        commands: commands.collect(),
    }
}
