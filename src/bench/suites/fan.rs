//! One message to everybody: a service stores a notification for a user of 500 sockets. Called by `suites`.

use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::Sample;
use crate::bench::bed::{Contestant, Running};
use crate::bench::figures::{Times, now_ns, scaled};
use crate::bench::load::{Client, PATIENCE, open_as};
use crate::bench::provider::{stamp, stamps};
use crate::bench::rows::Rows;

const SOCKETS: usize = 500;

/// Fewer than what is sent before `live` to who comes back: none is acknowledged meanwhile.
const MESSAGES: usize = 150;
const EVERY: Duration = Duration::from_millis(50);

/// What one socket heard: how long each message took from just before its INSERT.
struct Heard {
    times: Times,
    messages: usize,
    client: Client,
}

pub(super) async fn out(running: &Running, scale: f64) -> anyhow::Result<Sample> {
    let sockets = scaled(SOCKETS, scale);
    let target = running.target("/fan")?;
    let clients = open_as(&target, 0, sockets).await?;
    let before = running.cpu();
    let mut hearing = JoinSet::new();
    for client in clients {
        hearing.spawn(hear(client));
    }
    publish(running, &target.user(0)).await?;
    let mut sample = Sample::default();
    let mut times = Times::default();
    while let Some(heard) = hearing.join_next().await {
        let heard = heard??;
        times.merge(heard.times);
        sample.lost += MESSAGES.saturating_sub(heard.messages);
        sample.doubled += heard.messages.saturating_sub(MESSAGES);
        heard.client.socket.cut()?;
    }
    let after = running.cpu();
    let deliveries = (sockets * MESSAGES) as f64;
    let per_100_000 =
        |after: Option<f64>, before: Option<f64>| Some((after? - before?) / deliveries * 100_000.0);
    let times = times.sorted();
    sample.note("p50 ms", times.quantile_ms(0.5));
    sample.note("p99 ms", times.quantile_ms(0.99));
    sample.note("CPU s/100,000 deliveries", per_100_000(after.0, before.0));
    sample.note(
        "Postgres CPU s/100,000 deliveries",
        per_100_000(after.1, before.1),
    );
    sample.times = times;
    Ok(sample)
}

async fn publish(running: &Running, user: &str) -> anyhow::Result<()> {
    let mut rows = Rows::connect(&running.database).await?;
    let mut next = interval(EVERY);
    for _ in 0..MESSAGES {
        next.tick().await;
        match running.contestant {
            Contestant::Service => rows.notify(user, &stamp(now_ns())).await?,
            Contestant::Floor => rows.notify_floor(&stamp(now_ns())).await?,
        }
    }
    Ok(())
}

async fn hear(mut client: Client) -> anyhow::Result<Heard> {
    let mut times = Times::default();
    let mut messages = 0;
    let hearing = async {
        while messages < MESSAGES {
            let frame = client.socket.next().await?;
            for stamp in stamps(frame) {
                times.add(now_ns().saturating_sub(stamp));
                messages += 1;
            }
        }
        anyhow::Ok(())
    };
    // What has not come by then is counted as lost.
    match timeout(EVERY * u32::try_from(MESSAGES)? + PATIENCE, hearing).await {
        Ok(heard) => heard.context("while hearing")?,
        Err(_late) => {}
    }
    Ok(Heard {
        times,
        messages,
        client,
    })
}
