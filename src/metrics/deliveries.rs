//! What comes from elsewhere: notifications that services insert, and hints between nodes.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::labels::{Count, count};

/// Counts deliveries.
#[derive(Clone, Debug)]
pub struct Deliveries {
    listener_up: Gauge,
    hint_round_trip: Histogram,
    notifications: Count,
    notification_age: Histogram,
}

impl Deliveries {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let listener_up = Gauge::default();
        registry.register(
            "listener_up",
            "1 while NOTIFY is heard; 0 while only polling brings what other nodes and services write",
            listener_up.clone(),
        );
        // 0.5 ms to 4 s; a probe that takes 3 s counts as lost.
        let hint_round_trip = Histogram::new(exponential_buckets(0.0005, 2.0, 14));
        registry.register(
            "hint_round_trip_seconds",
            "From a hint to oneself to hearing it: NOTIFY, Postgres, LISTEN",
            hint_round_trip.clone(),
        );
        let notifications = count(
            registry,
            "notifications_delivered",
            "Rows of agent.notifications handed to connected users, repeats not counted",
        );
        // 1 ms to 33 s: what is delivered at once, by the poll, and after a slow transaction's commit.
        let notification_age = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        registry.register(
            "notification_delivery_seconds",
            "From a row's insert to its hand-over to a connected user",
            notification_age.clone(),
        );
        Self {
            listener_up,
            hint_round_trip,
            notifications,
            notification_age,
        }
    }

    /// NOTIFY is heard.
    pub fn listener_is_up(&self) {
        self.listener_up.set(1);
    }

    /// NOTIFY is not heard.
    pub fn listener_is_down(&self) {
        self.listener_up.set(0);
    }

    /// A hint to oneself was heard after this time.
    pub fn heard_after(&self, round_trip: Duration) {
        self.hint_round_trip.observe(round_trip.as_secs_f64());
    }

    /// A notification was handed over this long after its insert.
    pub fn delivered(&self, age: Duration) {
        self.notifications.inc();
        self.notification_age.observe(age.as_secs_f64());
    }
}
