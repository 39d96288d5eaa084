//! Strangers who mean harm, one line printed for each threat: what it cost the server, and how soon it was over.
//!
//! ```console
//! $ cargo test --test it hostile:: -- --nocapture | grep '^hostile'
//! ```
//!
//! The server is the program itself, with its own defaults, as a process of its own: what is measured is its memory and
//! its processor time, and nothing of the test's. What must hold is bounds on these, and an end; how fast the machine is
//! does not matter. `T9` and the like are the threats of `docs/security.md`.

mod bombs;
mod breaches;
mod floods;
mod handshakes;
mod silence;
mod slow;

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::gauge::{Growth, Usage};
use crate::support::node::{token, values};
use crate::support::process::ServeProcess;
use crate::support::provider::ScriptedProvider;
use crate::support::raw::RawClient;

/// Limits that other tests switch off: here each has the value that operators get.
const PRODUCTION: [&str; 6] = [
    "RATE_LIMIT_PER_MINUTE",
    "RATE_LIMIT_BURST",
    "FRAMES_PER_SECOND",
    "CONNECTIONS_PER_MINUTE_PER_ADDRESS",
    "AUTH_FAILURES_PER_MINUTE_PER_ADDRESS",
    "MAX_CONNECTIONS_PER_USER",
];

/// How long to look for a close frame among what an attacker left unread.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// A server under attack, and one who uses it meanwhile.
struct Target {
    server: ServeProcess,
    database: TestDatabase,
    provider: ScriptedProvider,
    witness: TestClient,
}

/// What the server spent on an attack; nothing where the system does not tell.
#[derive(Clone, Copy)]
struct Cost(Option<Growth>);

/// What a flood came to.
struct Flood {
    /// How many bytes the server took.
    taken: usize,
    /// When the server had enough.
    closed_after: Option<Duration>,
    /// What the attacker was told, if it could still be.
    code: Option<u16>,
    cost: Cost,
}

impl Target {
    /// The program with its defaults but for these settings.
    async fn start(changes: &[(&str, &str)]) -> Self {
        let provider = ScriptedProvider::start().await;
        let database = TestDatabase::new().await;
        let mut settings: HashMap<String, String> = values(&provider.base_url(), &database.url, &[]);
        settings.retain(|name, _| !PRODUCTION.contains(&name.as_str()));
        settings.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let server = ServeProcess::start("target", settings).await;
        let mut witness = TestClient::connect(&server.base, &token("witness"), "").await;
        witness.live().await;
        // What is made once has been made before anything is measured.
        witness.ask("first", "Hello?").await;
        Self {
            server,
            database,
            provider,
            witness,
        }
    }

    /// A user's socket that answers nothing and is hardly read.
    async fn attacker(&self) -> RawClient {
        let authorization = format!("Bearer {}", token("mallory"));
        let client = RawClient::with_a_small_window(&self.server.base).await;
        let headers = [("authorization", authorization.as_str())];
        let (client, head) = client.upgraded(&self.server.base, "/v1/ws", &headers).await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        client
    }

    fn usage(&self) -> Option<Usage> {
        self.server.process.usage()
    }

    /// What was spent since an earlier moment.
    fn cost(&self, before: Option<Usage>) -> Cost {
        Cost(self.usage().zip(before).map(|(now, then)| now.since(then)))
    }

    /// Whether the server has written that it closed a connection for this reason.
    fn has_closed(&self, reason: &str) -> bool {
        let closed = format!("\"closed\":\"{reason}\"");
        self.server.process.stderr().contains(&closed)
    }

    /// Sends something, then the same bytes for a time without reading; then looks at what the server said.
    async fn flood(&self, first: &[u8], bytes: &[u8], reason: &str, time: Duration) -> Flood {
        let mut attacker = self.attacker().await;
        let before = self.usage();
        let began = Instant::now();
        attacker.send(first).await.unwrap();
        let mut closed_after = None;
        let watch = async {
            while closed_after.is_none() && began.elapsed() < time {
                tokio::time::sleep(Duration::from_millis(20)).await;
                closed_after = self.has_closed(reason).then(|| began.elapsed());
            }
        };
        let (taken, ()) = tokio::join!(attacker.flood(bytes, began + time), watch);
        let cost = self.cost(before);
        let told = timeout(TOLD_WITHIN, attacker.closed()).await.ok().flatten();
        Flood {
            taken,
            closed_after,
            code: told.map(|(code, _)| code),
            cost,
        }
    }

    /// Who was there before is served as ever, and the server still takes others.
    async fn assert_unharmed(&mut self) {
        let pong = self.witness.command("ping", json!({})).await;
        assert_eq!(pong["event"], "ping", "{pong}");
        self.witness.ask("last", "Still there?").await;
        eventually("others are let in", || async {
            let headers = [("authorization", format!("Bearer {}", token("newcomer")))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            TestClient::open(&self.server.base, "/v1/ws", &headers)
                .await
                .is_ok()
        })
        .await;
        assert!(
            !self.server.process.stderr().contains("panicked"),
            "something panicked"
        );
    }
}

impl Cost {
    /// Checks that no more was spent than this.
    fn assert_within(self, memory_mib: i64, cpu: Duration) {
        if let Some(growth) = self.0 {
            assert!(growth.rss_kib <= memory_mib * 1024, "{growth}");
            assert!(growth.cpu <= cpu, "{growth}");
        }
    }
}

/// Prints a threat's line.
fn report(threat: &str, what: &str, figures: impl Display) {
    println!("hostile {threat}: {what}: {figures}");
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

impl Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(growth) => growth.fmt(f),
            None => f.write_str("memory and CPU are not measured on this system"),
        }
    }
}

impl Display for Flood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} KiB taken", self.cost, self.taken / 1024)?;
        match self.closed_after {
            Some(time) => write!(f, ", closed after {}", seconds(time))?,
            None => write!(f, ", not closed")?,
        }
        self.code.map_or(Ok(()), |code| write!(f, " with {code}"))
    }
}
