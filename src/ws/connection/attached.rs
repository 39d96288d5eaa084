//! Being in a session: how a connection gets in, and its `welcome`.

use std::sync::Arc;

use super::{Connection, End};
use crate::auth::{AuthError, Principal};
use crate::feed::Opened;
use crate::ids::{ClientName, Seq};
use crate::notify::room::Room;
use crate::protocol::VERSION;
use crate::protocol::client::SessionRef;
use crate::protocol::close::CloseReason;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{
    AuthDone, Authenticated, Notification, Reconnect, ServerFrame, Status, Welcome,
};
use crate::protocol::text::Timestamp;
use crate::service::CatchUp;
use crate::session::replay::{Cursor, Step};
use crate::store::sessions::Mail;
use crate::ws::dialect::Dialect;
use crate::ws::frames::welcome_text;

/// How clients should come back after a cut: full jitter between half a second and half a minute.
const RECONNECT: Reconnect = Reconnect {
    base_ms: 500,
    max_ms: 30_000,
    jitter_ms: 500,
};

/// A connection's session and its place in it.
#[derive(Debug)]
pub(super) struct Attached {
    room: Arc<Room>,
    cursor: Cursor,
    head: Seq,
    /// What was sent to catch up, counted until the connection is live: messages, and bytes of their text.
    replayed: (u64, u64),
    resumed: bool,
    /// Whether notifications may wait, from when the session was opened: the user was in the hub by then, so what came since is
    /// in the mailbox.
    mail: Mail,
}

impl Attached {
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    pub(super) fn next(&mut self) -> Step {
        self.room.next(&mut self.cursor)
    }

    pub(super) fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }

    /// Whether the catch-up is over.
    pub(super) fn is_live(&self) -> bool {
        self.cursor.is_live()
    }

    /// The last message that was sent.
    pub(super) fn sent(&self) -> Seq {
        self.cursor.sent()
    }

    /// A message was sent to catch up.
    pub(super) fn replayed(&mut self, bytes: usize) {
        let (messages, total) = self.replayed;
        self.replayed = (messages + 1, total + bytes as u64);
    }

    /// What was sent to catch up, of a session that the client came back to.
    pub(super) fn caught_up(&self) -> Option<(u64, u64)> {
        self.resumed.then_some(self.replayed)
    }

    /// Whether notifications may wait that came before the session was opened.
    pub(super) fn may_have_mail(&self) -> bool {
        self.mail == Mail::Perhaps
    }

    /// What `welcome` promised.
    pub(super) fn head(&self) -> Seq {
        self.head
    }
}

impl Connection {
    /// Enters a session: from here on this connection sees its room. Sends `welcome`; the loop does the rest.
    pub(super) async fn attach(&mut self, opened: Opened, after: Option<i64>) -> Result<(), End> {
        let Some(principal) = self.principal.clone() else {
            return Err(End::Close(CloseReason::InternalError));
        };
        let room = opened.room;
        // Enter first, then take the head: what comes after the head rings the mailbox.
        let now = self.service.now();
        self.seat
            .enter_room(Arc::clone(&room), self.offer.device.clone(), now);
        if room.is_deleted() {
            return Err(End::Close(CloseReason::NoSuchSession));
        }
        let catch_up = match self.service.catch_up(&room, after).await {
            Ok(catch_up) => catch_up,
            Err(refusal) => {
                self.refuse(refusal, None).await?;
                return Err(End::Close(CloseReason::InternalError));
            }
        };
        let head = catch_up.head;
        self.service
            .metrics
            .sockets
            .found(found(opened.resumed, &catch_up));
        let session_id = room.key().session_id;
        let socket = &self.service.settings.socket;
        let welcome = Welcome {
            content: welcome_text(session_id).into(),
            timestamp: self.service.now(),
            session_id,
            resumed: opened.resumed,
            head,
            first_available: if head == Seq::START {
                Seq::START
            } else {
                room.first()
            },
            connection_id: self.seat.connection(),
            user_id: principal.user_id.as_str().to_owned().into(),
            protocol: VERSION,
            heartbeat_ms: u64::try_from(socket.heartbeat.as_millis()).unwrap_or(u64::MAX),
            max_message_bytes: socket.max_message_bytes,
            token_expires_at: Timestamp(principal.expires_at),
            reconnect: RECONNECT,
            gap: catch_up.gap,
        };
        self.accepted.clear();
        self.delivered.forget();
        self.attached = Some(Attached {
            room,
            cursor: Cursor::new(catch_up.start, head),
            head,
            replayed: (0, 0),
            resumed: opened.resumed,
            mail: opened.mail,
        });
        self.send(ServerFrame::Notification(Notification::Welcome(Box::new(
            welcome,
        ))))
        .await
    }

