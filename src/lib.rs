//! Agent WebSocket: persistent sessions for AI agents, backed by Postgres.
//!
//! A socket is a read-only view over a durable log in Postgres; an answer is a run that belongs to its session and
//! to no socket; any node can serve any session; NOTIFY only ever says "look again".

// Leaves: data only.
pub mod cidr;
pub mod clock;
pub mod host;
pub mod ids;
pub mod log;
pub mod metrics;
pub mod protocol;
pub mod secret;
pub mod trace;
// Core: pure, no I/O, time passed in.
pub mod prompt;
pub mod session;
// Adapters: one outside thing each.
pub mod auth;
pub mod client;
pub mod limits;
pub mod llm;
pub mod notify;
pub mod otlp;
pub mod postgres;
pub mod store;
// Orchestration.
pub mod feed;
pub mod http;
pub mod runs;
pub mod service;
pub mod upkeep;
pub mod ws;
// Composition.
pub mod app;
pub mod bench;
pub mod chat;
pub mod check;
pub mod cli;
pub mod config;
pub mod conformance;
pub mod shutdown;
pub mod spec;
pub mod telemetry;
