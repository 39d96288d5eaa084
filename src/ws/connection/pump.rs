//! Brings out everything that the session and the mailbox have and the client has not.
//!
//! Takes one step of `session::replay` at a time until there is none; a message becomes its frames here, in the order that
//! the contract promises.

use std::sync::Arc;
use std::time::Instant;

use super::attached::Attached;
use super::{Connection, End};
use crate::feed::pushed;
use crate::ids::{NotificationId, SessionId};
use crate::log::{Message, Role};
use crate::notify::mailbox::{Broadcast, Mail, Signal};
use crate::protocol::close::CloseReason;
use crate::protocol::error::ErrorCode;
use crate::protocol::server::{
    Cleared, Live, Notification, Pushed, ServerFrame, SessionChanged, Status, Thinking,
};
use crate::session::replay::{Entry, Step};
use crate::ws::frames;

/// Notifications sent before `live`, and at a time after it.
const NOTIFICATIONS_AT_ONCE: u32 = 200;

/// Steps before the loop looks at the other things that may have happened.
const STEPS: usize = 64;

impl Connection {
    /// Brings out what there is. Comes back when there is nothing more, or after a fair share.
    pub(super) async fn pump(&mut self) -> Result<(), End> {
        for _ in 0..STEPS {
            if !self.step().await? {
                return self.socket.flush().await;
            }
        }
        self.seat.mailbox().ring();
        self.socket.flush().await
    }

    /// One step. `false` when there is nothing more.
    async fn step(&mut self) -> Result<bool, End> {
        let Some(attached) = &mut self.attached else {
            return self.mail().await;
        };
        let session = attached.room().key().session_id;
        let replay = !attached.is_live();
        match attached.next() {
            Step::Idle => self.mail().await,
            Step::Message(message) => self.message(&message).await,
            Step::Read { after, upto } => Box::pin(self.read(after, upto)).await,
            Step::Thinking {
                run_id,
                in_reply_to,
                message_id,
                started_at,
            } => {
                let thinking = Thinking {
                    content: "Thinking...".into(),
                    timestamp: started_at,
                    session_id: session,
                    run_id,
                    in_reply_to,
                    message_id,
                    replay,
                };
                self.conversation.on_activity(Instant::now());
                self.send(frames::thinking(thinking)).await.map(|()| true)
            }
            Step::Delta(part) => {
                let frame = frames::delta(session, part, replay, self.service.now());
                self.send(frame).await.map(|()| true)
            }
            Step::CaughtUp => Box::pin(self.caught_up(session)).await.map(|()| true),
        }
    }

