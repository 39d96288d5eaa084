//! What operators run and look at: the metrics, the dashboard and the alerts, the files under deploy/.

mod documents;
mod metrics;
mod packages;
mod proxies;
mod rules;

use std::path::PathBuf;

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
