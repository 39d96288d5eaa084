//! One session on this process: the newest part of its log, the answer being written, and who watches.
//!
//! Everybody looks at the same [`Tail`] from a cursor of his own, so there is no queue a slow reader could fill. The
//! lock is held for moments only, never across an await. `feed` keeps it in step with the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::mailbox::{Mailbox, Signal};
use crate::ids::{ClientName, ConnectionId, RunId, Seq, SessionKey};
use crate::log::{Claim, Message, Role, title_of};
use crate::protocol::close::CloseReason;
use crate::session::replay::{Answer, Cursor, Step, Tail};

/// Messages that a room keeps: for connections that are a little behind, and for the next prompt, which of the default
/// length needs 114 of them. Older ones are read from the store.
const TAIL_MESSAGES: usize = 128;

/// How many ended runs a room remembers.
const ENDED_KEPT: usize = 4;

/// Bytes of such messages.
const TAIL_BYTES: usize = 128 * 1024;

/// For how long they are kept when none is added: who reads an answer for a while goes on from memory, and who
/// has left a page open does not fill it.
const QUIET_MINUTES: u32 = 5;

#[derive(Debug)]
struct Member {
    connection: ConnectionId,
    device: Option<ClientName>,
    mailbox: Mailbox,
}

#[derive(Debug)]
struct State {
    tail: Tail,
    /// The oldest message that the store still has.
    first: Seq,
    title: Option<Arc<str>>,
    /// Registered as a watcher in the store, and read since.
    loaded: bool,
    deleted: bool,
    /// The run in progress is executed by this process, under this claim: what the store says of its text is older than what
    /// is here.
    writer: Option<Claim>,
    /// Runs whose answer is in the log, the newest last: a look at the store that began before cannot bring them back.
    ended: VecDeque<RunId>,
    members: Vec<Member>,
    empty_since: Option<Instant>,
    /// Minutes since messages were added to those in memory.
    quiet_minutes: u32,
}

/// A session that somebody here watches or writes.
#[derive(Debug)]
pub struct Room {
    key: SessionKey,
    state: Mutex<State>,
    /// Held while the room is loaded, refreshed or given up: those read the store and must not overlap.
    pub busy: tokio::sync::Mutex<()>,
}

