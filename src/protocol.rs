//! The wire contract as types: what clients may say, what the server says, errors and close codes.
//!
//! Data only: nothing here knows a socket, a database or the time. PROTOCOL.md is the same contract in prose; a test
//! parses each of its examples with these types.

pub mod ai_sdk;
pub mod body;
pub mod client;
pub mod close;
pub mod error;
pub mod item;
pub mod notice;
pub mod server;
pub mod text;

#[cfg(test)]
mod tests;

/// The version that `welcome` names.
pub const VERSION: u32 = 1;

/// The sub-protocol that a client offers to speak this contract and that the server selects.
pub const SUBPROTOCOL: &str = "agentws.v1";

/// What precedes the token in the second sub-protocol that a browser offers.
pub const BEARER_PREFIX: &str = "agentws.bearer.";
