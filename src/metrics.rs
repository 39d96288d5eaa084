//! What operators watch, as Prometheus reads it: counters and times that rooms keep and the admin listener shows.
//!
//! Owns the names and their help texts. Every series is there from the start, at zero, and none has a label that a client
//! can choose. Refuses to measure anything itself: whoever does something counts it here.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The limits that refuse something, by the names that clients are told.
pub const LIMITS: [&str; 11] = [
    "auth_failures_per_address",
    "commands_per_user",
    "connections_per_address",
    "connections_per_user",
    "cost_per_day",
    "frames_per_socket",
    "queries_per_user",
    "queue_depth",
    "sessions_per_user",
    "stored_bytes_per_user",
    "tokens_per_day",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

/// Why a token was refused, as a label.
type Reason = [(&'static str, &'static str); 1];

/// All there is to watch. Cheap to clone: clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// 1 while NOTIFY is heard, 0 while only polling delivers.
    listener_up: Gauge,
    connections: Gauge,
    late_writes: Counter<u64, AtomicU64>,
    notifications: Counter<u64, AtomicU64>,
    notification_age: Histogram,
    refusals: Family<Limit, Counter<u64, AtomicU64>>,
    /// 1 while what was revoked is read in time, 0 while an old list counts.
    revocations_fresh: Gauge,
    tokens_refused: Family<Reason, Counter<u64, AtomicU64>>,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("agent_websocket");
        let listener_up = Gauge::default();
        registry.register(
            "listener_up",
            "1 while NOTIFY is heard; 0 while only polling brings what other nodes and services write",
            listener_up.clone(),
        );
        let connections = Gauge::default();
        registry.register("connections", "Open sockets of this node", connections.clone());
        let late_writes = Counter::default();
        registry.register(
            "late_writes_refused",
            "Ends of runs that were refused, since another node had ended the run",
            late_writes.clone(),
        );
        let notifications = Counter::default();
        registry.register(
            "notifications_delivered",
            "Rows of agent.notifications handed to connected users, repeats not counted",
            notifications.clone(),
        );
        // 1 ms to 33 s: what is delivered at once, by the poll, and after a slow transaction's commit.
        let notification_age = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        registry.register(
            "notification_delivery_seconds",
            "From a row's insert to its hand-over to a connected user",
            notification_age.clone(),
        );
        let refusals = Family::<Limit, Counter<u64, AtomicU64>>::default();
        for limit in LIMITS {
            let _ = refusals.get_or_create(&Limit { limit });
        }
        registry.register(
            "limit_refusals",
            "What limits refused, or would have refused in a dry run",
            refusals.clone(),
        );
        let revocations_fresh = Gauge::default();
        registry.register(
            "revocations_fresh",
            "1 while what was revoked is read each second; 0 while the database does not answer and an older list counts",
            revocations_fresh.clone(),
        );
        let tokens_refused = Family::default();
        registry.register(
            "tokens_refused",
            "Tokens and tickets that were not accepted, by reason",
            tokens_refused.clone(),
        );
        Self {
            listener_up,
            connections,
            late_writes,
            notifications,
            notification_age,
            refusals,
            revocations_fresh,
            tokens_refused,
            registry: Arc::new(registry),
        }
    }
}

impl Metrics {
    /// NOTIFY is heard.
    pub fn listener_is_up(&self) {
        self.listener_up.set(1);
    }

    /// NOTIFY is not heard.
    pub fn listener_is_down(&self) {
        self.listener_up.set(0);
    }

    /// A notification was handed over this long after its insert.
    pub fn delivered(&self, age: Duration) {
        self.notifications.inc();
        self.notification_age.observe(age.as_secs_f64());
    }

    /// A limit refused something; one of [`LIMITS`].
    pub fn refused_by(&self, limit: &'static str) {
        self.refusals.get_or_create(&Limit { limit }).inc();
    }

    /// What was revoked is known up to now.
    pub fn revocations_are_fresh(&self) {
        self.revocations_fresh.set(1);
    }

    /// What was revoked could not be read.
    pub fn revocations_are_stale(&self) {
        self.revocations_fresh.set(0);
    }

    /// All reasons for which tokens are refused: each is shown from the start.
    pub fn reasons_for_refusal(&self, reasons: impl Iterator<Item = &'static str>) {
        for reason in reasons {
            drop(self.tokens_refused.get_or_create(&[("reason", reason)]));
        }
    }

    /// A token was refused, for one of these reasons.
    pub fn token_refused(&self, reason: &'static str) {
        self.tokens_refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// The end of a run was refused.
    pub fn late_write_refused(&self) {
        self.late_writes.inc();
    }

    /// How many ends of runs were refused.
    pub fn late_writes_refused(&self) -> u64 {
        self.late_writes.get()
    }

    /// Everything in the `OpenMetrics` text format, which Prometheus reads. `connections`: how many there are now.
    pub fn text(&self, connections: usize) -> String {
        self.connections
            .set(i64::try_from(connections).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_from_the_start_and_counts() {
        let metrics = Metrics::default();
        let text = metrics.text(0);
        for line in [
            "agent_websocket_listener_up 0",
            "agent_websocket_connections 0",
            "agent_websocket_late_writes_refused_total 0",
            "agent_websocket_notifications_delivered_total 0",
            "agent_websocket_notification_delivery_seconds_count 0",
            "agent_websocket_limit_refusals_total{limit=\"cost_per_day\"} 0",
            "agent_websocket_revocations_fresh 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
        metrics.listener_is_up();
        metrics.clone().delivered(Duration::from_millis(3));
        metrics.reasons_for_refusal(["expired", "signature"].into_iter());
        metrics.token_refused("expired");
        let text = metrics.text(7);
        for line in [
            "agent_websocket_listener_up 1",
            "agent_websocket_connections 7",
            "agent_websocket_notifications_delivered_total 1",
            "agent_websocket_tokens_refused_total{reason=\"expired\"} 1",
            "agent_websocket_tokens_refused_total{reason=\"signature\"} 0",
            "agent_websocket_notification_delivery_seconds_bucket{le=\"0.004\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
    }
}
