//! Arguments and help of `bench`. Carried out by [`crate::bench`].

use std::path::PathBuf;

use crate::bench::Suite;

/// Arguments of `bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(long = "suite", value_enum, value_delimiter = ',', default_values_t = Suite::MAIN)]
    pub suites: Vec<Suite>,

    /// How often each is measured, service and floor in turn; the tables show medians.
    #[arg(long, default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,

    /// Part of the work that each suite does, from 0.01 to 1, for a quick look.
    #[arg(long, default_value = "1", value_parser = share)]
    pub scale: f64,

    /// Server on the first core, load and provider on the second: Linux, with `taskset`.
    #[arg(long)]
    pub pin: bool,

    /// Bound on the whole run, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub max_seconds: u64,

    /// Also write every figure of every round to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn share(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .ok()
        .filter(|share| (0.01..=1.0).contains(share))
        .ok_or("a number from 0.01 to 1")
}

/// Arguments of `bench-floor`, which `bench` gives itself.
#[derive(Clone, Debug, clap::Args)]
pub struct FloorArgs {
    /// Where the scripted provider listens.
    #[arg(long)]
    pub provider: std::net::SocketAddr,

    /// Where the floor stores its rows.
    #[arg(long)]
    pub database: String,
}

pub(super) const BENCH: &str = "\
Measure this program on this machine, beside floors measured in the same run.

Starts a Postgres of its own (flushing, in a temporary directory), a scripted provider in this process, and in turn this
program's server and a floor: a bare relay that does the same work without sessions, tokens, limits or resume. Everything is on
loopback and is removed afterwards. Prints a table; a ratio is taken within a round. Fails when a message was lost or came
twice, or a bound was reached; a missed goal is only shown.";

pub(super) const BENCH_EXAMPLES: &str = "\
Examples:
  agent-websocket bench --pin
      The main suites, three rounds.
  agent-websocket bench --suite query64,flood --rounds 5 --pin --json figures.json
  agent-websocket bench --scale 0.1 --rounds 1
      A quick look.";
