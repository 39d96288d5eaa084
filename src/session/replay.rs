//! One connection's place in a session: what it has been sent, and what comes next.
//!
//! Stored messages, live messages and the answer being written meet here. The merge cannot lose or double anything,
//! because a connection never receives: it looks at the session's [`Tail`] from its own [`Cursor`] and takes the next
//! step. What the tail no longer holds it asks for from the store. Pure: no time, no I/O. `ws` and `http` call it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ids::{MessageId, RunId, Seq};
use crate::log::{AnswerState, Message, Role};
use crate::protocol::text::{Timestamp, utf16_len};

/// The most text that one `delta` carries, in bytes: a frame must fit the socket's write buffer.
pub const MAX_DELTA_BYTES: usize = 48 * 1024;

/// An answer being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which run writes it.
    pub run_id: RunId,
    /// Which try.
    pub attempt: u32,
    /// The question.
    pub in_reply_to: MessageId,
    /// The question's place: nobody is told of the run before the question.
    pub query_seq: Seq,
    /// The message to come.
    pub message_id: MessageId,
    /// When the run started.
    pub started_at: Timestamp,
    /// The text so far; only ever grows within an attempt.
    pub text: String,
}

/// The newest part of a session as one process holds it: contiguous messages, and the answer being written.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Messages `head - messages.len() + 1 ..= head`.
    messages: VecDeque<Arc<Message>>,
    head: Seq,
    bytes: usize,
    /// Messages that came before the one in front of them; filled up by the store or by the next commit.
    early: Vec<Arc<Message>>,
    /// The run in progress.
    pub answer: Option<Answer>,
}

impl Tail {
    /// A session whose newest message is `head`, none of it in memory.
    pub fn at(head: Seq) -> Self {
        Self {
            head,
            ..Self::default()
        }
    }

    /// The same tail for a session whose newest message is `head`: what was between is in the store, what came early stays.
    #[must_use]
    pub fn restart_at(self, head: Seq) -> Self {
        let mut tail = Self {
            answer: self.answer,
            ..Self::at(head)
        };
        for message in self.early {
            if message.seq <= head {
                tail.end_answer(&message);
            }
            tail.offer(message);
        }
        tail
    }

    /// The newest message's place.
    pub fn head(&self) -> Seq {
        self.head
    }

    /// The place before the oldest message in memory.
    pub fn base(&self) -> Seq {
        Seq(self.head.0 - i64::try_from(self.messages.len()).unwrap_or(0))
    }

    /// Takes a committed message. One that is known is ignored; one that comes too early waits until the gap before it
    /// is closed. An answer ends the run that wrote it.
    pub fn offer(&mut self, message: Arc<Message>) {
        if message.seq <= self.head || self.early.iter().any(|early| early.seq == message.seq) {
            return;
        }
        self.early.push(message);
        self.early.sort_by_key(|early| early.seq);
        while self
            .early
            .first()
            .is_some_and(|first| first.seq == self.head.next())
        {
            let message = self.early.remove(0);
            self.end_answer(&message);
            self.head = message.seq;
            self.bytes += message.size_bytes();
            self.messages.push_back(message);
        }
    }

    /// The answer being written is over once its message is there.
    fn end_answer(&mut self, message: &Message) {
        let is_whole = |answer: &Answer| Some(answer.run_id) == message.run_id;
        if message.role == Role::Assistant && self.answer.as_ref().is_some_and(is_whole) {
            self.answer = None;
        }
    }

    /// Whether a message waits for others before it: the store has them.
    pub fn has_gap(&self) -> bool {
        !self.early.is_empty()
    }

    /// Forgets the oldest messages beyond a count and a size.
    pub fn trim(&mut self, max_messages: usize, max_bytes: usize) {
        while self.messages.len() > max_messages || (self.bytes > max_bytes && !self.messages.is_empty()) {
            if let Some(oldest) = self.messages.pop_front() {
                self.bytes -= oldest.size_bytes();
            }
        }
    }

