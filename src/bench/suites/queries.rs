//! Closed loops of durable questions, and the loop that the stream suites share. Called by `suites`.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Sample;
use crate::bench::bed::{Contestant, Running};
use crate::bench::figures::{rate, scaled};
use crate::bench::load::{Client, Tally, open_these};
use crate::bench::provider::Script;
use crate::bench::rows::Rows;

pub(super) const FLOOR: &str = "/query";

/// Questions of a connection: little enough that the history stays within what the model is sent.
const EACH: usize = 25;

/// What the questions of a suite are like.
pub(super) struct Loop {
    pub(super) floor: &'static str,
    pub(super) connections: usize,
    /// How many each connection asks, one after the other.
    pub(super) each: usize,
    /// How often, with fresh connections each time.
    pub(super) passes: usize,
    pub(super) script: Script,
    /// Over how long the first questions are spread.
    pub(super) spread: Duration,
}

/// What came of it.
pub(super) struct Done {
    pub(super) tally: Tally,
    /// Only while questions were open.
    pub(super) took: Duration,
    pub(super) cpu: Option<f64>,
    pub(super) postgres_cpu: Option<f64>,
}

/// 64 connections.
pub(super) async fn many(running: &Running, floor: &'static str, scale: f64) -> anyhow::Result<Sample> {
    durable(running, floor, 64, scaled(EACH, scale), 8).await
}

/// One connection.
pub(super) async fn one(running: &Running, floor: &'static str, scale: f64) -> anyhow::Result<Sample> {
    durable(running, floor, 1, EACH, scaled(40, scale)).await
}

/// 8 connections, each in a session of 400 questions, or in sixteen of 25.
pub(super) async fn long(running: &Running, contestant: Contestant, scale: f64) -> anyhow::Result<Sample> {
    match contestant {
        Contestant::Service => durable(running, FLOOR, 8, scaled(400, scale), 1).await,
        Contestant::Floor => durable(running, FLOOR, 8, EACH, scaled(16, scale)).await,
    }
}

async fn durable(
    running: &Running,
    floor: &'static str,
    connections: usize,
    each: usize,
    passes: usize,
) -> anyhow::Result<Sample> {
    let done = ask_all(
        running,
        &Loop {
            floor,
            connections,
            each,
            passes,
            script: Script::AT_ONCE,
            spread: Duration::ZERO,
        },
    )
    .await?;
    let answered = done.tally.answered;
    let mut sample = sample(running, &done).await?;
    let times = done.tally.answers.sorted();
    sample.note("queries/s", rate(answered, done.took));
    sample.note("p50 ms", times.quantile_ms(0.5));
    sample.note("p99 ms", times.quantile_ms(0.99));
    let per_thousand = |cpu: f64| cpu / answered as f64 * 1000.0;
    sample.note("CPU s/1,000 queries", done.cpu.map(per_thousand));
    sample.note(
        "Postgres CPU s/1,000 queries",
        done.postgres_cpu.map(per_thousand),
    );
    sample.times = times;
    Ok(sample)
}

/// What was lost or came twice: of the tokens by the clients' count, of the messages by the table's.
pub(super) async fn sample(running: &Running, done: &Done) -> anyhow::Result<Sample> {
    let mut rows = Rows::connect(&running.database).await?;
    let stored = rows.stored(running.contestant).await?;
    let expected = running.stored_before + done.tally.answered * 2;
    Ok(Sample {
        lost: done.tally.lost + expected.saturating_sub(stored),
        doubled: done.tally.doubled + stored.saturating_sub(expected),
        ..Sample::default()
    })
}

/// Runs a loop to the end of its work.
pub(super) async fn ask_all(running: &Running, what: &Loop) -> anyhow::Result<Done> {
    let targets = running.targets(what.floor);
    let mut tally = Tally::default();
    let mut took = Duration::ZERO;
    let (mut cpu, mut postgres_cpu) = (Some(0.0), Some(0.0));
    for pass in 0..what.passes {
        let first = pass * what.connections;
        let clients = open_these(&targets, first..first + what.connections).await?;
        let before = running.cpu();
        let began = Instant::now();
        let mut asking = JoinSet::new();
        for (place, client) in clients.into_iter().enumerate() {
            let delay = what.spread * u32::try_from(place)? / u32::try_from(what.connections)?;
            asking.spawn(ask_in_turn(client, what.each, what.script, delay));
        }
        let mut clients = Vec::with_capacity(what.connections);
        while let Some(asked) = asking.join_next().await {
            let (client, counted) = asked??;
            clients.push(client);
            tally.merge(counted);
        }
        took += began.elapsed();
        let after = running.cpu();
        cpu = sum(cpu, after.0, before.0);
        postgres_cpu = sum(postgres_cpu, after.1, before.1);
        for client in clients {
            client.socket.cut()?;
        }
    }
    Ok(Done {
        tally,
        took,
        cpu,
        postgres_cpu,
    })
}

fn sum(so_far: Option<f64>, after: Option<f64>, before: Option<f64>) -> Option<f64> {
    Some(so_far? + after? - before?)
}

async fn ask_in_turn(
    mut client: Client,
    each: usize,
    script: Script,
    delay: Duration,
) -> anyhow::Result<(Client, Tally)> {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut tally = Tally::default();
    for _ in 0..each {
        client.ask(&script, &mut tally).await?;
    }
    Ok((client, tally))
}
