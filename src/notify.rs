//! Who is connected here, and how processes tell each other to look again.
//!
//! Owns the rooms (one a session that somebody watches or writes), the users' connections, and both ends of NOTIFY. A
//! notification is a hint; the table is the truth. Refuses to interpret what it moves and to read the log: `feed` does.

pub mod hub;
pub mod listener;
pub mod mailbox;
pub mod notifier;
pub mod room;
pub mod turnstile;

#[cfg(test)]
mod tests;
