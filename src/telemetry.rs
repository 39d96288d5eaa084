//! Logs: one subscriber, set up once. `main` calls it.
//!
//! Owns what no setting may loosen: which crates may be how loud, that an event is one line, and that a panic's words stay
//! out. Refuses colours: the sequences that make them are what a terminal is attacked with.

mod line;
mod panics;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use crate::config::{LogFormat, LogSettings};
use line::OneLine;

/// The crate whose events the filter alone decides about.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// What the database says beside its answers: a notice of somebody's trigger may quote what a user wrote.
const NOTICES: [&str; 3] = ["sqlx", "postgres", "notice"];

/// Starts logging to standard error.
///
/// # Errors
/// When the filter cannot be read, or logging was started before.
pub fn start(settings: &LogSettings) -> anyhow::Result<()> {
    let lines = fmt::layer()
        .with_ansi(false)
        .with_writer(|| OneLine::new(std::io::stderr()));
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    registry()
        .with(EnvFilter::try_new(&settings.filter)?)
        .with(filter_fn(may_be_heard))
        .with(lines)
        .try_init()
        .map_err(|error| anyhow::anyhow!("logging could not be started: {error}"))?;
    panics::log_them();
    Ok(())
}

/// Whether an event may be logged, whatever the filter says. Below `info` other crates print frames, headers with tokens in
/// them, and SQL; a filter such as `hyper::proto=trace` would outweigh a cap among its own directives, so this one stands
/// beside it.
fn may_be_heard(event: &Metadata<'_>) -> bool {
    let mut target = event.target().split("::");
    let loudest = if target.clone().eq(NOTICES) {
        LevelFilter::OFF
    } else if target.next() == Some(OURS) {
        LevelFilter::TRACE
    } else {
        LevelFilter::INFO
    };
    *event.level() <= loudest
}

#[cfg(test)]
mod tests;
