//! Everybody is cut and comes back: all at once, and each for itself, over and over. Called by `suites`.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Sample;
use crate::bench::bed::{Contestant, Running};
use crate::bench::figures::{Times, now_ns, rate, scaled};
use crate::bench::load::{Client, Tally, Target, open_all};
use crate::bench::provider::Script;

const SOCKETS: usize = 3000;

/// Handshakes under way at once.
const AT_ONCE: usize = 256;

/// Rows that each has missed: a question and its answer.
const MISSED: usize = 2;

/// Each asks once on the first node, all are cut, and all come back to the second, which has nothing in memory, with `after=0`.
pub(super) async fn all_at_once(running: &Running, scale: f64) -> anyhow::Result<Sample> {
    let count = scaled(SOCKETS, scale);
    let targets = running.targets("/query");
    let (here, there) = (targets.first(), targets.last());
    let (Some(here), Some(there)) = (here, there) else {
        anyhow::bail!("nothing runs");
    };
    let mut sample = Sample::default();
    let mut away = Vec::with_capacity(count);
    let clients = open_all(here, count).await?;
    let mut asking = stream::iter(clients).map(ask_once).buffer_unordered(64);
    while let Some((client, tally)) = asking.try_next().await? {
        sample.lost += tally.lost;
        sample.doubled += tally.doubled;
        away.push(client);
    }
    let away: Vec<(usize, String)> = away
        .into_iter()
        .map(|client| {
            let seat = (client.number, client.session.clone());
            client.socket.cut().map(|()| seat)
        })
        .collect::<Result<_, _>>()?;
    // So that what the cut itself costs is not in what the return costs.
    tokio::time::sleep(Duration::from_secs(1)).await;

    let before = running.cpu();
    let began = Instant::now();
    let back: Vec<(u64, Client)> = stream::iter(away)
        .map(|(number, session)| come_back(there, number, session))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let took = began.elapsed();
    let after = running.cpu();

    let mut times = Times::default();
    for (ns, client) in back {
        times.add(ns);
        let (lost, doubled) = missed(running.contestant, &client.replayed);
        sample.lost += lost;
        sample.doubled += doubled;
        client.socket.cut()?;
    }
    let times = times.sorted();
    let per_thousand =
        |after: Option<f64>, before: Option<f64>| Some((after? - before?) / count as f64 * 1000.0);
    sample.note("resumed/s", rate(count, took));
    sample.note("own p50 ms", times.quantile_ms(0.5));
    sample.note("own p99 ms", times.quantile_ms(0.99));
    sample.note("CPU s/1,000 resumed", per_thousand(after.0, before.0));
    sample.note("Postgres CPU s/1,000 resumed", per_thousand(after.1, before.1));
    sample.times = times;
    Ok(sample)
}

async fn ask_once(mut client: Client) -> anyhow::Result<(Client, Tally)> {
    let mut tally = Tally::default();
    client.ask(&Script::AT_ONCE, &mut tally).await?;
    Ok((client, tally))
}

async fn come_back(target: &Target, number: usize, session: String) -> anyhow::Result<(u64, Client)> {
    let began = now_ns();
    let client = Client::resume(target, number, &session, 0).await?;
    Ok((now_ns() - began, client))
}

/// What is not there of the two rows, and what is there again. The floor's rows are numbered over all sessions.
fn missed(contestant: Contestant, replayed: &[u64]) -> (usize, usize) {
    let mut distinct = replayed.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if contestant == Contestant::Service {
        distinct.retain(|seq| (1..=2).contains(seq));
    }
    (
        MISSED.saturating_sub(distinct.len()),
        replayed.len() - distinct.len().min(MISSED),
    )
}

#[cfg(test)]
mod tests {
    use super::{Contestant, missed};

    #[test]
    fn what_is_replayed_is_counted_by_its_place() {
        assert_eq!(missed(Contestant::Service, &[1, 2]), (0, 0));
        assert_eq!(missed(Contestant::Service, &[2, 2]), (1, 1));
        assert_eq!(missed(Contestant::Service, &[1, 2, 3]), (0, 1));
        assert_eq!(missed(Contestant::Floor, &[71, 88]), (0, 0));
        assert_eq!(missed(Contestant::Floor, &[]), (2, 0));
    }
}
