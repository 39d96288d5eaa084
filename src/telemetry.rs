//! Logs: one subscriber, set up once. `main` calls it.
//!
//! Owns what no setting may loosen: which crates may be how loud, that an event is one line, and that a panic's words stay
//! out. Refuses colours: the sequences that make them are what a terminal is attacked with.

mod line;
mod panics;

use std::io::{self, BufWriter};

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
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

/// How many lines may wait to be written before those who log wait in turn.
const WAITING: usize = 1024;

/// What is written at once, in bytes, where lines wait.
const TOGETHER: usize = 16 * 1024;

/// The log's writer: when it is dropped, what still waits is written, for at most a second.
#[must_use = "without it nothing is written"]
#[derive(Debug)]
pub struct Log(#[expect(dead_code, reason = "held to be dropped")] WorkerGuard);

/// Starts logging to standard error, by a thread of its own that writes what has gathered since its last write: one system call a
/// line took a tenth of the processor time of 64 connections that ask all the time, and an eighth of what they were answered.
///
/// # Errors
/// When the filter cannot be read, or logging was started before.
pub fn start(settings: &LogSettings) -> anyhow::Result<Log> {
    let output = OneLine::new(BufWriter::with_capacity(TOGETHER, io::stderr()));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(WAITING)
        .thread_name("log")
        .finish(output);
    // What is logged after the end of the log is nobody's concern.
    let lines = fmt::layer()
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(writer);
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
    Ok(Log(guard))
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
