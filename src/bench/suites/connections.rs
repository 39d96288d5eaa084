//! What connections cost that do little: their memory and their beginning. Called by `suites`.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use super::Sample;
use crate::bench::bed::{Contestant, Running};
use crate::bench::figures::{rate, scaled};
use crate::bench::load::{Client, Tally, open_all, open_these};
use crate::bench::provider::Script;
use crate::bench::socket::Socket;

const HELD: usize = 2000;
const CONNECTS: usize = 4000;

/// So many connections are there at once while connects are counted.
const AT_ONCE: usize = 500;

/// What a process does after a burst is over by then.
const SETTLED: Duration = Duration::from_millis(1500);

/// Base, then idle connections, then a question on each.
pub(super) async fn memory(running: &Running, scale: f64) -> anyhow::Result<Sample> {
    let count = scaled(HELD, scale);
    let target = running.target("/query")?;
    let mut sample = Sample::default();
    sleep(SETTLED).await;
    let base = running.resident_kib();
    sample.note("base MiB", base.map(|kib| kib / 1024.0));
    let mut clients = open_all(&target, count).await?;
    sleep(SETTLED).await;
    let each = |now: Option<f64>| Some((now? - base?) / count as f64);
    sample.note("idle KiB/connection", each(running.resident_kib()));
    let mut tally = Tally::default();
    for client in &mut clients {
        client.ask(&Script::AT_ONCE, &mut tally).await?;
    }
    sleep(SETTLED).await;
    sample.note("KiB/connection after a query", each(running.resident_kib()));
    sample.lost = tally.lost;
    sample.doubled = tally.doubled;
    for client in clients {
        client.socket.cut()?;
    }
    Ok(sample)
}

/// Connects in groups; the server's are over with `live`, the floor's with the upgrade.
pub(super) async fn handshakes(running: &Running, scale: f64) -> anyhow::Result<Sample> {
    let count = scaled(CONNECTS, scale);
    let target = running.target("/echo")?;
    let before = running.cpu();
    let mut took = Duration::ZERO;
    let mut connected = 0;
    while connected < count {
        let group = AT_ONCE.min(count - connected);
        let began = Instant::now();
        let clients: Vec<Socket> = match running.contestant {
            Contestant::Service => open_these(std::slice::from_ref(&target), connected..connected + group)
                .await?
                .into_iter()
                .map(|client: Client| client.socket)
                .collect(),
            Contestant::Floor => open_bare(target.address, target.path, group).await?,
        };
        took += began.elapsed();
        ensure!(clients.len() == group, "a connect was lost");
        connected += group;
        for socket in clients {
            socket.cut()?;
        }
    }
    let after = running.cpu();
    let mut sample = Sample::default();
    let per_thousand =
        |after: Option<f64>, before: Option<f64>| Some((after? - before?) / count as f64 * 1000.0);
    sample.note("CPU s/1,000 connects", per_thousand(after.0, before.0));
    sample.note("Postgres CPU s/1,000 connects", per_thousand(after.1, before.1));
    sample.note("connects/s", rate(count, took));
    Ok(sample)
}

async fn open_bare(
    address: std::net::SocketAddr,
    path: &'static str,
    count: usize,
) -> anyhow::Result<Vec<Socket>> {
    use futures_util::{StreamExt, TryStreamExt};
    futures_util::stream::iter(0..count)
        .map(|_| Socket::open(address, path, None))
        .buffer_unordered(64)
        .try_collect()
        .await
}
