//! The same questions with more nodes, and with slower commits. Called by `suites`.

use std::time::{Duration, Instant};

use super::Sample;
use super::queries::{Done, Loop, ask_all, sample};
use crate::bench::bed::{Bed, Contestant, Cores, Formation, Running};
use crate::bench::figures::{rate, scaled};
use crate::bench::gauge;
use crate::bench::provider::Script;

/// How many nodes, and the figure for each.
const NODES: [(usize, &str); 3] = [
    (1, "queries/s, 1 node"),
    (2, "queries/s, 2 nodes"),
    (4, "queries/s, 4 nodes"),
];

/// How much longer each commit takes, in microseconds, and the figure for each.
const DELAYS: [(u32, &str, &str); 4] = [
    (0, "0", "queries/s, as the disk is"),
    (1000, "1000", "queries/s, a flush 1 ms longer"),
    (5000, "5000", "queries/s, 5 ms"),
    (20_000, "20000", "queries/s, 20 ms"),
];

/// 1, 2 and 4 nodes over one Postgres; what takes the machine's cores is noted for the last.
pub(super) async fn nodes(bed: &Bed, contestant: Contestant, scale: f64) -> anyhow::Result<Sample> {
    let mut all = Sample::default();
    for (nodes, figure) in NODES {
        let formation = Formation {
            nodes,
            cores: Cores::InTurn,
            ..Formation::ONE
        };
        let running = bed.enter(contestant, formation).await?;
        let measured = spread(&running, scaled(25, scale)).await;
        bed.leave(running).await?;
        let (done, one, load) = measured?;
        let queries = rate(done.tally.answered, done.took);
        all.lost += one.lost;
        all.doubled += one.doubled;
        all.note(figure, queries);
        all.points.push((nodes as f64, queries));
        if nodes == 4 {
            let cores = |cpu: Option<f64>| Some(cpu? / done.took.as_secs_f64());
            all.note("cores taken by 4 nodes", cores(done.cpu));
            all.note("cores taken by Postgres", cores(done.postgres_cpu));
            all.note("cores taken by load and provider", cores(load));
        }
    }
    Ok(all)
}

async fn spread(running: &Running, each: usize) -> anyhow::Result<(Done, Sample, Option<f64>)> {
    let own = || gauge::own_cpu_seconds(std::process::id());
    let (began, before) = (Instant::now(), own());
    let done = ask_all(running, &at_once(64, each, 8)).await?;
    // The connects between the passes are the load's too: their share is taken off by time.
    let share = done.took.as_secs_f64() / began.elapsed().as_secs_f64();
    let load = own().zip(before).map(|(after, before)| (after - before) * share);
    let sample = sample(running, &done).await?;
    Ok((done, sample, load))
}

/// Postgres waits in each flush, with the lock on its log held, as for a slow disk.
pub(super) async fn slow(bed: &Bed, contestant: Contestant, scale: f64) -> anyhow::Result<Sample> {
    let mut all = Sample::default();
    for (micros, text, figure) in DELAYS {
        let settings = [("commit_delay", text), ("commit_siblings", "0")];
        let formation = Formation {
            database_settings: &settings,
            ..Formation::ONE
        };
        let running = bed.enter(contestant, formation).await?;
        let measured = row_by_row(&running, scaled(10, scale)).await;
        bed.leave(running).await?;
        let (done, one) = measured?;
        let queries = rate(done.tally.answered, done.took);
        all.lost += one.lost;
        all.doubled += one.doubled;
        all.note(figure, queries);
        all.points.push((f64::from(micros) / 1000.0, queries));
    }
    let kept = all
        .points
        .last()
        .zip(all.points.first())
        .map(|(last, first)| last.1 / first.1);
    all.note("kept at 20 ms", kept);
    Ok(all)
}

async fn row_by_row(running: &Running, each: usize) -> anyhow::Result<(Done, Sample)> {
    let what = Loop {
        floor: "/each",
        ..at_once(256, each, 1)
    };
    let done = ask_all(running, &what).await?;
    let sample = sample(running, &done).await?;
    Ok((done, sample))
}

fn at_once(connections: usize, each: usize, passes: usize) -> Loop {
    Loop {
        floor: "/query",
        connections,
        each,
        passes,
        script: Script::AT_ONCE,
        spread: Duration::ZERO,
    }
}
