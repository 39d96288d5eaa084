//! The client that a careful reader of the contract would write: applies frames, and refuses what the contract rules out.

use std::collections::BTreeMap;

use super::message_id;
use crate::ids::{MessageId, RunId, Seq};
use crate::log::{AnswerState, Message, Role};
use crate::session::replay::{Cursor, Part, Step, Tail};

/// What a client holds of an answer that it has no response for yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Draft {
    attempt: u32,
    units: Vec<u16>,
}

/// A client on one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client {
    /// The last message it had when it connected.
    started_at: Seq,
    applied: Seq,
    /// What `welcome` named.
    promised: Seq,
    live: bool,
    /// Since `started_at`, by place.
    messages: Vec<MessageId>,
    drafts: BTreeMap<MessageId, Draft>,
    announced: Vec<RunId>,
    replayed_text: bool,
}

impl Client {
    /// A client that has applied everything up to `applied` and was promised the rest up to `head` as replay.
    pub(super) fn connected(applied: Seq, head: Seq) -> Self {
        Self {
            started_at: applied,
            applied,
            promised: head,
            live: false,
            messages: Vec::new(),
            drafts: BTreeMap::new(),
            announced: Vec::new(),
            replayed_text: false,
        }
    }

    /// The runs that were announced, in order.
    pub(super) fn announcements(&self) -> &[RunId] {
        &self.announced
    }

    /// Takes the cursor's next step as `ws` does, reading from `store` where the tail has no more. `false`: nothing to do.
    pub(super) fn take_step(&mut self, tail: &Tail, cursor: &mut Cursor, store: &[Message]) -> bool {
        match cursor.next(tail) {
            Step::Idle => return false,
            Step::Message(message) => self.entry(cursor, &message),
            Step::Read { after, upto } => {
                assert!(after < upto, "a page of nothing: {after} to {upto}");
                for message in store.iter().filter(|m| after < m.seq && m.seq <= upto) {
                    self.entry(cursor, message);
                }
                assert_eq!(self.applied, upto, "the store has all that is asked for");
            }
            Step::Thinking {
                run_id,
                in_reply_to,
                message_id,
                ..
            } => self.thinking(run_id, in_reply_to, message_id, !cursor.is_live(), tail),
            Step::Delta(part) => {
                if !cursor.is_live() {
                    let so_far = tail.answer.as_ref().map(|answer| answer.text.as_str());
                    assert_eq!(so_far, Some(part.text.as_str()), "all text so far");
                    assert!(!self.replayed_text, "one delta before live");
                    self.replayed_text = true;
                }
                self.delta(&part);
            }
            Step::CaughtUp => {
                cursor.set_live();
                self.live();
            }
        }
        assert_eq!(cursor.sent(), self.applied);
        true
    }

    fn entry(&mut self, cursor: &mut Cursor, message: &Message) {
        let entry = cursor.entry(message);
        if message.role == Role::Assistant {
            if entry.thinking {
                let (run, query) = (message.run_id.unwrap(), message.in_reply_to.unwrap());
                assert!(!entry.replay, "a replayed answer needs no announcement");
                self.announce(run, query, message.message_id);
            }
            if let Some(part) = &entry.rest {
                self.delta(part);
            }
        }
        self.message(message, entry.replay);
    }

    fn thinking(&mut self, run: RunId, query: MessageId, answer: MessageId, replay: bool, tail: &Tail) {
        assert_eq!(replay, !self.live);
        assert!(
            tail.answer.as_ref().is_some_and(|answer| answer.run_id == run),
            "it runs"
        );
        self.announce(run, query, answer);
    }

    fn announce(&mut self, run: RunId, query: MessageId, answer: MessageId) {
        let known = (1..=self.applied.0).any(|seq| message_id(seq) == query);
        assert!(known, "a run is announced after its question");
        assert!(
            !self.messages.contains(&answer),
            "a run is announced before its end"
        );
        assert!(!self.announced.contains(&run), "a run is announced once");
        self.announced.push(run);
        self.drafts.entry(answer).or_default();
    }

    fn delta(&mut self, part: &Part) {
        assert!(
            self.announced.contains(&part.run_id),
            "text comes after the announcement"
        );
        assert!(
            !self.messages.contains(&part.message_id),
            "text comes before the response"
        );
        let draft = self.drafts.get_mut(&part.message_id).unwrap();
        if part.attempt < draft.attempt {
            return;
        }
        if part.attempt > draft.attempt {
            *draft = Draft {
                attempt: part.attempt,
                units: Vec::new(),
            };
        }
        let offset = usize::try_from(part.offset).unwrap();
        assert!(offset <= draft.units.len(), "something was missed: {part:?}");
        draft.units.truncate(offset);
        draft.units.extend(part.text.encode_utf16());
    }

    fn message(&mut self, message: &Message, replay: bool) {
        assert_eq!(message.seq, self.applied.next(), "neither a gap nor a repeat");
        assert_eq!(replay, !self.live, "replayed until live, and never after");
        assert!(
            !replay || message.seq <= self.promised,
            "what was not promised comes after live"
        );
        if message.role == Role::Assistant {
            let draft = self.drafts.remove(&message.message_id);
            let never_ran = message.state == AnswerState::Cancelled && message.content.is_empty();
            assert!(
                replay || never_ran || draft.is_some(),
                "a live response comes after thinking"
            );
            // No delta can say that a later attempt ended without a word: the response does.
            if let Some(draft) = draft.filter(|_| !message.content.is_empty()) {
                let assembled = String::from_utf16(&draft.units).unwrap();
                assert_eq!(
                    assembled, *message.content,
                    "what was assembled is what is stored"
                );
            }
        }
        self.applied = message.seq;
        self.messages.push(message.message_id);
    }

    fn live(&mut self) {
        assert!(!self.live, "live comes once");
        assert!(self.applied >= self.promised, "all that was promised has come");
        self.live = true;
    }

    /// Nothing more will happen: this client has everything that the store has.
    pub(super) fn check_at_rest(&self, store: &[Message]) {
        assert!(self.live);
        let stored: Vec<MessageId> = store
            .iter()
            .filter(|message| message.seq > self.started_at)
            .map(|message| message.message_id)
            .collect();
        assert_eq!(self.messages, stored);
        assert!(self.drafts.is_empty(), "every announced run has ended: {self:?}");
    }
}
