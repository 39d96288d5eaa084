//! What a client holds of a session, and what each frame means for it: the contract's rules of order and resume, without I/O.
//!
//! Owns the cursor, the texts being written, and what was sent and not answered. Refuses to show anything twice, and says
//! when it has missed something. `connection` feeds it frames and asks it what to send.

use std::collections::{HashMap, HashSet, VecDeque};

use super::OutboxFull;
use super::frames::{Accepted, Delta, Done, Frame, Notification, Query, Response, Welcome};
use super::news::{News, Shown, Start, Then};
use super::says::Outgoing;
use crate::ids::{MessageId, NotificationId, Seq, SessionId};
use crate::protocol::text::sha256_hex;

/// The most frames that may wait for an answer.
const MAX_OUTBOX: usize = 64;

/// The most notifications that are remembered against repeats.
const MAX_SEEN: usize = 4096;

#[derive(Debug, Default)]
struct Draft {
    attempt: u32,
    units: Vec<u16>,
}

/// The client's copy.
#[derive(Debug)]
pub struct Replica {
    start: Start,
    session: Option<SessionId>,
    /// The last `seq` applied; `None`: whatever the server sends first.
    cursor: Option<Seq>,
    drafts: HashMap<MessageId, Draft>,
    outbox: VecDeque<Outgoing>,
    /// How many of the outbox were sent on this connection.
    sent: usize,
    live: bool,
    seen: HashSet<NotificationId>,
}

impl Replica {
    /// A client that holds nothing.
    pub fn new(start: Start) -> Self {
        Self {
            start,
            session: None,
            cursor: None,
            drafts: HashMap::new(),
            outbox: VecDeque::new(),
            sent: 0,
            live: false,
            seen: HashSet::new(),
        }
    }

    /// The query part of the address at which to connect, which begins with `?`, or nothing.
    pub fn resume_from(&self) -> String {
        match (self.session, self.cursor, self.start) {
            (Some(session), Some(after), _) => format!("?session_id={session}&after={after}"),
            (Some(session), None, _) | (None, _, Start::Session(session)) => {
                format!("?session_id={session}")
            }
            (None, _, Start::Latest) => "?session_id=latest".to_owned(),
            (None, _, Start::New) => String::new(),
        }
    }

    /// Whether the catch-up of this connection is complete.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The session, once it is known.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The last `seq` that was applied.
    pub fn cursor(&self) -> Option<Seq> {
        self.cursor
    }

    /// Takes a frame for sending; it is sent again on each connection until it is answered.
    ///
    /// # Errors
    /// When too many wait already.
    pub fn submit(&mut self, frame: Outgoing) -> Result<(), OutboxFull> {
        if self.outbox.len() >= MAX_OUTBOX {
            return Err(OutboxFull);
        }
        self.outbox.push_back(frame);
        Ok(())
    }

    /// What to send next on this connection. Not before the catch-up is complete: it shows what has arrived.
    pub fn unsent(&self) -> Option<&Outgoing> {
        self.outbox.get(self.sent).filter(|_| self.live)
    }

    /// The frame of [`Self::unsent`] was sent.
    pub fn mark_sent(&mut self) {
        self.sent += 1;
    }

    /// The connection has ended: what was not answered is to be sent again.
    pub fn disconnected(&mut self) {
        self.live = false;
        self.sent = 0;
    }

    /// Applies a frame.
    pub fn apply(&mut self, frame: Frame) -> (Vec<News>, Then) {
        match frame {
            Frame::Welcome(welcome) => (self.welcome(*welcome), Then::Continue),
            Frame::Live => {
                self.live = true;
                told(News::Live)
            }
            Frame::Query(query) => self.query(query),
            Frame::Accepted(accepted) => self.accepted(accepted),
            Frame::Thinking(thinking) => told(News::Thinking(thinking)),
            Frame::Run { state, .. } if state == "queued" => told(News::Requeued),
            Frame::Delta(delta) => self.place(&delta),
            Frame::Response(response) => self.response(response),
            Frame::Notification(notification) => self.notification(notification),
            Frame::Cleared(ids) => told(News::Cleared(ids)),
            Frame::Done(done) => self.done(done),
            Frame::Error(failure) => {
                self.answered(failure.re.as_deref());
                // One that answers no frame is about the connection, and a close follows.
                let then = match (failure.re.as_ref(), failure.run_id, failure.retry_after_ms) {
                    (None, None, Some(after_ms)) => Then::Leave(after_ms),
                    _ => Then::Continue,
                };
                (vec![News::Failed(failure)], then)
            }
            Frame::Session { deleted: true, .. } => told(News::Deleted),
            Frame::Session { title, .. } => told(News::Renamed(title)),
            Frame::Timeout => told(News::Idle),
            Frame::TokenExpiring => (Vec::new(), Then::Renew),
            Frame::Draining { retry_after_ms } => (Vec::new(), Then::Leave(retry_after_ms)),
            Frame::Heartbeat | Frame::Run { .. } | Frame::Unknown => (Vec::new(), Then::Continue),
        }
    }

