//! A run from its beginning to its end: the bed is made, each suite is measured in turn, the report is written, all is removed.
//! Called by `app`.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use super::bed::{Bed, Contestant};
use super::deployed::Deployment;
use super::progress::Progress;
use super::report::{self, Circumstances, Manifest, Report, Table};
use super::suites::Suite;
use crate::cli::BenchArgs;
use crate::clock::Clock;
use crate::protocol::text::Timestamp;

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
    if let Some(deployment) = Deployment::of(arguments)? {
        return load(&deployment, arguments).await;
    }
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
    let faults = measured?;
    stopped?;
    nothing_lost(faults)
}

fn nothing_lost((lost, doubled): (usize, usize)) -> anyhow::Result<()> {
    ensure!(
        lost == 0 && doubled == 0,
        "{lost} messages or tokens were lost, {doubled} came twice"
    );
    Ok(())
}

/// A deployment that is there, once a round.
async fn load(deployment: &Deployment, arguments: &BenchArgs) -> anyhow::Result<()> {
    let mut report = Report::default();
    let mut progress = Progress::new(usize::try_from(arguments.rounds)?);
    let bound = Duration::from_secs(arguments.max_seconds);
    for round in 1..=arguments.rounds {
        progress.next(&format!("questions, round {round}"));
        let sample = tokio::time::timeout(bound, deployment.measure())
            .await
            .context("a round took longer than --max-seconds")??;
        report.add(Suite::Deployment, Contestant::Service, sample);
    }
    progress.clear();
    let table = report.table(
        Suite::Deployment,
        &Circumstances {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: Timestamp(Clock::system().now()),
            machine: machine(),
            postgres: "the deployment's own Postgres".to_owned(),
            command: format!(
                "agent-websocket bench --target ADDRESS --connections {} --questions {} --rounds {}",
                arguments.connections, arguments.questions, arguments.rounds
            ),
        },
    );
    writeln!(std::io::stdout(), "{}", table.text()?)?;
    write_files(arguments, &[table])?;
    nothing_lost(report.faults())
}

async fn measure(bed: &Bed, machine: String, arguments: &BenchArgs) -> anyhow::Result<(usize, usize)> {
    let mut out = std::io::stdout();
    let published = arguments.check.as_deref().map(Manifest::read).transpose()?;
    let circumstances = circumstances(bed, machine).await?;
    writeln!(out, "{}; {}\n", circumstances.machine, circumstances.postgres)?;
    if cfg!(debug_assertions) {
        writeln!(out, "A debug build: the figures mean nothing.\n")?;
    }
    let suites = suites(arguments, published.as_ref());
    let steps: usize = suites.iter().map(|suite| suite.contestants().len()).sum();
    let mut progress = Progress::new(steps * usize::try_from(arguments.rounds)?);
    let mut report = Report::default();
    let mut tables = Vec::new();
    let mut worse = Vec::new();
    for suite in suites {
        measure_suite(bed, suite, arguments, &mut report, &mut progress).await?;
        let own = Circumstances {
            command: command(suite, arguments),
            ..circumstances.clone()
        };
        let table = report.table(suite, &own);
        progress.clear();
        writeln!(out, "{}", table.text()?)?;
        let then = published
            .iter()
            .flat_map(|published| &published.suites)
            .find(|then| then.suite == table.suite);
        if let Some(then) = then {
            worse.extend(report::worse(suite, then, &table, arguments.tolerance));
        }
        tables.push(table);
    }
    write_files(arguments, &tables)?;
    ensure!(worse.is_empty(), "worse than published:\n{}", worse.join("\n"));
    Ok(report.faults())
}

/// Those named; with a manifest and none named, those that it has.
fn suites(arguments: &BenchArgs, published: Option<&Manifest>) -> Vec<Suite> {
    let has = |suite: &&Suite| {
        published.is_none_or(|published| published.suites.iter().any(|table| table.suite == suite.name()))
    };
    match (&arguments.suites[..], published) {
        ([], Some(_)) => Suite::value_variants().iter().filter(has).copied().collect(),
        ([], None) => Suite::MAIN.to_vec(),
        (named, _) => named.iter().filter(has).copied().collect(),
    }
}

async fn measure_suite(
    bed: &Bed,
    suite: Suite,
    arguments: &BenchArgs,
    report: &mut Report,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    for round in 1..=arguments.rounds {
        for &contestant in suite.contestants() {
            let what = format!("{} {}, round {round}", suite.name(), contestant.name());
            progress.next(&what);
            let sample = suite
                .measure(bed, contestant, arguments.scale)
                .await
                .with_context(|| what)?;
            report.add(suite, contestant, sample);
        }
    }
    Ok(())
}

fn write_files(arguments: &BenchArgs, tables: &[Table]) -> anyhow::Result<()> {
    let write =
        |path: &Path, text: String| std::fs::write(path, text).with_context(|| path.display().to_string());
    if let Some(path) = &arguments.json {
        let manifest = Manifest {
            suites: tables.to_vec(),
        };
        write(path, manifest.text()?)?;
    }
    if let Some(path) = &arguments.html {
        write(path, report::html(tables)?)?;
    }
    if let Some(directory) = &arguments.publish {
        Manifest::publish(directory, tables)?;
    }
    Ok(())
}

/// What measures one suite again, as it was measured.
fn command(suite: Suite, arguments: &BenchArgs) -> String {
    let pin = if arguments.pin { " --pin" } else { "" };
    let scale = if (arguments.scale - 1.0).abs() < f64::EPSILON {
        String::new()
    } else {
        format!(" --scale {}", arguments.scale)
    };
    format!(
        "agent-websocket bench --suite {} --rounds {}{scale}{pin}",
        suite.name(),
        arguments.rounds
    )
}

async fn circumstances(bed: &Bed, machine: String) -> anyhow::Result<Circumstances> {
    Ok(Circumstances {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: Timestamp(Clock::system().now()),
        machine,
        postgres: bed.describe().await?,
        command: String::new(),
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
