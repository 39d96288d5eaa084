//! The other end of the wire: a client of this contract, for the terminal (`chat`) and for `check`.
//!
//! What it does with a frame or a close is decided without I/O, in [`replica`] and [`comeback`]; `connection` owns the
//! socket and carries that out. It knows the contract's types and nothing of the server: what it believes it has heard on
//! the wire. Refuses to run by itself: whoever holds a [`Client`] drives it by calling [`Client::next`].

pub mod address;
pub mod comeback;
mod connection;
mod dial;
pub mod frames;
pub mod news;
pub mod replica;
pub mod says;
pub mod web;

#[cfg(test)]
mod tests;

pub use connection::{Client, Event, Options, Token};
pub use dial::{Refused, Socket, dial};

/// Why a frame could not be taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much waits to be sent; the server has not answered for long")]
pub struct OutboxFull;
