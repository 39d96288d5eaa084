//! What one connection is to be told beside the log: a bounded queue and a bell.
//!
//! The log itself is never put in here: a ring of the bell means "look at your session". A full mailbox forgets
//! notifications and says so, since Postgres has them; it never forgets to close. Senders never wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::ids::{NotificationId, RunId};
use crate::protocol::close::CloseReason;
use crate::protocol::server::{Pushed, ServerFrame};

/// How many signals wait for one connection before it has to read its notifications from the store again.
const CAPACITY: usize = 256;

/// A notification and its frame, written once for all who are told of it.
#[derive(Debug)]
pub struct Broadcast {
    /// What it says.
    pub pushed: Pushed<'static>,
    /// Its frame in this contract's own words, as text.
    pub text: String,
}

impl Broadcast {
    /// A live notification as it goes to everybody.
    pub fn new(pushed: Pushed<'static>) -> Self {
        let text = ServerFrame::notification(pushed.clone()).encode();
        Self { pushed, text }
    }
}

/// Something to tell a client.
#[derive(Clone, Debug)]
pub enum Signal {
    /// Another service's notification.
    Notification(Arc<Broadcast>),
    /// Acknowledged on another device.
    Cleared(Arc<[NotificationId]>),
    /// The session has another title.
    Renamed(Option<Arc<str>>),
    /// A run changed without a message: it waits again, for one.
    Run {
        /// Which run.
        run_id: RunId,
        /// What it is now.
        state: &'static str,
        /// Which try.
        attempt: u32,
    },
}

#[derive(Debug, Default)]
struct Contents {
    signals: VecDeque<Signal>,
    lost: bool,
    close: Option<CloseReason>,
    /// When it was first rung of the rings not heard yet.
    rung_at: Option<Instant>,
}

impl Contents {
    /// Forgets notifications, and remembers that.
    fn lose(&mut self) {
        self.signals
            .retain(|signal| !matches!(signal, Signal::Notification(_)));
        self.lost = true;
    }
}

#[derive(Debug, Default)]
struct Inner {
    contents: Mutex<Contents>,
    bell: Notify,
}

/// One connection's mailbox. Clones are the same mailbox.
#[derive(Clone, Debug, Default)]
pub struct Mailbox(Arc<Inner>);

/// What was in a mailbox.
#[derive(Debug)]
pub enum Mail {
    /// The next signal.
    Signal(Signal),
    /// Some notifications did not fit: read from the store which are pending, and which no more.
    Lost,
    /// Close the socket.
    Close(CloseReason),
    /// Nothing.
    Empty,
}

impl Mailbox {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a signal in and rings; a full box drops what it holds of notifications and remembers that.
    pub fn put(&self, signal: Signal) {
        let mut contents = self.contents();
        if contents.signals.len() >= CAPACITY {
            contents.lose();
        }
        // Nothing but what the store knows comes in such numbers.
        if contents.signals.len() < CAPACITY && !(contents.lost && matches!(signal, Signal::Notification(_)))
        {
            contents.signals.push_back(signal);
        }
        self.ring_for(contents);
    }

    /// Asks the connection to close. The first reason stands.
    pub fn close(&self, reason: CloseReason) {
        let mut contents = self.contents();
        contents.close.get_or_insert(reason);
        self.ring_for(contents);
    }

    /// Forgets what was said of a session: its connection has moved to another one. What is the user's stays.
    pub fn forget_session(&self) {
        let mut contents = self.contents();
        contents
            .signals
            .retain(|signal| matches!(signal, Signal::Notification(_) | Signal::Cleared(_)));
        if matches!(
            contents.close,
            Some(CloseReason::Replaced | CloseReason::SessionDeleted)
        ) {
            contents.close = None;
        }
    }

    /// Makes the connection read its pending notifications from the store. What waits of them is forgotten: the read brings
    /// them, each in its place behind older ones.
    pub fn mark_lost(&self) {
        let mut contents = self.contents();
        contents.lose();
        self.ring_for(contents);
    }

    /// Makes the connection look at its session.
    pub fn ring(&self) {
        self.ring_for(self.contents());
    }

    /// Rings for what was done to the contents, once others may look at them.
    fn ring_for(&self, mut contents: MutexGuard<'_, Contents>) {
        contents.rung_at.get_or_insert_with(Instant::now);
        drop(contents);
        self.0.bell.notify_one();
    }

    /// Waits for a ring, and says how long ago the first came of those that are heard by this. One that came before is not lost.
    pub async fn rung(&self) -> Duration {
        self.0.bell.notified().await;
        let rung_at = self.contents().rung_at.take();
        rung_at.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Takes the next thing out.
    pub fn take(&self) -> Mail {
        let mut contents = self.contents();
        if let Some(reason) = contents.close {
            return Mail::Close(reason);
        }
        if let Some(signal) = contents.signals.pop_front() {
            return Mail::Signal(signal);
        }
        if std::mem::take(&mut contents.lost) {
            Mail::Lost
        } else {
            Mail::Empty
        }
    }

    /// Whether something waits.
    pub fn is_empty(&self) -> bool {
        let contents = self.contents();
        contents.signals.is_empty() && !contents.lost && contents.close.is_none()
    }
}

#[cfg(test)]
mod tests;
