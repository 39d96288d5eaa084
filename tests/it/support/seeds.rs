//! What tests with random plans have in common: which seeds to run, and saying which one failed.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::thread;

use super::database::environment;

/// `<PREFIX>_SEED=<seed>` names one; `<PREFIX>_SEEDS=<n>` names 1 to n; otherwise those of an ordinary run.
pub(crate) fn seeds(prefix: &str, ordinary: RangeInclusive<u64>) -> Vec<u64> {
    let number = |suffix: &str| {
        let name = format!("{prefix}_{suffix}");
        environment(&name).map(|text| {
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{name} must be a number"))
        })
    };
    match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(n)) => (1..=n).collect(),
        (None, None) => ordinary.collect(),
    }
}

/// Says which plan failed, whatever failed.
pub(crate) struct Blame<'a, P: Display>(pub(crate) &'a P);

impl<P: Display> Drop for Blame<'_, P> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}
