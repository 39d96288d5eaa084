//! A connection's place in the hub: entered once, left on every way out, also when its task is dropped.

use std::sync::Arc;
use std::time::Instant;

use crate::feed::PresenceBook;
use crate::ids::{ClientName, ConnectionId, UserId};
use crate::notify::hub::Hub;
use crate::notify::mailbox::Mailbox;
use crate::notify::room::Room;
use crate::protocol::text::Timestamp;
use crate::store::connections::Presence;

/// A connection's id and mailbox, and where it has entered with them.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
    book: PresenceBook,
    connection: ConnectionId,
    mailbox: Mailbox,
    user: Option<UserId>,
    room: Option<Arc<Room>>,
}

impl Seat {
    /// A seat that is nowhere yet.
    pub(super) fn new(hub: Arc<Hub>, book: PresenceBook) -> Self {
        Self {
            hub,
            book,
            connection: ConnectionId::new(),
            mailbox: Mailbox::default(),
            user: None,
            room: None,
        }
    }

    /// Which connection it is.
    pub(super) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// What it is to be told.
    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Enters as a user. `false` when the user has `max` connections (0 = no limit).
    pub(super) fn enter_user(&mut self, user: &UserId, max: u32) -> bool {
        if self.user.is_some() {
            return true;
        }
        let entered = self.hub.enter(user, self.connection, self.mailbox.clone(), max);
        if entered {
            self.user = Some(user.clone());
        }
        entered
    }

    /// Enters a session's room, leaving the one before.
    pub(super) fn enter_room(&mut self, room: Arc<Room>, device: Option<ClientName>, now: Timestamp) {
        if self.leave_room() {
            // Nobody of the old room writes any more; what it wrote last would be taken for the new one's.
            self.mailbox.forget_session();
        }
        let presence = Presence {
            key: room.key().clone(),
            device: device.clone(),
            since: now,
        };
        self.book.is_here(self.connection, presence);
        room.enter(self.connection, device, self.mailbox.clone());
        self.room = Some(room);
    }

    fn leave_room(&mut self) -> bool {
        let Some(room) = self.room.take() else {
            return false;
        };
        room.leave(self.connection, Instant::now());
        true
    }

    /// Leaves everything.
    pub(super) fn leave(&mut self) {
        if self.leave_room() {
            self.book.is_gone(self.connection);
        }
        if let Some(user) = self.user.take() {
            self.hub.leave(&user, self.connection);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}