    /// A token was checked: it opens the conversation, or renews it.
    pub(super) async fn on_authenticated(
        &mut self,
        re: Option<ClientName>,
        outcome: Result<Principal, AuthError>,
        session: Option<SessionRef>,
        after: Option<i64>,
    ) -> Result<(), End> {
        let principal = match outcome {
            Ok(principal) => principal,
            Err(error) => {
                self.offer.record_auth_failure(&self.service, error);
                let refusal = self.service.refuse_token(error);
                let reason = close_for(&refusal);
                self.refuse(refusal, re).await?;
                let open = self.conversation.is_open();
                return if open { Ok(()) } else { Err(End::Close(reason)) };
            }
        };
        if self
            .principal
            .as_ref()
            .is_some_and(|before| before.user_id != principal.user_id)
        {
            self.refuse(
                Refusal::new(ErrorCode::Forbidden, "The token is another user's"),
                re,
            )
            .await?;
            return Err(End::Close(CloseReason::IdentityChanged));
        }
        let renewal = self.conversation.is_open();
        self.conversation.authenticated(
            self.service.lifetime(principal.expires_at),
            std::time::Instant::now(),
        );
        self.take_principal(principal.clone());
        // What the frame says wins over what the URL said.
        let wanted = session.or(self.offer.session);
        let latest = wanted == Some(SessionRef::Latest);
        let after = if latest { None } else { after.or(self.offer.after) };
        let opened = if renewal {
            None
        } else {
            self.enter_as(&principal, wanted, after, re.clone()).await?
        };
        let frame = ServerFrame::Status(Status::Auth(AuthDone {
            content: "Authenticated".into(),
            timestamp: self.service.now(),
            re,
            expires_at: Timestamp(principal.expires_at),
            data: Authenticated {
                user_id: principal.user_id.clone(),
                expires_at: Timestamp(principal.expires_at),
            },
        }));
        self.send(frame).await?;
        let Some(opened) = opened else {
            return Ok(());
        };
        self.attach(opened, after).await
    }

    /// Takes the user's place, and opens the session that is wanted where the client's dialect names it here.
    async fn enter_as(
        &mut self,
        principal: &Principal,
        wanted: Option<SessionRef>,
        after: Option<i64>,
        re: Option<ClientName>,
    ) -> Result<Option<Opened>, End> {
        if !self
            .seat
            .enter_user(&principal.user_id, self.service.max_connections())
        {
            self.refuse(self.service.too_many_connections(), re).await?;
            return Err(End::Close(CloseReason::TooManyConnections));
        }
        if self.offer.dialect == Dialect::AiSdk {
            return Ok(None);
        }
        match self.service.open(&principal.user_id, wanted, after).await {
            Ok(opened) => Ok(Some(opened)),
            Err(refusal) => {
                let reason = close_for(&refusal);
                self.refuse(refusal, re).await?;
                Err(End::Close(reason))
            }
        }
    }
}

/// How a connection found its session, as one of [`RESUMES`](crate::metrics::RESUMES).
fn found(resumed: bool, catch_up: &CatchUp) -> &'static str {
    match (resumed, catch_up.gap) {
        (false, _) => "new",
        (true, Some(_)) => "gap",
        (true, None) if catch_up.start == catch_up.head => "current",
        (true, None) => "replayed",
    }
}

/// The close code where a session could not be opened.
pub(in crate::ws) fn close_for(refusal: &Refusal) -> CloseReason {
    match refusal.code {
        ErrorCode::NotFound => CloseReason::NoSuchSession,
        ErrorCode::QuotaExceeded => CloseReason::TooManyConnections,
        ErrorCode::RateLimited => CloseReason::Flooding,
        ErrorCode::Unauthorized => CloseReason::Unauthorized,
        _ => CloseReason::Overloaded,
    }
}
