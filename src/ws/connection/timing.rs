//! What time brings a connection: heartbeats, warnings, the drain, and closes with their explanation.

use std::time::{Duration, Instant};

use rand::Rng;

use super::{Connection, End};
use crate::protocol::close::CloseReason;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{Draining, Live, Notification, Plain, ServerFrame, Status, TokenExpiring};
use crate::protocol::text::Timestamp;
use crate::session::{Activity, Due};
use crate::ws::keepalive::Due as Alive;

impl Connection {
    pub(super) async fn on_time(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.drain_until.is_some_and(|until| now >= until) {
            return Err(End::Close(CloseReason::Restarting));
        }
        if self.attached.as_ref().is_some_and(|attached| !attached.is_live()) {
            // Nothing is read during the catch-up; that the client takes it in is its sign of life.
            self.keepalive.received(now);
        }
        match self.keepalive.due(now) {
            Alive::Nothing => {}
            Alive::Dead => return Err(End::Close(CloseReason::Silent)),
            Alive::Speak => self.heartbeat(now).await?,
        }
        let busy =
            self.drain_until.is_some() || self.attached.as_ref().is_some_and(|a| a.room().is_answering());
        let activity = if busy { Activity::Busy } else { Activity::Quiet };
        while let Some(due) = self.conversation.due(activity, now) {
            match due {
                Due::WarnExpiry => self.warn_expiry().await?,
                Due::Close(reason) => {
                    self.explain(reason).await?;
                    return Err(End::Close(reason));
                }
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self, now: Instant) -> Result<(), End> {
        let quiet = self.keepalive.is_quiet(now);
        self.socket.feed_ping().await?;
        self.keepalive.pinged(now);
        if quiet
            && self.offer.speaks_protocol
            && let Some(attached) = &self.attached
        {
            let frame = ServerFrame::Status(Status::Heartbeat(Live {
                content: "Still here".into(),
                timestamp: self.service.now(),
                session_id: attached.room().key().session_id,
                head: attached.sent(),
            }));
            self.send(frame).await?;
        }
        // A ping ends the silence only for those who hear pings: a frame that is due soon must not be put off by it.
        if quiet {
            self.keepalive.sent(now);
        }
        self.socket.flush().await
    }

    /// Says why, where the close code alone would not do.
    async fn explain(&mut self, reason: CloseReason) -> Result<(), End> {
        let timestamp = self.service.now();
        match reason {
            CloseReason::SessionTimeout => {
                let content = "Session closed due to inactivity".into();
                let frame = ServerFrame::Notification(Notification::Timeout(Plain { content, timestamp }));
                self.send(frame).await
            }
            CloseReason::Unauthorized => {
                let refusal = Refusal::new(ErrorCode::Unauthorized, "No token in time");
                self.refuse(refusal, None).await
            }
            CloseReason::TokenExpired => {
                let refusal = Refusal::new(ErrorCode::Unauthorized, "The token expired");
                self.refuse(refusal, None).await
            }
            _ => Ok(()),
        }
    }

    async fn warn_expiry(&mut self) -> Result<(), End> {
        let Some(principal) = &self.principal else {
            return Ok(());
        };
        let frame = ServerFrame::Status(Status::TokenExpiring(TokenExpiring {
            content: "The token expires soon; send `auth` with a new one".into(),
            timestamp: self.service.now(),
            expires_at: Timestamp(principal.expires_at),
        }));
        self.send(frame).await
    }

    /// Tells at once that the server restarts; the close comes at a moment of this connection's own, so that not all
    /// clients come back together.
    pub(super) async fn on_drain(&mut self) -> Result<(), End> {
        let window = self.service.settings.server.drain;
        let wait = rand::rng().random_range(Duration::ZERO..=window.mul_f64(0.9));
        self.drain_until = Some(Instant::now() + wait);
        let frame = ServerFrame::Status(Status::Draining(Draining {
            content: "The server restarts; come back soon".into(),
            timestamp: self.service.now(),
            retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        }));
        self.send(frame).await
    }
}
