//! The embedded Postgres: finds the machine's own Postgres programs, keeps a private cluster and runs it for as
//! long as this process lives, and not a moment longer.
//!
//! Owns the data directory, the server process and its Unix socket. Refuses to download anything, to listen on
//! TCP, to share a data directory between two processes and to touch one that it did not make. Knows nothing of
//! what is stored: schema and queries belong to `store`. Called by `agent-websocket dev` and by the tests; a
//! deployment sets `DATABASE_URL` and never comes here.
//!
//! ```text
//! this process ── pipe, lock ──▶ /bin/sh watchdog ── parent of ──▶ postgres
//!      dies ───── end of file ──▶ interrupts postgres, waits, removes a throw-away directory
//! ```

mod account;
mod advice;
mod cluster;
mod directory;
mod error;
mod initdb;
mod locate;
mod lock;
mod log;
mod previous;
mod scratch;
mod watchdog;

#[cfg(test)]
mod tests;

pub use self::cluster::Cluster;
pub use self::error::PostgresError;
pub use self::locate::Installation;
