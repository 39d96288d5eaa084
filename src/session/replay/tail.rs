//! What one process holds of a session: its newest messages, without a gap, and the answer being written.
//!
//! Pure. A room owns one; cursors look at it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ids::{MessageId, RunId, Seq};
use crate::log::{Message, Role};
use crate::protocol::text::Timestamp;

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
    pub(super) bytes: usize,
    /// Messages that came before the one in front of them; filled up by the store or by the next commit.
    pub(super) early: Vec<Arc<Message>>,
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

    /// Forgets all messages: the store has them.
    pub fn forget_all(&mut self) {
        self.messages = VecDeque::new();
        self.bytes = 0;
    }

    /// Forgets the messages before this one: the store has removed them.
    pub fn forget_before(&mut self, first: Seq) {
        while let Some(oldest) = self.messages.pop_front_if(|oldest| oldest.seq < first) {
            self.bytes -= oldest.size_bytes();
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

    /// The message at a place, if it is in memory.
    pub(super) fn get(&self, seq: Seq) -> Option<&Arc<Message>> {
        let index = usize::try_from(seq.0 - self.base().0 - 1).ok()?;
        self.messages.get(index)
    }
}
