//! What is told to an OpenTelemetry collector, and what is not.

use prometheus_client::registry::Registry;

use super::labels::{Count, Counts, count};

/// Counts spans.
#[derive(Clone, Debug)]
pub struct Traces {
    exported: Count,
    dropped: Counts,
}

impl Traces {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let exported = count(registry, "spans_exported", "Spans that the collector took");
        let dropped = Counts::register(
            registry,
            "spans_dropped",
            "Spans that were lost: queue_full, more came than could be sent; not_taken, the collector was away or refused them",
            "reason",
            ["queue_full", "not_taken"],
        );
        Self { exported, dropped }
    }

    /// The collector took some.
    pub fn exported(&self, spans: usize) {
        self.exported.inc_by(spans as u64);
    }

    /// Some were lost: `queue_full` or `not_taken`.
    pub fn dropped(&self, reason: &'static str, spans: usize) {
        self.dropped.add(reason, spans as u64);
    }
}
