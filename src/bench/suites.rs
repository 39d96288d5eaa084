//! What is measured: the suites, the figures of each, and the goals.
//!
//! A suite's work is in a module of its own below; here is what the table says about it. Called by `run` and by the command
//! line.

mod connections;
mod queries;
mod streams;

use super::bed::{Bed, Contestant, Running};
use super::figures::SortedTimes;

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Suite {
    /// Durable queries, 64 connections at once.
    Query64,
    /// Durable queries, one connection: latency.
    Query1,
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

impl Suite {
    /// What runs unless others are named.
    pub const MAIN: [Self; 7] = [
        Self::Query64,
        Self::Query1,
        Self::Flood,
        Self::Paced50,
        Self::Paced400,
        Self::Memory,
        Self::Handshake,
    ];

    /// Its name on the command line and in files.
    pub(super) fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self)
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What its work is, in a line.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Query64 => {
                "64 connections, 25 questions each in turn, both messages durable, answers of 64 tokens in one write"
            }
            Self::Query1 => "one connection, a question after the other, both messages durable",
            Self::Flood => "16 streams of 256 tokens, a write each token, as fast as they go",
            Self::Paced50 => {
                "50 streams of 50 tokens a second; added = from the provider's write to the client"
            }
            Self::Paced400 => "400 streams of 50 tokens a second",
            Self::Memory => "2,000 connections; the floor has no sessions and is asked nothing before",
            Self::Handshake => "4,000 connects; the floor's are bare upgrades",
        }
    }

    /// Its figures, in the order of the table.
    pub(super) fn figures(self) -> &'static [Figure] {
        use Goal::{AtMost, RatioAtLeast, RatioAtMost};
        const PACED: [Figure; 7] = [
            ("tokens/s", RatioAtLeast(0.985)),
            ("added p50 ms", RatioAtMost(1.3)),
            ("added p99 ms", RatioAtMost(1.3)),
            ("first token p50 ms", RatioAtMost(1.5)),
            ("first token p99 ms", Goal::None),
            ("CPU s/100,000 tokens", Goal::None),
            ("Postgres CPU s/100,000 tokens", Goal::None),
        ];
        match self {
            Self::Query64 => &[
                ("queries/s", RatioAtLeast(0.8)),
                ("p50 ms", Goal::None),
                ("p99 ms", RatioAtMost(1.3)),
                ("CPU s/1,000 queries", RatioAtMost(1.6)),
                ("Postgres CPU s/1,000 queries", RatioAtMost(1.6)),
            ],
            Self::Query1 => &[
                ("queries/s", Goal::None),
                ("p50 ms", RatioAtMost(1.25)),
                ("p99 ms", Goal::None),
                ("CPU s/1,000 queries", Goal::None),
                ("Postgres CPU s/1,000 queries", Goal::None),
            ],
            Self::Flood => &[
                ("tokens/s", RatioAtLeast(0.85)),
                ("first token p50 ms", Goal::None),
                ("CPU s/100,000 tokens", Goal::None),
                ("Postgres CPU s/100,000 tokens", Goal::None),
            ],
            Self::Paced50 | Self::Paced400 => &PACED,
            Self::Memory => &[
                ("base MiB", AtMost(15.0)),
                ("idle KiB/connection", AtMost(9.0)),
                ("KiB/connection after a query", AtMost(12.0)),
            ],
            Self::Handshake => &[
                ("CPU s/1,000 connects", RatioAtMost(2.5)),
                ("Postgres CPU s/1,000 connects", Goal::None),
                ("connects/s", Goal::None),
            ],
        }
    }

    /// Does its work once, on a fresh contestant.
    pub(super) async fn measure(
        self,
        bed: &Bed,
        contestant: Contestant,
        scale: f64,
    ) -> anyhow::Result<Sample> {
        let running = bed.enter(contestant).await?;
        let measured = self.work(&running, scale).await;
        let left = bed.leave(running).await;
        let sample = measured?;
        left?;
        Ok(sample)
    }

    async fn work(self, running: &Running, scale: f64) -> anyhow::Result<Sample> {
        match self {
            Self::Query64 => queries::many(running, scale).await,
            Self::Query1 => queries::one(running, scale).await,
            Self::Flood => streams::flood(running, scale).await,
            Self::Paced50 => streams::paced(running, 50, scale).await,
            Self::Paced400 => streams::paced(running, 400, scale).await,
            Self::Memory => connections::memory(running, scale).await,
            Self::Handshake => connections::handshakes(running, scale).await,
        }
    }
}
