//! What comes out of a measurement: times, quantiles, medians. Pure. Called by the suites and the report.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Where this process's own monotonic time begins.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since this process first asked: what the scripted provider puts into tokens and the load takes out again.
pub(super) fn now_ns() -> u64 {
    u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Times of one thing that was done many times, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(Vec<u64>);

impl Times {
    /// One more.
    pub(super) fn add(&mut self, ns: u64) {
        self.0.push(ns);
    }

    /// All of another's.
    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// In ascending order.
    pub(super) fn sorted(mut self) -> SortedTimes {
        self.0.sort_unstable();
        SortedTimes(self.0)
    }
}

/// The same, to ask for quantiles.
#[derive(Clone, Debug, Default)]
pub(super) struct SortedTimes(Vec<u64>);

impl SortedTimes {
    /// The time in milliseconds that this share of them does not exceed; `None` without any.
    pub(super) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        let place = rounded(share * last as f64);
        self.0.get(place).map(|ns| *ns as f64 / 1e6)
    }

    /// Quantiles for a plot, from the median to as far as there are enough of them.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        let enough = |share: &&f64| (1.0 - **share) * self.0.len() as f64 >= 5.0;
        CURVE
            .iter()
            .filter(enough)
            .filter_map(|share| Some((*share, self.quantile_ms(*share)?)))
            .collect()
    }
}

const CURVE: [f64; 12] = [
    0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999,
];

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list: not negative, and far below 2^52"
)]
fn rounded(place: f64) -> usize {
    place.round().max(0.0) as usize
}

/// A part of a count, at least one.
pub(super) fn scaled(count: usize, scale: f64) -> usize {
    rounded(count as f64 * scale).max(1)
}

/// The middle one; the mean of the middle two.
pub(super) fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = figures
        .iter()
        .copied()
        .filter(|figure| figure.is_finite())
        .collect();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len().is_multiple_of(2) {
        let lower = sorted.get(sorted.len() / 2 - 1)?;
        return Some(f64::midpoint(*lower, upper));
    }
    Some(upper)
}

/// How many a second.
pub(super) fn rate(count: usize, within: Duration) -> f64 {
    count as f64 / within.as_secs_f64()
}

#[cfg(test)]
mod tests;
