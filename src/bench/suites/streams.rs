//! Tokens on their way: as fast as they go, and at the pace of a model. Called by `suites`.

use std::time::Duration;

use super::Sample;
use super::queries::{Done, Loop, ask_all, sample};
use crate::bench::bed::Running;
use crate::bench::figures::{rate, scaled};
use crate::bench::provider::Script;

pub(super) const FLOOR: &str = "/stream";

/// Between two tokens of a paced stream: 50 a second.
const EVERY_MS: u64 = 20;

/// 16 streams without a pause.
pub(super) async fn flood(running: &Running, scale: f64) -> anyhow::Result<Sample> {
    let done = ask_all(
        running,
        &Loop {
            floor: FLOOR,
            connections: 16,
            each: scaled(12, scale),
            passes: 3,
            script: Script {
                tokens: 256,
                together: 1,
                every_ms: 0,
            },
            spread: Duration::ZERO,
        },
    )
    .await?;
    let mut sample = figures(running, &done).await?;
    sample.note("first token p50 ms", done.tally.firsts.sorted().quantile_ms(0.5));
    sample.times = done.tally.answers.sorted();
    Ok(sample)
}

/// So many streams, each at its pace, begun one after the other within a pause of one.
pub(super) async fn paced(
    running: &Running,
    floor: &'static str,
    streams: usize,
    scale: f64,
) -> anyhow::Result<Sample> {
    let done = ask_all(
        running,
        &Loop {
            floor,
            connections: streams,
            each: 1,
            passes: 2,
            script: Script {
                tokens: scaled(200, scale),
                together: 1,
                every_ms: EVERY_MS,
            },
            spread: Duration::from_millis(EVERY_MS),
        },
    )
    .await?;
    let mut sample = figures(running, &done).await?;
    let firsts = done.tally.firsts.sorted();
    let ages = done.tally.ages.sorted();
    sample.note("added p50 ms", ages.quantile_ms(0.5));
    sample.note("added p99 ms", ages.quantile_ms(0.99));
    sample.note("first token p50 ms", firsts.quantile_ms(0.5));
    sample.note("first token p99 ms", firsts.quantile_ms(0.99));
    sample.times = ages;
    Ok(sample)
}

async fn figures(running: &Running, done: &Done) -> anyhow::Result<Sample> {
    let mut sample = sample(running, done).await?;
    let tokens = done.tally.tokens;
    let per_100_000 = |cpu: f64| cpu / tokens as f64 * 100_000.0;
    sample.note("tokens/s", rate(tokens, done.took));
    sample.note("CPU s/100,000 tokens", done.cpu.map(per_100_000));
    sample.note(
        "Postgres CPU s/100,000 tokens",
        done.postgres_cpu.map(per_100_000),
    );
    Ok(sample)
}
