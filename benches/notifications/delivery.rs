//! How soon users have what was inserted: from just before the INSERT is sent to the frame's arrival, both in this process.
//! One row at a time, at a rate, many rows in one statement, and without any NOTIFY. Called by `main`.

use std::collections::HashMap;
use std::time::Instant;

use sqlx::{Connection, PgConnection};

use super::audience::{Arrival, Audience};
use super::figures::{Times, ms};
use super::inserts::{Services, Trigger, clear, insert, user};
use super::target::Target;
use super::throughput::Hints;

const USERS: usize = 100;

const SAMPLES: usize = 500;

const SERVICES: usize = 16;
const PER_SECOND: u32 = 1000;
const ROWS: usize = 10_000;

const IDLE_P50: Target = Target::AtMost(5.0);
const LOADED_P99: Target = Target::AtMost(25.0);

/// With the hint trigger: an idle system, then a busy one.
pub(crate) async fn by_hints(url: &str) -> anyhow::Result<()> {
    println!("\nFrom INSERT to frame, in ms; a node in this process, {USERS} users connected");
    let mut audience = Audience::gather(url, USERS).await?;
    heading();
    let idle = one_by_one(url, &mut audience, SAMPLES).await?;
    row(
        &format!("{SAMPLES} inserts, one at a time"),
        &idle,
        &IDLE_P50.verdict(ms(idle.p50())),
    );
    let busy = at_a_rate(url, &mut audience).await?;
    row(
        &format!("{PER_SECOND} inserts/s for 10 s"),
        &busy,
        &LOADED_P99.verdict(ms(busy.p99())),
    );
    audience.leave().await
}

/// Where NOTIFY is not to be had: the poll alone.
pub(crate) async fn by_polling(url: &str) -> anyhow::Result<()> {
    println!("\nThe same without any NOTIFY: the node polls every 100 ms (NOTIFICATION_POLL_MS)");
    let mut admin = PgConnection::connect(url).await?;
    let mut audience = Audience::gather(url, USERS).await?;
    Trigger::None.set(&mut admin).await?;
    heading();
    let idle = one_by_one(url, &mut audience, SAMPLES / 5).await?;
    row(&format!("{} inserts, one at a time", SAMPLES / 5), &idle, "");
    let busy = at_a_rate(url, &mut audience).await?;
    row(&format!("{PER_SECOND} inserts/s for 10 s"), &busy, "");
    Trigger::Hint.set(&mut admin).await?;
    audience.leave().await
}

/// Many rows in one statement: one hint.
pub(crate) async fn one_statement(url: &str) -> anyhow::Result<()> {
    println!("\n{ROWS} rows in one statement; a node in this process");
    println!(
        "{:<28} {:>9} {:>12} {:>12}",
        "", "hints", "statement ms", "all there ms"
    );
    let mut admin = PgConnection::connect(url).await?;
    for users in [USERS, 1] {
        clear(&mut admin).await?;
        let mut audience = Audience::gather(url, users).await?;
        let hints = Hints::listen(url).await?;
        let began = Instant::now();
        sqlx::query(
            "INSERT INTO agent.notifications (user_id, content)
             SELECT 'user-' || n % $2, n::text FROM generate_series(0, $1 - 1) AS n",
        )
        .bind(i32::try_from(ROWS)?)
        .bind(i32::try_from(users)?)
        .execute(&mut admin)
        .await?;
        let stored = began.elapsed();
        let last = audience
            .each_once(ROWS)
            .await?
            .iter()
            .map(|arrival| arrival.at)
            .max();
        let all = last.map(|last| last - began).unwrap_or_default();
        let what = format!("{} for each of {users}", ROWS / users);
        println!(
            "{what:<28} {:>9} {:>12.1} {:>12.1}",
            hints.heard(),
            ms(stored),
            ms(all)
        );
        hints.stop().await;
        audience.leave().await?;
    }
    Ok(clear(&mut admin).await?)
}

/// One row after the other, each when the one before it has arrived.
async fn one_by_one(url: &str, audience: &mut Audience, samples: usize) -> anyhow::Result<Times> {
    let mut connection = PgConnection::connect(url).await?;
    clear(&mut connection).await?;
    let mut times = Vec::with_capacity(samples);
    for number in 0..samples {
        let began = Instant::now();
        insert(&mut connection, &user(number % USERS), &number.to_string()).await?;
        let arrival = audience.next().await?;
        anyhow::ensure!(
            arrival.number == number,
            "row {} came, {number} was inserted",
            arrival.number
        );
        times.push(arrival.at - began);
    }
    Ok(times.into_iter().collect())
}

/// Rows at a rate, all of which must arrive, each once.
async fn at_a_rate(url: &str, audience: &mut Audience) -> anyhow::Result<Times> {
    let mut admin = PgConnection::connect(url).await?;
    clear(&mut admin).await?;
    let mut services = Services::connect(url, SERVICES).await?;
    let began = Instant::now();
    let inserted = services.at_a_rate(ROWS, PER_SECOND, USERS).await?;
    let took = began.elapsed();
    let arrivals: Vec<Arrival> = audience.each_once(ROWS).await?;
    println!(
        "  {ROWS} rows inserted at {:.0}/s, {} arrived, each once",
        ROWS as f64 / took.as_secs_f64(),
        arrivals.len()
    );
    let inserted: HashMap<usize, Instant> = inserted.into_iter().collect();
    clear(&mut admin).await?;
    let times = arrivals
        .iter()
        .filter_map(|arrival| Some(arrival.at - *inserted.get(&arrival.number)?));
    Ok(times.collect())
}

fn heading() {
    println!("{:<28} {:>9} {:>9} {:>9}", "", "p50", "p99", "max");
}

fn row(what: &str, times: &Times, verdict: &str) {
    let [p50, p99, max] = [times.p50(), times.p99(), times.max()].map(ms);
    println!("{what:<28} {p50:>9.2} {p99:>9.2} {max:>9.2}  {verdict}");
}
