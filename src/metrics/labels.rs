//! Series with one label whose values are a closed set, all there from the start.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One label and its value.
pub(super) type Label = [(&'static str, &'static str); 1];

/// A counter of whole things.
pub(super) type Count = Counter<u64, AtomicU64>;

/// A counter of fractions: money.
pub(super) type Sum = Counter<f64, AtomicU64>;

/// Counters that one label tells apart.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    label: &'static str,
    family: Family<Label, Count>,
}

impl Counts {
    /// Registers a counter for each of these values.
    pub(super) fn register(
        registry: &mut Registry,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let counts = Self {
            label,
            family: Family::default(),
        };
        registry.register(name, help, counts.family.clone());
        for value in values {
            counts.show(value);
        }
        counts
    }

    /// Makes a value's counter be there.
    pub(super) fn show(&self, value: &'static str) {
        drop(self.family.get_or_create(&[(self.label, value)]));
    }

    /// Counts one.
    pub(super) fn count(&self, value: &'static str) {
        self.add(value, 1);
    }

    /// Counts some.
    pub(super) fn add(&self, value: &'static str, some: u64) {
        self.family.get_or_create(&[(self.label, value)]).inc_by(some);
    }

    /// A value's counter, for whoever counts often.
    pub(super) fn of(&self, value: &'static str) -> Count {
        self.family.get_or_create_owned(&[(self.label, value)])
    }
}

/// Registers a counter.
pub(super) fn count(registry: &mut Registry, name: &str, help: &str) -> Count {
    let counter = Count::default();
    registry.register(name, help, counter.clone());
    counter
}
