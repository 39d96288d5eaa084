//! The rooms and the users of this process.
//!
//! Moves signals to connections; knows nothing of the store. `feed` opens and closes rooms, `ws` enters and leaves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::mailbox::{Mailbox, Signal};
use super::room::Room;
use crate::ids::{ConnectionId, SessionId, SessionKey, UserId};
use crate::protocol::close::CloseReason;

#[derive(Debug, Default)]
struct Rooms {
    by_key: HashMap<SessionKey, Arc<Room>>,
    /// Hints carry the session's id only.
    by_id: HashMap<SessionId, SessionKey>,
}

/// The rooms and users of this process.
#[derive(Debug, Default)]
pub struct Hub {
    rooms: Mutex<Rooms>,
    users: Mutex<HashMap<UserId, Vec<(ConnectionId, Mailbox)>>>,
}

impl Hub {
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Vec<(ConnectionId, Mailbox)>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session's room, made where there is none.
    pub fn room(&self, key: &SessionKey, now: Instant) -> Arc<Room> {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.by_key.get(key) {
            return Arc::clone(room);
        }
        let room = Arc::new(Room::new(key.clone(), now));
        rooms.by_key.insert(key.clone(), Arc::clone(&room));
        rooms.by_id.insert(key.session_id, key.clone());
        room
    }

    /// The session's room, if there is one.
    pub fn find_room(&self, key: &SessionKey) -> Option<Arc<Room>> {
        self.rooms().by_key.get(key).cloned()
    }

    /// The room of a session of which only the id is known: from a hint.
    pub fn find_room_by_id(&self, id: SessionId) -> Option<Arc<Room>> {
        let rooms = self.rooms();
        rooms
            .by_id
            .get(&id)
            .and_then(|key| rooms.by_key.get(key))
            .cloned()
    }

    /// Forgets a room, if it is still this one.
    pub fn close_room(&self, room: &Arc<Room>) {
        let mut rooms = self.rooms();
        if rooms
            .by_key
            .get(room.key())
            .is_some_and(|known| Arc::ptr_eq(known, room))
        {
            rooms.by_key.remove(room.key());
            rooms.by_id.remove(&room.key().session_id);
        }
    }

    /// Every room.
    pub fn all_rooms(&self) -> Vec<Arc<Room>> {
        self.rooms().by_key.values().cloned().collect()
    }

    /// Adds a user's connection. `false`, and nothing is added, when the user has `max` of them (0 = no limit).
    pub fn enter(&self, user: &UserId, connection: ConnectionId, mailbox: Mailbox, max: u32) -> bool {
        let mut users = self.users();
        // Most users have one; a vector would begin with room for four.
        let connections = users.entry(user.clone()).or_insert_with(|| Vec::with_capacity(1));
        if max > 0 && connections.len() >= max as usize {
            return false;
        }
        connections.push((connection, mailbox));
        true
    }

    /// Removes a user's connection.
    pub fn leave(&self, user: &UserId, connection: ConnectionId) {
        let mut users = self.users();
        if let Some(connections) = users.get_mut(user) {
            connections.retain(|(id, _)| *id != connection);
            if connections.is_empty() {
                users.remove(user);
            }
        }
    }

    /// Who is connected here.
    pub fn connected_users(&self) -> Vec<UserId> {
        self.users().keys().cloned().collect()
    }

    /// Whether a user is connected here.
    pub fn is_connected(&self, user: &UserId) -> bool {
        self.users().contains_key(user)
    }

    /// How many connections there are.
    pub fn count_connections(&self) -> usize {
        self.users().values().map(Vec::len).sum()
    }

    /// How many sessions are in memory.
    pub fn count_rooms(&self) -> usize {
        self.rooms().by_key.len()
    }

    /// Tells all the user's connections here but one.
    pub fn post(&self, user: &UserId, signal: &Signal, except: Option<ConnectionId>) {
        for (connection, mailbox) in self.users().get(user).into_iter().flatten() {
            if Some(*connection) != except {
                mailbox.put(signal.clone());
            }
        }
    }

    /// Closes a connection, if it is here.
    pub fn close(&self, connection: ConnectionId, reason: CloseReason) {
        let users = self.users();
        let found = users.values().flatten().find(|(id, _)| *id == connection);
        if let Some((_, mailbox)) = found {
            mailbox.close(reason);
        }
    }

    /// Makes every connection of a user read its pending notifications from the store.
    pub fn resync(&self, user: &UserId) {
        for (_, mailbox) in self.users().get(user).into_iter().flatten() {
            mailbox.mark_lost();
        }
    }

    /// Makes a user's connections look at what concerns them.
    pub fn ring(&self, user: &UserId) {
        for (_, mailbox) in self.users().get(user).into_iter().flatten() {
            mailbox.ring();
        }
    }

    /// Makes every connection look at what concerns it.
    pub fn ring_all(&self) {
        for (_, mailbox) in self.users().values().flatten() {
            mailbox.ring();
        }
    }
}
