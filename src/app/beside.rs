//! What runs beside the serving: the sender of traces, the listener and what it hears, the slow poll, upkeep of memory and database.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Settings;
use crate::feed::{Feed, InboxBell};
use crate::ids::NodeId;
use crate::metrics::Metrics;
use crate::notify::listener::{Heard, Listener};
use crate::otlp::Spans;
use crate::service::Service;
use crate::shutdown::Tasks;
use crate::upkeep::{self, Retention};

/// Starts what sends traces, where a collector is named.
pub(super) fn start_traces(
    settings: &Settings,
    tasks: &Tasks,
    node: NodeId,
    metrics: &Metrics,
) -> anyhow::Result<Option<Spans>> {
    let Some(traces) = settings.traces.clone() else {
        return Ok(None);
    };
    let (spans, sender) = Spans::new(traces, node.to_string(), metrics.traces.clone())?;
    // Not vital: a service that answers people is worth more than one that can be traced.
    tasks.spawn("traces", sender.run(tasks.stop().clone()));
    Ok(Some(spans))
}

/// Starts what keeps the database in order.
pub(super) fn start_upkeep(service: &Service) {
    let (store, tasks) = (&service.store, &service.tasks);
    tasks.spawn_vital("index", upkeep::index(store.clone()));
    let metrics = service.metrics.clone();
    tasks.spawn_vital("count-waiting", upkeep::count_waiting(store.clone(), metrics));
    tasks.spawn_vital("clear-ended", upkeep::clear_ended(store.clone()));
    let settings = &service.settings.retention;
    if settings.messages.is_some() || settings.notifications.is_some() {
        let retention = Retention {
            messages: settings.messages,
            notifications: settings.notifications,
            interval: settings.interval,
        };
        tasks.spawn_vital(
            "retention",
            upkeep::retain(store.clone(), service.feed.clone(), retention),
        );
    }
}

/// Starts the listener: what it hears makes somebody look again.
pub(super) fn listen(service: &Arc<Service>, inbox: &InboxBell, url: String) {
    let (weak, inbox) = (Arc::downgrade(service), inbox.clone());
    let heard = move |heard| {
        let Some(service) = weak.upgrade() else {
            return;
        };
        match heard {
            Heard::Session(session) => service.feed.hinted(session),
            Heard::Notifications => inbox.ring(),
            Heard::Connections => service.presence.look_again(),
            Heard::Work => service.runs.look_for_work(),
            Heard::Revocations => service.revocations.ring(),
            Heard::Cancel(session) => {
                let runs = Arc::clone(&service.runs);
                service.tasks.spawn("cancel", async move {
                    runs.look_for_cancellation(Some(session)).await;
                });
            }
            Heard::Everything => {
                inbox.ring();
                service.revocations.ring();
                service.runs.look_for_work();
                let feed = service.feed.clone();
                service.tasks.spawn("poll", async move { poll(&feed).await });
            }
        }
    };
    let listener = Listener {
        url,
        node: service.node,
        notifier: service.notifier.clone(),
        state: service.listener.clone(),
        heard,
    };
    service.tasks.spawn_vital("listener", listener.run());
}

async fn poll(feed: &Feed) {
    if let Err(error) = feed.poll().await {
        tracing::warn!(error = %error, "the sessions could not be polled");
    }
}

/// Starts the slow work: the poll beside NOTIFY, rooms that nobody needs, rates that nobody reaches.
pub(super) fn housekeep(service: &Arc<Service>) {
    let weak = Arc::downgrade(service);
    let every = service.settings.runs.poll_interval;
    service.tasks.spawn_vital("housekeeping", async move {
        let mut tidied = Instant::now();
        loop {
            tokio::time::sleep(every).await;
            let Some(service) = weak.upgrade() else {
                return;
            };
            poll(&service.feed).await;
            if let Err(error) = service.feed.housekeep().await {
                tracing::warn!(error = %error, "unwatched sessions could not be given up yet");
            }
            if tidied.elapsed() >= Duration::from_mins(1) {
                tidied = Instant::now();
                service.feed.rest();
                service.limiter.housekeep();
                service.stored.housekeep(std::time::Instant::now());
            }
        }
    });
}
