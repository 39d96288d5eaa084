//! Lists, history and search of a user with 10,000 messages, in a database that has no others and in one that has millions.
//! Called by `suites`.

use super::Sample;
use crate::bench::bed::{Contestant, Running};
use crate::bench::figures::{Times, now_ns, scaled};
use crate::bench::load::Client;
use crate::bench::rows::Rows;

const MESSAGES: usize = 10_000_000;

/// Of the one who asks: 100 sessions of 100.
const OWN: usize = 10_000;

/// How often each is asked; the p99 is the fifth-longest of them.
const TIMES: usize = 500;

pub(super) async fn much(running: &Running, contestant: Contestant, scale: f64) -> anyhow::Result<Sample> {
    let target = running.target("")?;
    let others = match contestant {
        Contestant::Service => scaled(MESSAGES, scale).saturating_sub(OWN),
        Contestant::Floor => 0,
    };
    let mut rows = Rows::connect(&running.database).await?;
    let sessions = rows.fill(&target.user(0), others).await?;
    rows.index_all().await?;

    let mut client = Client::open(&target, 0).await?;
    let mut sample = Sample::default();
    sample.note("messages stored", rows.stored(running.contestant).await? as f64);
    let names = [
        ("sessions p50 ms", "sessions p99 ms"),
        ("history p50 ms", "history p99 ms"),
        ("search p50 ms", "search p99 ms"),
    ];
    let mut all = [Times::default(), Times::default(), Times::default()];
    for number in 0..TIMES {
        let session = sessions
            .get(number % sessions.len().max(1))
            .map_or("", String::as_str);
        client
            .command(
                "resume",
                &format!("{{\"session_id\":\"{session}\",\"after\":100}}"),
            )
            .await?;
        let asked = [
            ("sessions", "{\"limit\":50}".to_owned()),
            ("history", "{\"limit\":50}".to_owned()),
            ("search", format!("{{\"q\":\"w{}\"}}", 100 + number % 400)),
        ];
        for ((command, args), times) in asked.iter().zip(&mut all) {
            let began = now_ns();
            client.command(command, args).await?;
            times.add(now_ns() - began);
        }
    }
    for ((p50, p99), times) in names.into_iter().zip(all) {
        let times = times.sorted();
        sample.note(p50, times.quantile_ms(0.5));
        sample.note(p99, times.quantile_ms(0.99));
    }
    client.socket.cut()?;
    Ok(sample)
}