impl Room {
    pub(super) fn new(key: SessionKey, now: Instant) -> Self {
        let state = State {
            tail: Tail::default(),
            first: Seq(1),
            title: None,
            loaded: false,
            deleted: false,
            writer: None,
            ended: VecDeque::new(),
            // Most sessions are watched by one connection; a vector would begin with room for four.
            members: Vec::with_capacity(1),
            empty_since: Some(now),
            quiet_minutes: 0,
        };
        Self {
            key,
            state: Mutex::new(state),
            busy: tokio::sync::Mutex::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which session it is.
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    /// Whether the room follows the store.
    pub fn is_loaded(&self) -> bool {
        self.state().loaded
    }

    /// Takes the session as the store had it when this process became a watcher. What was committed here meanwhile is
    /// kept: it is newer.
    pub fn load(&self, head: Seq, title: Option<Arc<str>>) {
        let mut state = self.state();
        if state.tail.head() <= head || state.title.is_none() {
            state.title = title;
        }
        if state.tail.head() < head {
            state.tail = std::mem::take(&mut state.tail).restart_at(head);
        }
        state.loaded = true;
    }

    /// Keeps the room for a client that is about to enter, as if one had just left. `false` when it was given up.
    pub fn hold(&self, now: Instant) -> bool {
        let mut state = self.state();
        if state.members.is_empty() {
            state.empty_since = Some(now);
        }
        state.loaded
    }

    /// The room no longer follows the store, unless somebody came back or was here less than `linger` ago, or a run writes here.
    pub fn unload(&self, now: Instant, linger: Duration) -> bool {
        let mut state = self.state();
        let left = state
            .empty_since
            .is_some_and(|since| now.duration_since(since) >= linger);
        if !left || !state.members.is_empty() || state.writer.is_some() {
            return false;
        }
        state.loaded = false;
        true
    }

    /// The newest message here.
    pub fn head(&self) -> Seq {
        self.state().tail.head()
    }

    /// Whether everything after a place is in memory.
    pub fn has_all_after(&self, seq: Seq) -> bool {
        self.state().tail.base() <= seq
    }

    /// The oldest message that the store still has; the place after the head when it has none.
    pub fn first(&self) -> Seq {
        self.state().first
    }

    /// The store has removed what was before this, and so does the room. What is removed stays so: a look that began earlier
    /// changes nothing.
    pub fn set_first(&self, first: Seq) {
        let mut state = self.state();
        state.first = state.first.max(first);
        let first = state.first;
        state.tail.forget_before(first);
    }

    /// The title as the members know it.
    pub fn title(&self) -> Option<Arc<str>> {
        self.state().title.clone()
    }

    /// Adds a connection. One with the same device is replaced.
    pub fn enter(&self, connection: ConnectionId, device: Option<ClientName>, mailbox: Mailbox) {
        let mut state = self.state();
        if device.is_some() {
            for member in state.members.iter().filter(|member| member.device == device) {
                member.mailbox.close(CloseReason::Replaced);
            }
        }
        state.members.push(Member {
            connection,
            device,
            mailbox,
        });
        state.empty_since = None;
    }

    /// Removes a connection by its id: a late goodbye cannot remove its successor.
    pub fn leave(&self, connection: ConnectionId, now: Instant) {
        let mut state = self.state();
        state.members.retain(|member| member.connection != connection);
        if state.members.is_empty() {
            state.empty_since.get_or_insert(now);
        }
    }

    /// Since when nobody watches.
    pub fn empty_since(&self) -> Option<Instant> {
        let state = self.state();
        if state.writer.is_some() {
            None
        } else {
            state.empty_since
        }
    }

    /// What comes next for a cursor.
    pub fn next(&self, cursor: &mut Cursor) -> Step {
        cursor.next(&self.state().tail)
    }

    /// A cursor for a connection that has applied everything up to `sent`, the head that it is caught up to, together.
    pub fn cursor(&self, sent: Seq) -> (Cursor, Seq) {
        let head = self.state().tail.head();
        (Cursor::new(sent.min(head), head), head)
    }

    /// Takes a committed message. Returns whether messages before it are missing here.
    pub fn offer(&self, message: Arc<Message>) -> bool {
        let mut state = self.state();
        if let Some(run) = message.run_id.filter(|_| message.in_reply_to.is_some()) {
            if state.writer.is_some_and(|writer| writer.run_id == run) {
                state.writer = None;
            }
            if state.ended.len() == ENDED_KEPT {
                state.ended.pop_front();
            }
            state.ended.push_back(run);
        }
        if state.title.is_none() && message.role == Role::User && message.seq == state.tail.head().next() {
            // The store does the same with the first question: nobody needs to be told.
            state.title = Some(Arc::from(title_of(&message.content)));
        }
        state.quiet_minutes = 0;
        state.tail.offer(message);
        state.tail.trim(TAIL_MESSAGES, TAIL_BYTES);
        ring(&state.members);
        state.tail.has_gap()
    }

    /// The newest `count` messages of the log, or all that there are; `None` where memory does not hold as many, or not yet
    /// the one at `upto`.
    pub fn recent(&self, upto: Seq, count: usize) -> Option<Vec<Arc<Message>>> {
        let state = self.state();
        if !state.loaded || state.tail.head() < upto {
            return None;
        }
        state.tail.newest(count, state.first)
    }

    /// Keeps messages that were read from the store, for the next who needs them.
    pub fn remember(&self, older: &[Arc<Message>]) {
        let mut state = self.state();
        state.quiet_minutes = 0;
        state.tail.remember(older);
        let first = state.first;
        state.tail.forget_before(first);
        state.tail.trim(TAIL_MESSAGES, TAIL_BYTES);
    }

    /// A run of this process begins: its text will be written here.
    pub fn begin(&self, writer: Claim, answer: Answer) {
        let mut state = self.state();
        state.writer = Some(writer);
        state.tail.answer = Some(answer);
        ring(&state.members);
    }

    /// Adds text to the answer of a run of this process, unless it is another claim's by now.
    pub fn write(&self, writer: Claim, text: &str) {
        let mut state = self.state();
        if state.writer == Some(writer)
            && let Some(answer) = &mut state.tail.answer
        {
            answer.text.push_str(text);
            ring(&state.members);
        }
    }

    /// A run of this process is over without a message: released, or somebody else's by now.
    pub fn abandon(&self, writer: Claim) {
        let mut state = self.state();
        if state.writer == Some(writer) {
            state.writer = None;
            state.tail.answer = None;
            ring(&state.members);
        }
    }

    /// The answer being written by another process, as the store has it now; ignored while one is written here.
    pub fn mirror(&self, answer: Option<Answer>) {
        let mut state = self.state();
        let over = answer
            .as_ref()
            .is_some_and(|answer| state.ended.contains(&answer.run_id));
        if state.writer.is_none() && !over && state.tail.answer != answer {
            state.tail.answer = answer;
            ring(&state.members);
        }
    }

    /// What is known here of another process's answer: run, try, bytes of text.
    pub fn mirrored(&self) -> Option<(RunId, u32, usize)> {
        let state = self.state();
        if state.writer.is_some() {
            return None;
        }
        state
            .tail
            .answer
            .as_ref()
            .map(|answer| (answer.run_id, answer.attempt, answer.text.len()))
    }

    /// The answer being written, whoever writes it.
    pub fn answer(&self) -> Option<Answer> {
        self.state().tail.answer.clone()
    }

    /// What is known here, to be compared with the store: the head, the oldest message, the run in progress, the title.
    pub fn known(&self) -> (Seq, Seq, Option<RunId>, Option<Arc<str>>) {
        let state = self.state();
        (
            state.tail.head(),
            state.first,
            state.tail.answer.as_ref().map(|answer| answer.run_id),
            state.title.clone(),
        )
    }

    /// Whether a run of this process writes here.
    pub fn has_local_run(&self) -> bool {
        self.state().writer.is_some()
    }

    /// Whether an answer is being written, here or elsewhere.
    pub fn is_answering(&self) -> bool {
        self.state().tail.answer.is_some()
    }

    /// The store has this title: tells everybody if that is news. `before` is what was known here when the store was asked:
    /// if something else was learned since then, nothing changes. Returns whether what is known here is what the store said.
    pub fn rename(&self, before: Option<&Arc<str>>, title: Option<&Arc<str>>) -> bool {
        let mut state = self.state();
        if state.title.as_ref() != title && state.title.as_ref() == before {
            state.title = title.cloned();
            for member in &state.members {
                member.mailbox.put(Signal::Renamed(title.cloned()));
            }
        }
        state.title.as_ref() == title
    }

    /// Tells everybody something beside the log.
    pub fn post(&self, signal: &Signal) {
        for member in &self.state().members {
            member.mailbox.put(signal.clone());
        }
    }

    /// The session is gone: everybody is told and closed, but for the connection that deleted it.
    pub fn delete(&self, by: Option<ConnectionId>) {
        let mut state = self.state();
        state.deleted = true;
        state.tail.answer = None;
        for member in state
            .members
            .iter()
            .filter(|member| Some(member.connection) != by)
        {
            member.mailbox.close(CloseReason::SessionDeleted);
        }
    }

    /// Whether the session was deleted.
    pub fn is_deleted(&self) -> bool {
        self.state().deleted
    }

    /// To be called once a minute: a session in which nothing has happened for five minutes leaves its messages to the store.
    pub fn rest(&self) {
        let mut state = self.state();
        state.quiet_minutes = state.quiet_minutes.saturating_add(1);
        if state.quiet_minutes == QUIET_MINUTES {
            state.tail.forget_all();
        }
    }
}

fn ring(members: &[Member]) {
    for member in members {
        member.mailbox.ring();
    }
}
