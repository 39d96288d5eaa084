//! What is measured: the suites, the figures of each, and the goals.
//!
//! A suite's work is in a module of its own below; here is what the table says about it. Called by `run` and by the command
//! line.

mod connections;
mod fan;
mod formations;
mod goals;
mod jitter;
mod queries;
mod stored;
mod storm;
mod streams;

use std::time::Instant;

use super::bed::{Bed, Contestant, Formation, Running};
use super::figures::SortedTimes;
use super::gauge;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Suite {
    /// Durable queries, 64 connections at once.
    Query64,
    /// Durable queries, one connection: latency.
    Query1,
    /// Query64 beside a relay that writes the same rows and decides nothing.
    Rows64,
    /// Query1 beside the same.
    Rows1,
    /// Paced50 beside the same.
    Rows50,
    /// Paced400 beside the same.
    Rows400,
    /// Tokens as fast as they go, 16 streams.
    Flood,
    /// 50 streams of 50 tokens a second: what is added to each token.
    Paced50,
    /// 400 streams of 50 tokens a second.
    Paced400,
    /// Memory: base, 2,000 idle connections, the same after a query each.
    Memory,
    /// CPU of a connect: token, session row, welcome.
    Handshake,
    /// A notification to 500 sockets of one user.
    Fan500,
    /// 3,000 sockets cut and back at once, each with what it missed, from Postgres.
    Storm,
    /// 10,000 clients on a bad network for a minute: nothing lost, nothing twice.
    Jitter,
    /// Sessions of 400 questions beside sessions of 25.
    Long,
    /// Durable queries with slower commits, beside a commit for each row.
    Slow,
    /// Durable queries over 1, 2 and 4 nodes.
    Nodes,
    /// List, history and search among 10 million messages, beside 10,000 (takes twenty minutes; less with --scale).
    Stored,
    /// Questions to the deployment at --target.
    #[value(skip)]
    Deployment,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    /// The ratio to the floor is at least this.
    RatioAtLeast(f64),
    /// The ratio to the floor is at most this.
    RatioAtMost(f64),
    /// The figure itself is at most this.
    AtMost(f64),
    /// The figure itself is at least this.
    AtLeast(f64),
    /// Only to be read.
    None,
}

