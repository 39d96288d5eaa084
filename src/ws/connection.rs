//! One socket's task: everything that reaches a client, and everything that it says, goes through this loop.
//!
//! ```text
//!   mailbox rings ─┐                       ┌─► pump: what the session has that this client has not, then flush
//!   frame in ──────┤                       │
//!   reply ready ───┼─► one turn of the loop ┤
//!   time ──────────┤                       │
//!   drain, stop ───┘                       └─► the end: leave, close with a code, one line in the log
//! ```
//!
//! One request is carried out at a time, beside the loop, so that text flows while the database works; no frame is read
//! meanwhile, which is the back-pressure. The loop executes decisions of `session` and `session::replay`; it makes none.

mod attached;
mod delivered;
mod ending;
mod pump;
mod revoked;
mod timing;
mod waits;

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::yield_now;
use tokio::time::sleep_until;

use super::commands::{Asker, Reply};
use super::dialect::{Dialect, Speech, Written};
use super::keepalive::Keepalive;
use super::seat::Seat;
use super::socket::{End, Received, Socket};
use crate::auth::{AuthError, Principal};
use crate::feed::Opened;
use crate::http::meter::InboundBytes;
use crate::ids::{ClientName, MessageId, SessionId, SessionKey};
use crate::limits::FrameMeter;
use crate::notify::turnstile::Turnstile;
use crate::protocol::client::{self, BadFrame, ClientFrame, Command, SessionRef};
use crate::protocol::close::CloseReason;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{ErrorFrame, ServerFrame};
use crate::service::Service;
use crate::session::{Conversation, Decision, Rules};
use crate::store::append::Accepted;
use attached::Attached;
pub(super) use attached::close_for;
use delivered::Delivered;
use waits::{IN_A_ROW, Waits};

type Work = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// What a client offered at its handshake.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    /// Where it comes from.
    pub(super) address: Option<IpAddr>,
    /// What has come in from it.
    pub(super) inbound: InboundBytes,
    /// In which words it speaks.
    pub(super) dialect: Dialect,
    /// It offered the dialect's sub-protocol: it is told by frames and close codes what a browser cannot see otherwise.
    pub(super) speaks_protocol: bool,
    /// The name of its device.
    pub(super) device: Option<ClientName>,
    /// The session that it wants.
    pub(super) session: Option<SessionRef>,
    /// Its cursor.
    pub(super) after: Option<i64>,
    /// The trace that its runs belong to.
    pub(super) parent: Option<crate::trace::Parent>,
}

impl Offer {
    /// Counts a token that was refused, wherever the client showed it: in the handshake or in a frame.
    pub(super) fn record_auth_failure(&self, service: &Service, error: AuthError) {
        if let Some(address) = self.address.filter(|_| !error.is_retryable()) {
            // The answer is the same whether or not this was the failure that spent the budget.
            let _ = service.limiter.record_auth_failure(address);
        }
    }
}

/// One socket.
pub(super) struct Connection {
    service: Arc<Service>,
    socket: Socket,
    speech: Speech,
    seat: Seat,
    offer: Offer,
    conversation: Conversation,
    keepalive: Keepalive,
    meter: FrameMeter,
    principal: Option<Principal>,
    /// Against which version of what was revoked the principal was checked.
    revocations_seen: u64,
    attached: Option<Attached>,
    /// The request being carried out.
    work: Option<Work>,
    /// The query being stored, by its message: its entry in the log waits for the reply.
    asking: Option<MessageId>,
    /// Queries of this connection that are stored and not sent yet.
    accepted: Vec<(Accepted, Option<ClientName>)>,
    delivered: Delivered,
    drain_until: Option<Instant>,
    began: Instant,
    frames_in: u64,
    frames_out: u64,
}

impl Connection {
    /// A connection whose token was not shown yet.
    pub(super) fn awaiting_auth(service: Arc<Service>, socket: Socket, seat: Seat, offer: Offer) -> Self {
        let now = Instant::now();
        let settings = &service.settings.socket;
        let conversation = Conversation::awaiting_auth(rules(&service), settings.auth_timeout, now);
        let keepalive = Keepalive::new(settings.heartbeat, now);
        let meter = FrameMeter::new(&service.settings.limits, now);
        Self {
            service,
            socket,
            speech: Speech::new(offer.dialect),
            seat,
            offer,
            conversation,
            keepalive,
            meter,
            principal: None,
            revocations_seen: 0,
            attached: None,
            work: None,
            asking: None,
            accepted: Vec::new(),
            delivered: Delivered::default(),
            drain_until: None,
            began: now,
            frames_in: 0,
            frames_out: 0,
        }
    }

