//! Arguments and help of `bench`. Carried out by [`crate::bench`].

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::bench::Suite;

/// Arguments of `bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// What to measure, several by commas. Not given: all but jitter, slow, nodes and stored; with --check, what was published.
    #[arg(long = "suite", value_enum, value_delimiter = ',')]
    pub suites: Vec<Suite>,

    /// Put the load on the deployment at this address instead (plain HTTP; where TLS ends elsewhere, behind it).
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["suites", "check", "publish", "pin", "scale"])]
    pub target: Option<SocketAddr>,

    /// Be the deployment's model, at this address; it is told so by its base URL.
    #[arg(long, value_name = "ADDRESS", requires = "target")]
    pub provider: Option<SocketAddr>,

    /// With --target: clients, each a user and a session of its own.
    #[arg(long, value_name = "COUNT", default_value_t = 8, requires = "target")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=20_000))]
    pub connections: usize,

    /// With --target: questions of each client, one after the other.
    #[arg(long, value_name = "COUNT", default_value_t = 5, requires = "target")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=400))]
    pub questions: usize,

    /// How often each is measured, service and floor in turn; the tables show medians.
    #[arg(long, default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,

    /// How much of the work each suite does, from 0.001 to 10: less for a quick look, more for a larger machine.
    #[arg(long, default_value = "1", value_parser = share)]
    pub scale: f64,

    /// Server on the first core that this process may use, load and provider on the second: Linux, with `taskset`.
    #[arg(long)]
    pub pin: bool,

    /// Bound on the whole run, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub max_seconds: u64,

    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Also write tables and plots (latency percentiles, growth) to this page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Put the figures into performance.json, performance.md and performance/ of this directory: the project's docs.
    #[arg(long, value_name = "DIR")]
    pub publish: Option<PathBuf>,

    /// Compare with these published figures, and fail where a ratio has become worse.
    #[arg(long, value_name = "FILE", conflicts_with = "publish")]
    pub check: Option<PathBuf>,

    /// By how much a ratio may be worse than published: 0.3 = by three tenths.
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, requires = "check")]
    pub tolerance: f64,
}

fn share(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .ok()
        .filter(|share| (0.001..=10.0).contains(share))
        .ok_or("a number from 0.001 to 10")
}

/// Arguments of `bench-floor`, which `bench` gives itself.
#[derive(Clone, Debug, clap::Args)]
pub struct FloorArgs {
    /// Where the scripted provider listens.
    #[arg(long)]
    pub provider: SocketAddr,

    /// Where the floor stores its rows.
    #[arg(long)]
    pub database: String,
}

pub(super) const BENCH: &str = "\
Measure this program on this machine, beside floors measured in the same run.

Starts a Postgres of its own (flushing, in a temporary directory), a scripted provider in this process, and in turn this
program's server and a floor: a bare relay that does the same work without sessions, tokens, limits or resume. Everything is on
loopback and is removed afterwards. Prints a table for each suite:

  service    the median of the rounds, of this program
  floor      the same of the floor, or of what the heading names instead
  ratio      service divided by floor, taken within each round; the median. What disturbs the machine disturbs both
  of rounds  the smallest and the largest ratio: how far the ratio can be trusted
  cores taken by others   how busy the machine was with other work: beyond 0.2, read the ratios and not the times

Fails when a message was lost or came twice, or a bound was reached; a missed goal is only shown, unless --check is given.

With --target the load goes to a deployment that is there, as users named bench-…, whose sessions stay; JWT_SECRET
in the environment signs their tokens. Its own limits hold: raise
RATE_LIMIT_PER_MINUTE, RATE_LIMIT_BURST and CONNECTIONS_PER_MINUTE_PER_ADDRESS meanwhile, or ask less. Each question costs what the
deployment's model costs, unless it has OPENROUTER_BASE_URL=http://ADDRESS/api/v1 of --provider. Every client is cut at the end and comes back to its session: a
message that is not sent then was lost.";

pub(super) const BENCH_EXAMPLES: &str = "\
Examples:
  agent-websocket bench --pin
      The main suites, three rounds.
  agent-websocket bench --suite query64,flood --rounds 5 --pin --json figures.json
  agent-websocket bench --scale 0.1 --rounds 1 --html bench.html
      A quick look, with plots for the browser.
  agent-websocket bench --suite memory --scale 10 --rounds 1
      20,000 connections, after `ulimit -n 65536`.
  agent-websocket bench --suite stored --scale 0.1 --rounds 1 --max-seconds 7200
      A million messages.
  agent-websocket bench --check docs/performance.json --pin
      Whether what was published still holds.
  JWT_SECRET=… agent-websocket bench --target 10.0.0.5:8080 --connections 50 --questions 10
      A deployment, with its own model.";
