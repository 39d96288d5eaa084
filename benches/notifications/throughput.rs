//! What the hint costs those who insert: 32 services, one row a transaction, with the trigger and without, in turn, so that
//! what else the machine does falls on both. Called by `main`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::audience::Audience;
use super::figures::median;
use super::inserts::{Services, Trigger, clear};
use super::target::Target;

const SERVICES: usize = 32;
const WINDOW: Duration = Duration::from_secs(3);
/// Each order and its reverse, this many times.
const ROUNDS: usize = 3;

const USERS: usize = 1000;
/// So many of them are connected, where there is a node.
const CONNECTED: usize = 100;

const TARGET: Target = Target::AtLeast(0.9);

/// With a connection that only listens.
pub(crate) async fn without_a_node(url: &str) -> anyhow::Result<()> {
    println!("\nInserts a second: {SERVICES} services, one row a transaction; one connection listens");
    measure(url).await
}

/// With a node that delivers a tenth of the rows.
pub(crate) async fn with_a_node(url: &str) -> anyhow::Result<()> {
    println!("\nThe same with a node in this process, and {CONNECTED} of {USERS} users connected");
    let audience = Audience::gather(url, CONNECTED).await?;
    measure(url).await?;
    audience.leave().await
}

async fn measure(url: &str) -> anyhow::Result<()> {
    let hints = Hints::listen(url).await?;
    let mut admin = PgConnection::connect(url).await?;
    let mut services = Services::connect(url, SERVICES).await?;
    // Nobody's first statements count: plans, caches of the catalogue.
    services.flood(WINDOW / 3, USERS).await?;
    let mut all = [Trigger::None, Trigger::Hint, Trigger::Always].map(Rates::of);
    for _ in 0..2 * ROUNDS {
        for rates in &mut all {
            clear(&mut admin).await?;
            rates.trigger.set(&mut admin).await?;
            let before = hints.heard();
            rates.rows.push(services.flood(WINDOW, USERS).await?);
            rates
                .hints
                .push((hints.heard() - before) as f64 / WINDOW.as_secs_f64());
        }
        all.reverse();
    }
    Trigger::Hint.set(&mut admin).await?;
    clear(&mut admin).await?;
    hints.stop().await;
    print(&all);
    Ok(())
}

fn print(all: &[Rates; 3]) {
    let [without, ..] = all;
    println!("{:<28} {:>9} {:>9} {:>7}", "", "rows/s", "hints/s", "ratio");
    for rates in all {
        // Of neighbours in time, so that a busy minute of the machine's falls on both.
        let ratio = median(
            rates
                .rows
                .iter()
                .zip(&without.rows)
                .map(|(rows, without)| rows / without),
        );
        println!(
            "{:<28} {:>9.0} {:>9.0} {ratio:>7.2}  {}",
            rates.trigger.name(),
            median(rates.rows.iter().copied()),
            median(rates.hints.iter().copied()),
            match rates.trigger {
                Trigger::Hint => TARGET.verdict(ratio),
                Trigger::None | Trigger::Always => String::new(),
            }
        );
    }
}

/// Rows and hints a second with a trigger, by window.
struct Rates {
    trigger: Trigger,
    rows: Vec<f64>,
    hints: Vec<f64>,
}

impl Rates {
    fn of(trigger: Trigger) -> Self {
        Self {
            trigger,
            rows: Vec::new(),
            hints: Vec::new(),
        }
    }
}

/// A connection that hears the hints and counts them.
pub(crate) struct Hints {
    heard: Arc<AtomicU64>,
    listening: JoinSet<sqlx::Result<()>>,
}

impl Hints {
    pub(crate) async fn listen(url: &str) -> sqlx::Result<Self> {
        let mut listener = PgListener::connect(url).await?;
        listener.listen("agent_notifications").await?;
        let heard = Arc::new(AtomicU64::new(0));
        let mut listening = JoinSet::new();
        let count = Arc::clone(&heard);
        listening.spawn(async move {
            loop {
                listener.recv().await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self { heard, listening })
    }

    /// How many until now.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    pub(crate) async fn stop(mut self) {
        self.listening.shutdown().await;
    }
}