    fn welcome(&mut self, welcome: Welcome) -> Vec<News> {
        let switched = self.session != Some(welcome.session_id);
        if switched {
            self.change_session(welcome.session_id);
        }
        // A cursor beyond the head belongs to a log that is no more: what is held of it is worth nothing.
        if self.cursor.is_some_and(|cursor| cursor > welcome.head) {
            self.change_session(welcome.session_id);
        }
        if welcome.head == Seq::START {
            self.cursor = Some(Seq::START);
        }
        self.live = false;
        let mut news = vec![News::Opened {
            session_id: welcome.session_id,
            switched,
            resumed: welcome.resumed,
            user_id: welcome.user_id,
        }];
        if let Some(gap) = welcome.gap {
            self.cursor = self.cursor.max(Some(gap.to));
            news.push(News::Gap(gap));
        }
        news
    }

    fn change_session(&mut self, session: SessionId) {
        self.session = Some(session);
        self.cursor = None;
        self.drafts.clear();
    }

    /// Moves the cursor over a message: whether it is new, or `None` if something before it was missed.
    fn advance(&mut self, seq: Seq) -> Option<bool> {
        match self.cursor {
            Some(cursor) if seq <= cursor => Some(false),
            Some(cursor) if seq > cursor.next() => None,
            _ => {
                self.cursor = Some(seq);
                Some(true)
            }
        }
    }

    /// Takes what this answers out of the outbox; whether it was there.
    fn answered(&mut self, re: Option<&str>) -> bool {
        let Some(at) = self.outbox.iter().position(|frame| re == Some(frame.id.as_str())) else {
            return false;
        };
        self.outbox.remove(at);
        if at < self.sent {
            self.sent -= 1;
        }
        true
    }

    fn query(&mut self, query: Query) -> (Vec<News>, Then) {
        match self.advance(query.seq) {
            None => (Vec::new(), Then::Resume),
            Some(false) => (Vec::new(), Then::Continue),
            Some(true) => {
                // One of ours that was stored while the connection broke: this is its receipt.
                self.answered(query.id.as_deref());
                told(News::Asked(query))
            }
        }
    }

    fn accepted(&mut self, accepted: Accepted) -> (Vec<News>, Then) {
        self.answered(accepted.re.as_deref());
        // A repeat stands outside the order.
        if !accepted.duplicate && self.advance(accepted.seq).is_none() {
            return (Vec::new(), Then::Resume);
        }
        told(News::Accepted(accepted))
    }

    fn place(&mut self, delta: &Delta) -> (Vec<News>, Then) {
        let draft = self.drafts.entry(delta.message_id).or_default();
        if delta.attempt < draft.attempt {
            return (Vec::new(), Then::Continue);
        }
        let anew = delta.attempt > draft.attempt && !draft.units.is_empty();
        if delta.attempt > draft.attempt {
            draft.attempt = delta.attempt;
            draft.units.clear();
        }
        let held = draft.units.len();
        let Some(overlap) = usize::try_from(delta.offset)
            .ok()
            .and_then(|offset| held.checked_sub(offset))
        else {
            return (Vec::new(), Then::Resume);
        };
        let units: Vec<u16> = delta.content.encode_utf16().skip(overlap).collect();
        if units.is_empty() && !anew {
            return (Vec::new(), Then::Continue);
        }
        draft.units.extend(&units);
        told(News::Text {
            message_id: delta.message_id,
            at: delta.timestamp,
            anew,
            text: String::from_utf16_lossy(&units),
        })
    }

    fn response(&mut self, response: Box<Response>) -> (Vec<News>, Then) {
        match self.advance(response.seq) {
            None => return (Vec::new(), Then::Resume),
            Some(false) => return (Vec::new(), Then::Continue),
            Some(true) => {}
        }
        let draft = self.drafts.remove(&response.message_id).unwrap_or_default().units;
        let content: Vec<u16> = response.content.encode_utf16().collect();
        let shown = if let Some(rest) = content.strip_prefix(draft.as_slice()) {
            Shown::Rest(String::from_utf16_lossy(rest))
        } else if draft.starts_with(&content) {
            Shown::TooMuch
        } else {
            Shown::Otherwise
        };
        let intact = response
            .sha256
            .as_ref()
            .is_none_or(|hash| *hash == sha256_hex(&response.content));
        told(News::Answered {
            response,
            shown,
            intact,
        })
    }

    fn notification(&mut self, notification: Box<Notification>) -> (Vec<News>, Then) {
        if let Some(seq) = notification.seq
            && self.advance(seq).is_none()
        {
            return (Vec::new(), Then::Resume);
        }
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        if !self.seen.insert(notification.notification_id) {
            return (Vec::new(), Then::Continue);
        }
        told(News::Notified(notification))
    }

    fn done(&mut self, done: Done) -> (Vec<News>, Then) {
        self.answered(done.re.as_deref());
        let session = done
            .data
            .get("session_id")
            .and_then(|id| id.as_str()?.parse().ok());
        if let (true, Some(session)) = (matches!(done.event.as_str(), "new" | "resume"), session) {
            // Should the connection break before `welcome`, it is this session that we come back to.
            self.start = Start::Session(SessionId(session));
            self.session = None;
            self.cursor = None;
            self.drafts.clear();
        }
        told(News::Done(done))
    }
}

fn told(news: News) -> (Vec<News>, Then) {
    (vec![news], Then::Continue)
}
