//! Which events are heard when the operator asks for everything.

use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing_subscriber::layer::Context;

use super::*;

/// Remembers what was heard: target and level.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let line = format!("{} {}", metadata.target(), metadata.level());
        self.0.lock().unwrap().push(line);
    }
}

/// What is heard of a number of events under a filter.
fn heard(filter: &str) -> Vec<String> {
    let heard = Heard::default();
    let subscriber = registry()
        .with(EnvFilter::new(filter))
        .with(filter_fn(may_be_heard))
        .with(heard.clone());
    tracing::subscriber::with_default(subscriber, || {
        tracing::trace!(target: "agent_websocket::ws", "ours");
        tracing::debug!(target: "agent_websocket", "ours");
        tracing::debug!(target: "agent_websocket_of_somebody", "not ours");
        tracing::trace!(target: "hyper::proto::h1::io", "frames");
        tracing::debug!(target: "sqlx::query", "SQL");
        tracing::warn!(target: "sqlx::query", "slow SQL");
        tracing::error!(target: "sqlx::postgres::notice", "what a trigger says");
        tracing::debug!(target: "tungstenite::protocol", "frames");
        tracing::trace!(target: "rustls::client", "keys");
        tracing::info!(target: "h2", "no secret");
    });
    std::mem::take(&mut *heard.0.lock().unwrap())
}

#[test]
fn other_crates_are_not_heard_below_info_whatever_the_filter_says() {
    let all = [
        "agent_websocket::ws TRACE",
        "agent_websocket DEBUG",
        "sqlx::query WARN",
        "h2 INFO",
    ];
    assert_eq!(heard("trace"), all);
    assert_eq!(
        heard("trace,hyper::proto=trace,sqlx::query=trace,tungstenite::protocol=trace,rustls=trace,h2=trace"),
        all
    );
    assert_eq!(
        heard("off,hyper::proto::h1::io=trace,sqlx=trace,sqlx::postgres::notice=trace"),
        ["sqlx::query WARN"]
    );
}

#[test]
fn the_filter_decides_about_our_own() {
    assert_eq!(heard("info"), ["sqlx::query WARN", "h2 INFO"]);
    assert_eq!(
        heard("error,agent_websocket::ws=trace"),
        ["agent_websocket::ws TRACE"]
    );
}
