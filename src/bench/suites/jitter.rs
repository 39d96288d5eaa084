//! A bad network: many clients of one session, each cut about every 15 seconds and away for two, while messages are added at two a
//! second. Every client has to have every message, once. Called by `suites`.

use std::time::Duration;

use rand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout_at};

use super::Sample;
use crate::bench::bed::Running;
use crate::bench::figures::{Times, now_ns, scaled};
use crate::bench::load::{Client, PATIENCE, Tally, Target, seq};
use crate::bench::provider::Script;

const CLIENTS: usize = 10_000;

/// Questions, each of which adds itself and its answer.
const QUESTIONS: u64 = 60;
const EVERY: Duration = Duration::from_secs(1);
const MESSAGES: u64 = 2 * QUESTIONS;

/// Before the first message: the clients' first connects are spread over it.
const GATHER: Duration = Duration::from_secs(12);

/// How long a connection holds, and how long a client then is away.
const HOLDS_MS: std::ops::Range<u64> = 7_500..22_500;
const AWAY: Duration = Duration::from_secs(2);

/// An answer of one token: few frames, which is what is counted here.
const SHORT: Script = Script {
    tokens: 1,
    together: 1,
    every_ms: 0,
};

/// What one client found.
#[derive(Default)]
struct Found {
    /// Each return: from the connect to `live`.
    returns: Times,
    applied: u64,
    skipped: u64,
    doubled: u64,
    connects: usize,
}

pub(super) async fn clients(running: &Running, scale: f64) -> anyhow::Result<Sample> {
    let count = scaled(CLIENTS, scale);
    let target = running.target("/query")?;
    let mut sender = Client::open(&target, 0).await?;
    let until = Instant::now() + GATHER + EVERY * u32::try_from(QUESTIONS)? + PATIENCE;
    let before = running.cpu();
    let mut listening = JoinSet::new();
    for _ in 0..count {
        listening.spawn(listen(target.clone(), sender.session.clone(), until));
    }
    sleep(GATHER).await;
    let mut tally = Tally::default();
    let mut next = interval(EVERY);
    for _ in 0..QUESTIONS {
        next.tick().await;
        sender.ask(&SHORT, &mut tally).await?;
    }
    let mut sample = Sample::default();
    let (mut returns, mut connects) = (Times::default(), 0);
    while let Some(found) = listening.join_next().await {
        let found = found??;
        sample.lost += usize::try_from(MESSAGES - found.applied + found.skipped)?;
        sample.doubled += usize::try_from(found.doubled)?;
        returns.merge(found.returns);
        connects += found.connects;
    }
    let after = running.cpu();
    let expected = count as f64 * MESSAGES as f64;
    let returns = returns.sorted();
    sample.note("clients", count as f64);
    sample.note("delivered %", (1.0 - sample.lost as f64 / expected) * 100.0);
    sample.note("replay p50 ms", returns.quantile_ms(0.5));
    sample.note("replay p99 ms", returns.quantile_ms(0.99));
    sample.note("returns", connects.saturating_sub(count) as f64);
    sample.note(
        "CPU s, all",
        after.0.zip(before.0).map(|(after, before)| after - before),
    );
    sample.note(
        "Postgres CPU s, all",
        after.1.zip(before.1).map(|(after, before)| after - before),
    );
    sample.times = returns;
    Ok(sample)
}

/// A client to its last message, or until it is too late.
async fn listen(target: Target, session: String, until: Instant) -> anyhow::Result<Found> {
    let mut found = Found::default();
    sleep(random_part_of(GATHER)).await;
    while found.applied < MESSAGES && Instant::now() < until {
        let began = now_ns();
        let client = Client::resume(&target, 0, &session, found.applied).await?;
        if found.connects > 0 {
            found.returns.add(now_ns() - began);
        }
        found.connects += 1;
        let held = Duration::from_millis(rand::rng().random_range(HOLDS_MS));
        hold(client, &mut found, until.min(Instant::now() + held)).await?;
        if found.applied < MESSAGES {
            sleep_until(until.min(Instant::now() + AWAY)).await;
        }
    }
    Ok(found)
}

/// One connection, to its cut.
async fn hold(mut client: Client, found: &mut Found, until: Instant) -> anyhow::Result<()> {
    for seq in std::mem::take(&mut client.replayed) {
        found.apply(seq);
    }
    while found.applied < MESSAGES {
        let Ok(frame) = timeout_at(until, client.socket.next()).await else {
            break;
        };
        if let Some(seq) = seq(frame?) {
            found.apply(seq);
        }
    }
    Ok(client.socket.cut()?)
}

impl Found {
    /// Notes a message by its place in the session.
    fn apply(&mut self, seq: u64) {
        if seq <= self.applied {
            self.doubled += 1;
        } else {
            self.skipped += seq - self.applied - 1;
            self.applied = seq;
        }
    }
}

fn random_part_of(whole: Duration) -> Duration {
    whole.mul_f64(rand::rng().random())
}

#[cfg(test)]
mod tests {
    use super::Found;

    #[test]
    fn a_client_notices_what_it_missed_and_what_came_again() {
        let mut found = Found::default();
        for seq in [1, 2, 2, 5] {
            found.apply(seq);
        }
        assert_eq!((found.applied, found.skipped, found.doubled), (5, 2, 1));
    }
}