    /// The same with a token that was checked at the handshake.
    pub(super) fn authenticated(mut self, principal: Principal) -> Self {
        let lifetime = self.service.lifetime(principal.expires_at);
        self.conversation = Conversation::open(rules(&self.service), lifetime, Instant::now());
        self.take_principal(principal);
        self
    }

    /// Serves the socket to its end. `opened`: the session, if the client named one at the handshake.
    ///
    /// What this future can be in the middle of, a connection keeps room for as long as it lasts. So what is rare, or happens
    /// once, is boxed here and below: an idle connection took 17.8 KiB before, and 11.8 after (the rest: `READ_BUFFER_BYTES`).
    pub(super) async fn run(mut self: Box<Self>, opened: Option<Opened>) {
        let end = self.serve(opened).await;
        Box::pin(self.finish(end)).await;
    }

    async fn serve(&mut self, opened: Option<Opened>) -> End {
        if let Some(opened) = opened {
            let latest = self.offer.session == Some(SessionRef::Latest);
            let after = if latest { None } else { self.offer.after };
            if let Err(end) = Box::pin(self.attach(opened, after)).await {
                return end;
            }
        }
        let tasks = self.service.tasks.clone();
        let alarm = pin!(sleep_until(self.next_deadline().into()));
        let drained = pin!(tasks.drain().cancelled());
        let stopped = pin!(tasks.stop().cancelled());
        let mut waits = Waits {
            alarm,
            drained,
            stopped,
        };
        loop {
            if let Err(end) = self.turn(&mut waits).await {
                return end;
            }
        }
    }

    /// Brings out what there is, waits for the next thing, and deals with it.
    async fn turn(&mut self, waits: &mut Waits<'_, '_>) -> Result<(), End> {
        self.check_revoked().await?;
        self.pump().await?;
        let reads = self.work.is_none() && self.attached.as_ref().is_none_or(Attached::is_live);
        if reads && let Some(frame) = self.speech.next() {
            return Box::pin(self.on_frame(Ok(frame))).await;
        }
        waits.until(self.next_deadline());
        tokio::select! {
            heard_after = self.seat.mailbox().rung() => {
                // Whoever rang may have more to say: what can run now goes first, of a crowd's a few at a time, and then all of it
                // goes out in one write. An idle process comes back at once; a busy one, where a write a token was two thirds of the
                // CPU time, sent twice as many tokens a second. Who was told nothing just now need not wait for more.
                if Turnstile::is_for(heard_after) {
                    Box::pin(self.service.turnstile.pass()).await;
                } else if self.keepalive.sent_within(IN_A_ROW, Instant::now()) {
                    yield_now().await;
                }
                Ok(())
            }
            received = self.socket.receive(), if reads => {
                self.check_revoked().await?;
                self.on_received(received?).await
            }
            reply = carry_on(&mut self.work) => {
                self.work = None;
                Box::pin(self.on_reply(reply)).await
            }
            () = &mut waits.alarm => Box::pin(self.on_time()).await,
            () = &mut waits.drained, if self.drain_until.is_none() => Box::pin(self.on_drain()).await,
            () = &mut waits.stopped => Err(End::Close(CloseReason::Restarting)),
        }
    }

    fn next_deadline(&self) -> Instant {
        let due = self.conversation.next_due().min(self.keepalive.next());
        self.drain_until.map_or(due, |drain| due.min(drain))
    }

    /// Sends a frame; it goes out with the next flush.
    ///
    /// It is text before anything waits: a frame that was lent to what waits had its room in the future of every connection, and
    /// an idle one took 9.3 KiB, with the timer of a write that waits. It takes 8.8 now.
    #[expect(clippy::needless_pass_by_value, reason = "so that no caller keeps it")]
    fn send<'c>(&'c mut self, frame: ServerFrame<'_>) -> impl Future<Output = Result<(), End>> + use<'c> {
        let written = self.speech.write(&frame);
        self.send_written(written)
    }

    /// Sends what was written of one frame.
    async fn send_written(&mut self, written: Written) -> Result<(), End> {
        self.frames_out += 1;
        self.service.metrics.sockets.sent();
        self.keepalive.sent(Instant::now());
        match written {
            Written::One(text) => self.socket.feed_text(text).await,
            Written::Many(texts) => Box::pin(self.send_all(texts)).await,
        }
    }

    async fn send_all(&mut self, texts: Vec<String>) -> Result<(), End> {
        for text in texts {
            self.socket.feed_text(text).await?;
        }
        Ok(())
    }

