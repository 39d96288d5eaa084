//! Agent WebSocket: persistent sessions for AI agents, backed by Postgres.
//!
//! A socket is a read-only view over a durable log in Postgres; an answer is a run that belongs to its session
//! and to no socket; any node can serve any session; NOTIFY only ever says "look again".

pub mod postgres;