    /// The newest messages, `count` of them or all since `first`; `None` where memory does not hold as many.
    pub fn newest(&self, count: usize, first: Seq) -> Option<Vec<Arc<Message>>> {
        let missing = count.saturating_sub(self.messages.len());
        if missing > 0 && self.base() >= first {
            return None;
        }
        let skip = self.messages.len().saturating_sub(count);
        Some(self.messages.iter().skip(skip).cloned().collect())
    }

    /// Takes messages that are older than those in memory, as far as they join them.
    pub fn remember(&mut self, older: &[Arc<Message>]) {
        for message in older.iter().rev() {
            if message.seq == self.base() && message.seq > Seq::START {
                self.bytes += message.size_bytes();
                self.messages.push_front(Arc::clone(message));
            }
        }
    }

    fn get(&self, seq: Seq) -> Option<&Arc<Message>> {
        let index = usize::try_from(seq.0 - self.base().0 - 1).ok()?;
        self.messages.get(index)
    }
}

/// What a connection has been sent of the answer being written.
#[derive(Clone, Debug)]
struct Announced {
    run_id: RunId,
    attempt: u32,
    bytes: usize,
    utf16: u64,
    /// Of the text that was sent: a message may be a later attempt's, of which nothing was seen here.
    digest: u64,
}

impl Announced {
    /// Nothing sent yet of this attempt.
    fn nothing(run_id: RunId, attempt: u32) -> Self {
        Self {
            run_id,
            attempt,
            bytes: 0,
            utf16: 0,
            digest: DIGEST_START,
        }
    }

    fn add(&mut self, text: &str) {
        self.bytes += text.len();
        self.utf16 += utf16_len(text);
        self.digest = digest(self.digest, text);
    }

    /// Whether what was sent is how this text begins.
    fn begins(&self, text: &str) -> bool {
        text.get(..self.bytes)
            .is_some_and(|start| digest(DIGEST_START, start) == self.digest)
    }
}

/// FNV-1a's offset basis.
const DIGEST_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, continued. Not against malice: both texts are our own answer's.
fn digest(state: u64, text: &str) -> u64 {
    text.bytes().fold(state, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What a connection has been sent of a session.
#[derive(Clone, Debug)]
pub struct Cursor {
    sent: Seq,
    replay_until: Seq,
    /// Runs that were announced and whose messages were not sent yet: one, but for runs that were released, and for one
    /// that began before the message of the run before it arrived here.
    announced: Vec<Announced>,
    live: bool,
}

/// What comes next for a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read messages `after < seq <= upto` from the store and give them to [`Cursor::entry`].
    Read {
        /// The last one sent.
        after: Seq,
        /// The last one that memory does not hold.
        upto: Seq,
    },
    /// Give this message to [`Cursor::entry`].
    Message(Arc<Message>),
    /// Tell that a run is in progress.
    Thinking {
        /// Which run.
        run_id: RunId,
        /// The question.
        in_reply_to: MessageId,
        /// The answer to come.
        message_id: MessageId,
        /// When it started.
        started_at: Timestamp,
    },
    /// Send this text.
    Delta(Part),
    /// All that was missed has been sent.
    CaughtUp,
    /// Nothing; wait for the session to change.
    Idle,
}

/// A piece of an answer and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which run.
    pub run_id: RunId,
    /// The answer.
    pub message_id: MessageId,
    /// Which try.
    pub attempt: u32,
    /// Where it stands, in UTF-16 code units.
    pub offset: u64,
    /// The text.
    pub text: String,
}

/// What a message becomes on one connection, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Whether it is sent to catch up.
    pub replay: bool,
    /// The run was not announced on this connection: `thinking` goes first.
    pub thinking: bool,
    /// The end of the text that this connection has not been sent.
    pub rest: Option<Part>,
}

impl Cursor {
    /// A connection that has applied everything up to `sent` and wants the rest up to `head` as replay.
    pub fn new(sent: Seq, head: Seq) -> Self {
        Self {
            sent,
            replay_until: head,
            announced: Vec::new(),
            live: false,
        }
    }

    /// The last message that was sent.
    pub fn sent(&self) -> Seq {
        self.sent
    }

