//! Which notifications a connection was sent and has not seen the end of.
//!
//! Each ends once for the client: in the answer to its own acknowledgement, or by `cleared`. So what others acknowledge while
//! an acknowledgement of this connection's is carried out is held back until its answer says what was its own.

use std::collections::{HashSet, VecDeque};

use crate::ids::NotificationId;

/// The most unacknowledged notifications that a connection is sent; the rest follows when some were acknowledged.
const MAX: usize = 10_000;

/// How many that ended are remembered: a row that was read before it was acknowledged may come out after.
const ENDED_KEPT: usize = 256;

/// Notifications sent and not acknowledged: repeats are left out.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    open: HashSet<NotificationId>,
    /// The last that ended.
    ended: VecDeque<NotificationId>,
    /// What was cleared while this connection acknowledges; `None` while it does not.
    held: Option<Vec<NotificationId>>,
}

impl Delivered {
    /// Whether the rest has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= MAX
    }

    /// All of them.
    pub(super) fn ids(&self) -> Vec<NotificationId> {
        self.open.iter().copied().collect()
    }

    /// Takes a notification that is about to be sent. `false` when it was sent before, or has ended.
    pub(super) fn insert(&mut self, id: NotificationId) -> bool {
        !self.ended.contains(&id) && self.open.insert(id)
    }

    /// The connection moves to another session, where all that is pending is sent again.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    /// This connection acknowledges something.
    pub(super) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// These are acknowledged. Returns which of them the client has to be told of now.
    pub(super) fn cleared(&mut self, ids: &[NotificationId]) -> Vec<NotificationId> {
        if let Some(held) = &mut self.held {
            held.extend(ids);
            return Vec::new();
        }
        self.end(ids)
    }

    /// A request was answered, and the answer says that these were this connection's own. Returns which the client has to be
    /// told of beside them.
    pub(super) fn answered(&mut self, own: &[NotificationId]) -> Vec<NotificationId> {
        self.end(own);
        let held = self.held.take().unwrap_or_default();
        self.end(&held)
    }

    fn end(&mut self, ids: &[NotificationId]) -> Vec<NotificationId> {
        let ended: Vec<NotificationId> = ids.iter().filter(|id| self.open.remove(id)).copied().collect();
        self.ended.extend(&ended);
        let surplus = self.ended.len().saturating_sub(ENDED_KEPT);
        self.ended.drain(..surplus);
        ended
    }
}

#[cfg(test)]
mod tests;
