//! Logs: one subscriber, set up once. `main` calls it.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, LogSettings};

/// Libraries that print frames, headers or SQL below this level are kept quiet, whatever the filter says of our own code.
const QUIET: [&str; 6] = [
    "hyper=info",
    "tungstenite=info",
    "tokio_tungstenite=info",
    "sqlx=warn",
    "reqwest=info",
    "h2=info",
];

/// Starts logging to standard error.
///
/// # Errors
/// When the filter cannot be read, or logging was started before.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(&settings.filter)?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse()?);
    }
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging could not be started: {error}"))
}