    /// Whether the catch-up is over.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The caller has sent `live`.
    pub fn set_live(&mut self) {
        self.live = true;
    }

    /// What comes next. Looks only; a message, once sent, is told by [`Self::entry`].
    pub fn next(&mut self, tail: &Tail) -> Step {
        if !self.live && self.sent >= self.replay_until {
            return self.answer(tail).unwrap_or(Step::CaughtUp);
        }
        if self.sent < tail.head() {
            return match tail.get(self.sent.next()) {
                Some(message) => Step::Message(Arc::clone(message)),
                // During the catch-up no further than was promised: what came since is live, and belongs after `live`.
                None => Step::Read {
                    after: self.sent,
                    upto: if self.live {
                        tail.base()
                    } else {
                        tail.base().min(self.replay_until)
                    },
                },
            };
        }
        self.answer(tail).unwrap_or(Step::Idle)
    }

    /// The next step of the answer being written, if there is one. During the catch-up all text so far is one part.
    fn answer(&mut self, tail: &Tail) -> Option<Step> {
        // The question may be on its way here yet, or lie beyond what is sent as replay.
        let answer = tail
            .answer
            .as_ref()
            .filter(|answer| answer.query_seq <= self.sent)?;
        if !self.live && self.announced.iter().any(|a| a.bytes > 0) {
            return None;
        }
        let Some(known) = self.announced.iter_mut().find(|a| a.run_id == answer.run_id) else {
            self.announced
                .push(Announced::nothing(answer.run_id, answer.attempt));
            return Some(Step::Thinking {
                run_id: answer.run_id,
                in_reply_to: answer.in_reply_to,
                message_id: answer.message_id,
                started_at: answer.started_at,
            });
        };
        if known.attempt != answer.attempt {
            *known = Announced::nothing(answer.run_id, answer.attempt);
        }
        let limit = if self.live { MAX_DELTA_BYTES } else { usize::MAX };
        let text = piece(&answer.text, known.bytes, limit)?;
        let offset = known.utf16;
        known.add(text);
        Some(Step::Delta(Part {
            run_id: answer.run_id,
            message_id: answer.message_id,
            attempt: answer.attempt,
            offset,
            text: text.to_owned(),
        }))
    }

    /// Tells how to send a message and counts it as sent.
    pub fn entry(&mut self, message: &Message) -> Entry {
        let replay = message.seq <= self.replay_until && !self.live;
        self.sent = message.seq;
        if message.role != Role::Assistant || replay {
            return Entry {
                replay,
                thinking: false,
                rest: None,
            };
        }
        let index = self
            .announced
            .iter()
            .position(|a| Some(a.run_id) == message.run_id);
        let announced = index.map(|index| self.announced.swap_remove(index));
        let never_ran = message.state == AnswerState::Cancelled && message.content.is_empty();
        let thinking = announced.is_none() && !never_ran;
        Entry {
            replay,
            thinking,
            rest: rest(announced, message),
        }
    }
}

/// The text of an answer beyond what was sent of it; all of it, as a later attempt, where what was sent is not its
/// beginning.
fn rest(announced: Option<Announced>, message: &Message) -> Option<Part> {
    let (attempt, bytes, offset) = match announced {
        None => (1, 0, 0),
        Some(a) if a.begins(&message.content) => (a.attempt, a.bytes, a.utf16),
        Some(a) => (a.attempt + 1, 0, 0),
    };
    let text = piece(&message.content, bytes, MAX_DELTA_BYTES)?;
    let run_id = message.run_id?;
    Some(Part {
        run_id,
        message_id: message.message_id,
        attempt,
        offset,
        text: text.to_owned(),
    })
}

/// Text from a byte on, at most `limit` bytes, cut between characters.
fn piece(text: &str, from: usize, limit: usize) -> Option<&str> {
    let rest = text.get(from..).filter(|rest| !rest.is_empty())?;
    let mut end = rest.len().min(limit);
    while !rest.is_char_boundary(end) {
        end -= 1;
    }
    rest.get(..end)
}

#[cfg(test)]
mod tests;
