//! What the tests stand on.

pub(crate) mod browser;
pub(crate) mod cable;
pub(crate) mod chaos;
pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod database;
pub(crate) mod detour;
pub(crate) mod device;
pub(crate) mod fleet;
pub(crate) mod gate;
pub(crate) mod gauge;
pub(crate) mod http;
pub(crate) mod issuer;
pub(crate) mod ledger;
pub(crate) mod meddler;
pub(crate) mod node;
pub(crate) mod pooler;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod provider;
pub(crate) mod raw;
pub(crate) mod schema;
pub(crate) mod seeds;
pub(crate) mod tool;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything that should happen may take: generous, since it is only waited out by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until a condition holds.
///
/// # Panics
/// When it does not within [`PATIENCE`]; `what` says what was waited for.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
