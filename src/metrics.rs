//! What operators watch, as Prometheus reads it: counters and times that rooms keep and the admin listener shows.
//!
//! Owns the names, their help texts and the two formats. Every series is there from the start, at zero, and none has a label
//! that a client can choose. Refuses to measure anything itself: whoever does something counts it here, in the group that it
//! belongs to, and what can only be read off is handed to [`Metrics::text`] as [`Readings`]. docs/metrics.md is the list.

mod answers;
mod appends;
mod deliveries;
mod labels;

mod process;
mod readings;
mod refusals;
mod sockets;
mod text;
mod traces;

use std::sync::Arc;

use prometheus_client::registry::Registry;

pub use answers::{Answers, ENDINGS, PROVIDER_FAULTS};
pub use appends::Appends;
pub use deliveries::Deliveries;
pub use readings::Readings;
pub use refusals::{LIMITS, Refusals};
pub use sockets::{RESUMES, Sockets};
pub use text::Format;
pub use traces::Traces;

use process::Process;
use readings::Gauges;

/// What every name begins with but those of the process itself, which have names of their own everywhere.
const PREFIX: &str = "agent_websocket";

/// All there is to watch. Cheap to clone: clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Sockets and what goes over them.
    pub sockets: Sockets,
    /// Answers, their provider and their price.
    pub answers: Answers,
    /// The way into the log.
    pub appends: Appends,
    /// Notifications, and hints between nodes.
    pub deliveries: Deliveries,
    /// What was turned away.
    pub refusals: Refusals,
    /// What is told to a collector.
    pub traces: Traces,
    gauges: Gauges,
    process: Process,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix(PREFIX);
        Self {
            sockets: Sockets::register(ours),
            answers: Answers::register(ours),
            appends: Appends::register(ours),
            deliveries: Deliveries::register(ours),
            refusals: Refusals::register(ours),
            traces: Traces::register(ours),
            gauges: Gauges::register(ours),
            process: Process::register(&mut registry),
            registry: Arc::new(registry),
        }
    }
}

impl Metrics {
    /// Runs that wait over all nodes, and for how long the first of them has, in seconds: as the database said last.
    pub fn runs_wait(&self, waiting: u64, oldest_seconds: f64) {
        self.gauges.runs_wait(waiting, oldest_seconds);
    }

    /// Everything, with what can only be read off now.
    pub fn text(&self, now: Readings, format: Format) -> String {
        self.gauges.set(now);
        self.process.read();
        text::write(&self.registry, format)
    }
}

#[cfg(test)]
mod tests;