/// A figure of a suite: its name with its unit, and its goal.
pub(super) type Figure = (&'static str, Goal);

/// What one contestant did in one round.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// By the figure's name; what could not be measured is absent.
    pub(super) figures: Vec<(&'static str, f64)>,
    /// Times for the plot.
    pub(super) times: SortedTimes,
    /// Growth for the plot: how much of something, and the rate with it.
    pub(super) points: Vec<(f64, f64)>,
    /// Messages or tokens that never came, and that came again.
    pub(super) lost: usize,
    pub(super) doubled: usize,
}

impl Sample {
    /// Notes a figure, if there is one.
    pub(super) fn note(&mut self, name: &'static str, figure: impl Into<Option<f64>>) {
        if let Some(figure) = figure.into() {
            self.figures.push((name, figure));
        }
    }
}

/// The route of that relay.
const SAME_ROWS: &str = "/rows";

/// Cores that others on the machine took meanwhile: how far the times can be trusted.
pub(super) const DISTURBANCE: &str = "cores taken by others";

impl Suite {
    /// What runs unless others are named.
    pub const MAIN: [Self; 14] = [
        Self::Query64,
        Self::Query1,
        Self::Rows64,
        Self::Rows1,
        Self::Flood,
        Self::Paced50,
        Self::Paced400,
        Self::Rows50,
        Self::Rows400,
        Self::Memory,
        Self::Handshake,
        Self::Fan500,
        Self::Storm,
        Self::Long,
    ];

    /// Its name on the command line and in files.
    pub(super) fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self)
            .map_or_else(|| "deployment".to_owned(), |value| value.get_name().to_owned())
    }

    /// The same work beside the bare floor, of a suite that is measured beside the relay with the service's rows and frames.
    fn beside_the_floor(self) -> Option<Self> {
        match self {
            Self::Rows64 => Some(Self::Query64),
            Self::Rows1 => Some(Self::Query1),
            Self::Rows50 => Some(Self::Paced50),
            Self::Rows400 => Some(Self::Paced400),
            _ => None,
        }
    }

    /// Who is measured in it.
    pub(super) fn contestants(self) -> &'static [Contestant] {
        match self {
            Self::Jitter | Self::Deployment => &[Contestant::Service],
            _ => &[Contestant::Floor, Contestant::Service],
        }
    }

    /// Does its work once, on a fresh contestant.
    pub(super) async fn measure(
        self,
        bed: &Bed,
        contestant: Contestant,
        scale: f64,
    ) -> anyhow::Result<Sample> {
        let (began, before) = (Instant::now(), (gauge::busy_seconds(), bed.cpu()));
        let mut sample = match self {
            Self::Nodes => formations::nodes(bed, contestant, scale).await?,
            Self::Slow => formations::slow(bed, contestant, scale).await?,
            _ => self.on_one_formation(bed, contestant, scale).await?,
        };
        let after = (gauge::busy_seconds(), bed.cpu());
        let others = after
            .0
            .zip(before.0)
            .zip(after.1.zip(before.1))
            .map(|(busy, ours)| ((busy.0 - busy.1) - (ours.0 - ours.1)) / began.elapsed().as_secs_f64());
        sample.note(DISTURBANCE, others.map(|cores| cores.max(0.0)));
        Ok(sample)
    }

    async fn on_one_formation(self, bed: &Bed, contestant: Contestant, scale: f64) -> anyhow::Result<Sample> {
        let formation = Formation {
            // Who comes back finds a process that has nothing in memory.
            nodes: if self == Self::Storm { 2 } else { 1 },
            // What a fresh process takes is looked at before anybody asked.
            asked_before: if self == Self::Memory {
                0
            } else {
                Formation::ONE.asked_before
            },
            asked_at: if self.beside_the_floor().is_some() {
                SAME_ROWS
            } else {
                Formation::ONE.asked_at
            },
            ..Formation::ONE
        };
        let who = match self {
            // Compared with itself.
            Self::Long | Self::Stored => Contestant::Service,
            _ => contestant,
        };
        let running = bed.enter(who, formation).await?;
        let measured = self.work(&running, contestant, scale).await;
        let left = bed.leave(running).await;
        let sample = measured?;
        left?;
        Ok(sample)
    }

    async fn work(self, running: &Running, contestant: Contestant, scale: f64) -> anyhow::Result<Sample> {
        match self {
            Self::Query64 => queries::many(running, queries::FLOOR, scale).await,
            Self::Query1 => queries::one(running, queries::FLOOR, scale).await,
            Self::Rows64 => queries::many(running, SAME_ROWS, scale).await,
            Self::Rows1 => queries::one(running, SAME_ROWS, scale).await,
            Self::Flood => streams::flood(running, scale).await,
            Self::Paced50 => streams::paced(running, streams::FLOOR, 50, scale).await,
            Self::Paced400 => streams::paced(running, streams::FLOOR, 400, scale).await,
            Self::Rows50 => streams::paced(running, SAME_ROWS, 50, scale).await,
            Self::Rows400 => streams::paced(running, SAME_ROWS, 400, scale).await,
            Self::Memory => connections::memory(running, scale).await,
            Self::Handshake => connections::handshakes(running, scale).await,
            Self::Fan500 => fan::out(running, scale).await,
            Self::Storm => storm::all_at_once(running, scale).await,
            Self::Jitter => jitter::clients(running, scale).await,
            Self::Long => queries::long(running, contestant, scale).await,
            Self::Stored => stored::much(running, contestant, scale).await,
            Self::Nodes | Self::Slow | Self::Deployment => anyhow::bail!("not on one formation"),
        }
    }
}
