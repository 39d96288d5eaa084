//! The way into the log: how much a commit holds and how long it takes.

use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::labels::{Count, count};

/// Counts commits.
#[derive(Clone, Debug)]
pub struct Appends {
    rows: Histogram,
    duration: Histogram,
    retries: Count,
}

impl Appends {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let rows = Histogram::new(exponential_buckets(1.0, 2.0, 10));
        registry.register(
            "append_batch_rows",
            "Queries and answers stored by one commit",
            rows.clone(),
        );
        // 0.5 ms to 8 s: a round trip, a slow disk, an outage.
        let duration = Histogram::new(exponential_buckets(0.0005, 2.0, 15));
        registry.register(
            "append_duration_seconds",
            "From the start of a batch to its commit, repetitions after a lost connection included",
            duration.clone(),
        );
        let retries = count(
            registry,
            "append_retries",
            "Tries to store a batch that failed and were repeated",
        );
        Self {
            rows,
            duration,
            retries,
        }
    }

    /// A batch was stored.
    pub fn stored(&self, rows: usize, duration: Duration) {
        self.rows.observe(rows as f64);
        self.duration.observe(duration.as_secs_f64());
    }

    /// A try failed and is repeated.
    pub fn repeated(&self) {
        self.retries.inc();
    }
}