    async fn on_received(&mut self, received: Received) -> Result<(), End> {
        let now = Instant::now();
        self.keepalive.received(now);
        if let Err(limit) = self.meter.check(now) {
            let refusal = self.service.limited(&limit);
            return Box::pin(self.turn_away(refusal)).await;
        }
        let text = match received {
            Received::Text(text) => text,
            Received::Binary(_) => return Err(End::Close(CloseReason::BinaryFrame)),
            Received::Life => return Ok(()),
            Received::Unfinished => {
                let refusal = Refusal::new(ErrorCode::RateLimited, "A message did not end in time");
                return Box::pin(self.turn_away(refusal)).await;
            }
        };
        self.frames_in += 1;
        self.service.metrics.sockets.received();
        let Some(frame) = self.speech.read(&text).transpose() else {
            return Ok(());
        };
        Box::pin(self.on_frame(frame)).await
    }

    async fn on_frame(&mut self, frame: Result<ClientFrame, BadFrame>) -> Result<(), End> {
        match self.conversation.on_frame(frame, Instant::now()) {
            Decision::Carry(frame) => self.start(frame),
            Decision::Authenticate(re, auth) => self.authenticate(re, auth),
            Decision::Refuse(bad) => Box::pin(self.refuse(bad.refusal, bad.re)).await?,
            Decision::RefuseAndClose(bad, reason) => {
                Box::pin(self.refuse(bad.refusal, bad.re)).await?;
                return Err(End::Close(reason));
            }
        }
        Ok(())
    }

    /// Tells a flooding client what was too much, and ends it.
    async fn turn_away(&mut self, refusal: Refusal) -> Result<(), End> {
        self.refuse(refusal, None).await?;
        Err(End::Close(CloseReason::Flooding))
    }

    async fn refuse(&mut self, refusal: Refusal, re: Option<ClientName>) -> Result<(), End> {
        let frame = ServerFrame::Error(ErrorFrame::of(refusal, re, self.service.now()));
        self.send(frame).await
    }

    fn start(&mut self, frame: ClientFrame) {
        if matches!(frame, ClientFrame::Command(_, Command::Ack(_))) {
            self.delivered.hold();
        }
        let Some(key) = self.key() else {
            return;
        };
        let asker = Asker {
            service: Arc::clone(&self.service),
            connection: self.seat.connection(),
            key,
            parent: self.offer.parent,
        };
        self.work = Some(match frame {
            ClientFrame::Query(query) => {
                let message_id = MessageId::new();
                self.asking = Some(message_id);
                Box::pin(asker.ask(message_id, query))
            }
            other => Box::pin(asker.carry_out(other)),
        });
    }

    /// In whose name a request is carried out, and in which session. Before a connection is in one it asks only for a session,
    /// and is in one that nobody has.
    fn key(&self) -> Option<SessionKey> {
        match &self.attached {
            Some(attached) => Some(attached.room().key().clone()),
            None => self.principal.as_ref().map(|principal| SessionKey {
                user_id: principal.user_id.clone(),
                session_id: SessionId(uuid::Uuid::nil()),
            }),
        }
    }

    fn authenticate(&mut self, re: Option<ClientName>, auth: client::Auth) {
        let service = Arc::clone(&self.service);
        self.work = Some(Box::pin(async move {
            let outcome = service.auth.verify(auth.token.as_str()).await;
            Reply::Authenticated {
                re,
                outcome,
                session: auth.session_id,
                after: auth.after,
            }
        }));
    }

    async fn on_reply(&mut self, reply: Reply) -> Result<(), End> {
        self.asking = None;
        match reply {
            Reply::Asked(accepted, re) => {
                self.accepted.push((accepted, re));
                Ok(())
            }
            Reply::Frames(list) => {
                for frame in list {
                    self.send(frame).await?;
                }
                // Had it been an acknowledgement, it has failed.
                self.acknowledged(&[]).await
            }
            Reply::Acknowledged { done, ids } => {
                self.send(done).await?;
                self.acknowledged(&ids).await
            }
            Reply::Switch { done, opened, after } => {
                self.send(done).await?;
                self.attach(opened, after).await
            }
            Reply::DeletedOwn(done) => {
                self.send(done).await?;
                Err(End::Close(CloseReason::SessionDeleted))
            }
            Reply::Authenticated {
                re,
                outcome,
                session,
                after,
            } => self.on_authenticated(re, outcome, session, after).await,
        }
    }
}

fn rules(service: &Service) -> Rules {
    Rules {
        session_timeout: service.settings.socket.session_timeout,
        expiry_warning: service.settings.socket.token_expiry_warning,
    }
}

/// Goes on with the request being carried out; waits for ever where there is none.
async fn carry_on(work: &mut Option<Work>) -> Reply {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
