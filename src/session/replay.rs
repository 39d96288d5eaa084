//! One connection's place in a session: what it has been sent, and what comes next.
//!
//! Stored messages, live messages and the answer being written meet here. The merge cannot lose or double anything,
//! because a connection never receives: it looks at the session's [`Tail`] from its own [`Cursor`] and takes the next
//! step. What the tail no longer holds it asks for from the store. Pure: no time, no I/O. `ws` and `http` call it.

mod tail;

use std::sync::Arc;

use crate::ids::{MessageId, RunId, Seq};
use crate::log::{AnswerState, Message, Role};
use crate::protocol::text::{Timestamp, utf16_len};
pub use tail::{Answer, Tail};

/// The most text that one `delta` carries, in bytes: a frame must fit the socket's write buffer.
pub const MAX_DELTA_BYTES: usize = 48 * 1024;

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