    /// Reads what the room's memory does not hold.
    async fn read(&mut self, after: crate::ids::Seq, upto: crate::ids::Seq) -> Result<bool, End> {
        let Some(attached) = &self.attached else {
            return Ok(false);
        };
        let key = attached.room().key().clone();
        let Ok(page) = self.service.feed.read(&key, after, upto).await else {
            // The database is away: the client comes back and resumes where it is.
            return Err(End::Close(CloseReason::Overloaded));
        };
        if page.is_empty() {
            // Nothing there: the session is gone, or retention was quicker than this catch-up, and the next one knows.
            let reason = match self.service.find(&key).await {
                Err(refusal) if refusal.code == ErrorCode::NotFound => CloseReason::SessionDeleted,
                _ => CloseReason::Overloaded,
            };
            return Err(End::Close(reason));
        }
        for message in page {
            if !self.message(&Arc::new(message)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends a message of the log. `false` when it must wait for the reply to this connection's own query.
    async fn message(&mut self, message: &Arc<Message>) -> Result<bool, End> {
        if self.asking == Some(message.message_id) {
            return Ok(false);
        }
        let frame = {
            let Some(attached) = &mut self.attached else {
                return Ok(false);
            };
            let entry = attached.cursor().entry(message);
            let replay = entry.replay;
            if replay {
                attached.replayed(message.content.len());
            }
            self.conversation.on_activity(Instant::now());
            if let Some(accepted) = self.own_query(message) {
                accepted
            } else {
                if message.role == Role::Assistant && !replay {
                    Box::pin(self.before_response(message, entry)).await?;
                }
                frames::message(message, replay)
            }
        };
        self.send(frame).await.map(|()| true)
    }

    /// The reply to this connection's own query, if the message is one that was not sent yet.
    fn own_query(&mut self, message: &Message) -> Option<ServerFrame<'static>> {
        let index = self
            .accepted
            .iter()
            .position(|(own, _)| own.message_id == message.message_id)?;
        let (own, re) = self.accepted.remove(index);
        Some(frames::accepted(message.session_id, re, &own))
    }

    /// What precedes a live response: `thinking` and the rest of the text where they were not sent, and the failure.
    async fn before_response(&mut self, message: &Message, entry: Entry) -> Result<(), End> {
        if let (true, Some(run_id), Some(in_reply_to)) = (entry.thinking, message.run_id, message.in_reply_to)
        {
            let thinking = Thinking {
                content: "Thinking...".into(),
                timestamp: message.created_at,
                session_id: message.session_id,
                run_id,
                in_reply_to,
                message_id: message.message_id,
                replay: false,
            };
            self.send(frames::thinking(thinking)).await?;
        }
        if let Some(part) = entry.rest {
            let frame = frames::delta(message.session_id, part, false, self.service.now());
            self.send(frame).await?;
        }
        if let Some(error) = frames::run_error(message) {
            self.send(error).await?;
        }
        Ok(())
    }

    /// The catch-up is over: pending notifications, then `live`.
    async fn caught_up(&mut self, session_id: SessionId) -> Result<(), End> {
        if self.attached.as_ref().is_none_or(Attached::may_have_mail) {
            self.pending_notifications().await?;
        }
        let Some(attached) = &mut self.attached else {
            return Ok(());
        };
        attached.cursor().set_live();
        if let Some((messages, bytes)) = attached.caught_up() {
            self.service.metrics.sockets.caught_up(messages, bytes);
        }
        let head = attached.head();
        let frame = ServerFrame::Status(Status::Live(Live {
            content: "Live".into(),
            timestamp: self.service.now(),
            session_id,
            head,
        }));
        self.send(frame).await
    }

    /// Sends pending notifications that this connection has not sent yet, a share of them at a time; and after the last share
    /// says which of those sent before are pending no more, since that may be what was lost.
    async fn pending_notifications(&mut self) -> Result<(), End> {
        let Some(principal) = &self.principal else {
            return Ok(());
        };
        let user = principal.user_id.clone();
        let sent = self.delivered.ids();
        if !self.delivered.is_full() {
            let Ok(rows) = self.service.inbox(&user, &sent, NOTIFICATIONS_AT_ONCE).await else {
                return Err(End::Close(CloseReason::Overloaded));
            };
            let replay = self.attached.as_ref().is_some_and(|attached| !attached.is_live());
            let more = rows.len() >= NOTIFICATIONS_AT_ONCE as usize;
            for row in rows {
                let mut notification = pushed(row);
                notification.replay = replay;
                self.notification(notification).await?;
            }
            if more {
                self.seat.mailbox().mark_lost();
                return Ok(());
            }
        }
        if sent.is_empty() {
            return Ok(());
        }
        match self.service.settled(&user, &sent).await {
            Ok(settled) => self.cleared(&settled).await,
            Err(_) => Err(End::Close(CloseReason::Overloaded)),
        }
    }

    async fn notification(&mut self, notification: Pushed<'static>) -> Result<(), End> {
        if !self.delivered.insert(notification.notification_id) {
            return Ok(());
        }
        self.send(ServerFrame::notification(notification)).await
    }

    async fn broadcast(&mut self, broadcast: &Broadcast) -> Result<(), End> {
        if !self.delivered.insert(broadcast.pushed.notification_id) {
            return Ok(());
        }
        let written = self.speech.write_broadcast(broadcast);
        self.send_written(written).await
    }

    /// A request was answered: was it an acknowledgement, then of these.
    pub(super) async fn acknowledged(&mut self, own: &[NotificationId]) -> Result<(), End> {
        let was_full = self.delivered.is_full();
        let others = self.delivered.answered(own);
        self.tell_cleared(others, was_full).await
    }

    /// Forgets what is acknowledged, and tells the client of it.
    async fn cleared(&mut self, ids: &[NotificationId]) -> Result<(), End> {
        let was_full = self.delivered.is_full();
        let ids = self.delivered.cleared(ids);
        self.tell_cleared(ids, was_full).await
    }

    async fn tell_cleared(
        &mut self,
        notification_ids: Vec<NotificationId>,
        was_full: bool,
    ) -> Result<(), End> {
        if was_full && !self.delivered.is_full() {
            // There may be more, which had to wait for this.
            self.seat.mailbox().mark_lost();
        }
        if notification_ids.is_empty() {
            return Ok(());
        }
        let cleared = Cleared {
            content: "Acknowledged on another device".into(),
            timestamp: self.service.now(),
            notification_ids,
        };
        self.send(ServerFrame::Notification(Notification::Cleared(cleared)))
            .await
    }

    /// Takes something out of the mailbox. `false` when it is empty.
    async fn mail(&mut self) -> Result<bool, End> {
        match self.seat.mailbox().take() {
            Mail::Empty => Ok(false),
            Mail::Close(reason) => Err(End::Close(reason)),
            // A share at a time: whatever else happened, a frame or the end of the server, has its turn in between.
            Mail::Lost => Box::pin(self.pending_notifications()).await.map(|()| false),
            Mail::Signal(signal) => Box::pin(self.signal(signal)).await.map(|()| true),
        }
    }

    async fn signal(&mut self, signal: Signal) -> Result<(), End> {
        let timestamp = self.service.now();
        let Some(session_id) = self
            .attached
            .as_ref()
            .map(|attached| attached.room().key().session_id)
        else {
            return Ok(());
        };
        match signal {
            Signal::Notification(broadcast) => self.broadcast(&broadcast).await,
            Signal::Cleared(ids) => self.cleared(&ids).await,
            Signal::Renamed(title) => {
                let changed = SessionChanged {
                    content: "The session was renamed".into(),
                    timestamp,
                    session_id,
                    title: title.map(|title| title.to_string().into()),
                    deleted: false,
                };
                self.send(ServerFrame::Status(Status::Session(changed))).await
            }
            Signal::Run {
                run_id,
                state,
                attempt,
            } => {
                self.send(frames::run_changed(session_id, run_id, state, attempt, timestamp))
                    .await
            }
        }
    }
}
