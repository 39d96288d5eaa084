//! A run from its beginning to its end: the bed is made, each suite is measured in turn, the report is written, all is removed.
//! Called by `app`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::bed::{Bed, Contestant};
use super::progress::Progress;
use super::report::{Report, Table};
use crate::cli::BenchArgs;
use crate::clock::Clock;
use crate::protocol::text::Timestamp;

/// What the figures come from.
#[derive(Debug, Serialize)]
struct Circumstances {
    version: &'static str,
    at: Timestamp,
    machine: String,
    postgres: String,
    command: String,
}

/// Everything, as the file has it.
#[derive(Debug, Serialize)]
struct Document<'a> {
    circumstances: &'a Circumstances,
    suites: &'a [Table],
}

/// Measures, on one thread: the load is to take no more of the machine than it must.
///
/// # Errors
/// When something cannot be started, a bound is reached, or a message was lost or came twice.
pub async fn run(arguments: BenchArgs) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(on_one_thread(&arguments))
    })
    .await?
}

async fn on_one_thread(arguments: &BenchArgs) -> anyhow::Result<()> {
    // Before this process is pinned, which would hide a core.
    let machine = machine();
    let bed = Bed::start(arguments.pin).await?;
    let measured = tokio::select! {
        measured = measure(&bed, machine, arguments) => measured,
        () = tokio::time::sleep(Duration::from_secs(arguments.max_seconds)) => {
            Err(anyhow::anyhow!("not done within --max-seconds {}", arguments.max_seconds))
        }
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let stopped = bed.stop().await;
    let (lost, doubled) = measured?;
    stopped?;
    ensure!(
        lost == 0 && doubled == 0,
        "{lost} messages or tokens were lost, {doubled} came twice"
    );
    Ok(())
}

async fn measure(bed: &Bed, machine: String, arguments: &BenchArgs) -> anyhow::Result<(usize, usize)> {
    let circumstances = circumstances(bed, machine).await?;
    writeln!(
        std::io::stdout(),
        "{}\n{}; {}\n",
        circumstances.command,
        circumstances.machine,
        circumstances.postgres
    )?;
    if cfg!(debug_assertions) {
        writeln!(std::io::stdout(), "A debug build: the figures mean nothing.\n")?;
    }
    let mut report = Report::default();
    let rounds = usize::try_from(arguments.rounds)?;
    let mut progress = Progress::new(arguments.suites.len() * rounds * 2);
    for &suite in &arguments.suites {
        for round in 1..=rounds {
            for contestant in [Contestant::Floor, Contestant::Service] {
                let what = format!("{} {}, round {round}", suite.name(), contestant.name());
                progress.next(&what);
                let sample = suite
                    .measure(bed, contestant, arguments.scale)
                    .await
                    .with_context(|| what)?;
                report.add(suite, contestant, sample);
            }
        }
        progress.clear();
        if let Some(table) = report.tables().iter().find(|table| table.suite == suite.name()) {
            writeln!(std::io::stdout(), "{}", table.text()?)?;
        }
    }
    write_files(arguments, &circumstances, &report)?;
    Ok(report.faults())
}

fn write_files(arguments: &BenchArgs, circumstances: &Circumstances, report: &Report) -> anyhow::Result<()> {
    let tables = report.tables();
    if let Some(path) = &arguments.json {
        let document = Document {
            circumstances,
            suites: &tables,
        };
        let mut text = serde_json::to_string_pretty(&document)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

async fn circumstances(bed: &Bed, machine: String) -> anyhow::Result<Circumstances> {
    let mut command = String::from("agent-websocket");
    for argument in std::env::args().skip(1) {
        write!(command, " {argument}")?;
    }
    Ok(Circumstances {
        version: env!("CARGO_PKG_VERSION"),
        at: Timestamp(Clock::system().now()),
        machine,
        postgres: bed.describe().await?,
        command,
    })
}

/// Cores and their name, where the system tells.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split(':').nth(1)?.trim().to_owned())
    });
    format!(
        "{cores} cores ({}), {} {}",
        model.as_deref().unwrap_or("unknown"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}
