//! Builds everything once and wires it: a node that serves, and how it ends.
//!
//! The only place that knows all rooms. `main` and the tests start nodes with it; the tests' are the same as production's
//! but for their settings.

mod access;
mod beside;
mod commands;
mod database;
mod dev;
mod runtime;

pub use commands::run;
pub use runtime::runtime;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::config::{ProviderFlavor, Settings};
use crate::feed::{Feed, Inbox, InboxBell, PresenceBook, PresenceWriter};
use crate::http;
use crate::http::listen::Peers;
use crate::ids::NodeId;
use crate::limits::{Limiter, StoredBytes};
use crate::llm::{self, Provider};
use crate::metrics::Metrics;
use crate::notify::hub::Hub;
use crate::notify::listener::ListenerState;
use crate::notify::notifier::Notifier;
use crate::notify::turnstile::Turnstile;
use crate::prompt::Window;
use crate::runs::{Dispatcher, Lease, Reconciler, RunContext, RunPolicy, Runs, Scribe};
use crate::secret::{DatabaseUrl, Secret};
use crate::service::{RevocationBell, RevocationWatch, Service, limit_or_off};
use crate::shutdown::Tasks;
use crate::store::append::{AppendLimits, Appender};
use crate::store::{Store, StoreError};

/// How long what is left may take after the drain window: storing last answers, closing sockets.
const LAST_WORK: Duration = Duration::from_secs(5);

/// How long each word to the database may take at the very end: a connection that died without a word never answers, and
/// what is not said runs out by itself.
const GOODBYE: Duration = Duration::from_secs(2);

/// The longest answer, in bytes: it must fit one frame, every character escaped.
const MAX_ANSWER_BYTES: usize = 512 * 1024;

/// What a node is built from.
#[derive(Debug)]
pub struct Parts {
    /// All settings.
    pub settings: Settings,
    /// The database.
    pub database_url: DatabaseUrl,
    /// The same database, directly.
    pub listen_url: DatabaseUrl,
    /// Who writes the answers.
    pub provider: Provider,
    /// The time.
    pub clock: Clock,
    /// Where users connect.
    pub listener: TcpListener,
    /// Where operators connect; `None` for no such listener.
    pub admin: Option<TcpListener>,
}

/// A running server.
#[derive(Debug)]
pub struct Node {
    service: Arc<Service>,
    address: SocketAddr,
}

/// The provider that the settings name.
///
/// # Errors
/// When the address or the key cannot be used, or the system offers no TLS.
pub fn provider(settings: &Settings) -> anyhow::Result<Provider> {
    let base_url: llm::BaseUrl = settings
        .provider
        .base_url
        .parse()
        .context("OPENROUTER_BASE_URL")?;
    let mut provider = llm::Settings::new(base_url);
    if let Some(key) = &settings.provider.api_key {
        provider.api_key = Some(key.expose().parse().context("OPENROUTER_API_KEY")?);
    }
    // The host tells a third flavour apart; the setting overrides what it says about OpenRouter.
    match (settings.provider.flavor, provider.flavor) {
        (ProviderFlavor::OpenRouter, _) => provider.flavor = llm::ProviderFlavor::OpenRouter,
        (ProviderFlavor::Generic, llm::ProviderFlavor::OpenRouter) => {
            provider.flavor = llm::ProviderFlavor::Generic;
        }
        (ProviderFlavor::Generic, _) => {}
    }
    provider.limits.text_bytes = MAX_ANSWER_BYTES;
    Ok(Provider::open_router(provider)?)
}

fn run_policy(settings: &Settings) -> RunPolicy {
    let agent = &settings.agent;
    RunPolicy {
        agent: agent.name.clone(),
        model: agent.model.clone(),
        allowed_models: agent.allowed_models.clone(),
        fallbacks: agent.model_fallbacks.clone(),
        temperature: agent.temperature,
        max_tokens: agent.max_tokens,
        window: Window {
            max_messages: agent.max_history as usize,
            max_tokens: agent.max_prompt_tokens as usize,
            system: agent.system_prompt.as_str().into(),
        },
        max_attempts: settings.runs.max_attempts,
        max_runs_per_user: limit_or_off(settings.limits.runs_per_user),
        max_runs_per_node: limit_or_off(settings.limits.runs_per_node),
        chunk_flush: settings.runs.chunk_flush,
        lease: settings.runs.lease,
        reaper_interval: settings.runs.reaper_interval,
        poll: settings.runs.poll_interval,
        user_pepper: settings
            .provider
            .api_key
            .clone()
            .unwrap_or_else(|| Secret::new("")),
    }
}

impl Node {
    /// Connects, registers, starts every task and serves.
    ///
    /// # Errors
    /// When the database cannot be reached or has another schema, or a setting cannot work.
    pub async fn start(parts: Parts) -> anyhow::Result<Self> {
        let settings = &parts.settings;
        let tasks = Tasks::new();
        let store = Store::connect(parts.database_url.expose(), settings.database.max_connections).await?;
        anyhow::ensure!(
            store.is_migrated().await?,
            "the database's schema is not this version's: run `agent-websocket migrate`"
        );
        let (auth, refreshers) = Authenticator::from_settings(&settings.auth, parts.clock.clone())?;
        for refresher in refreshers {
            tasks.spawn_vital("token-keys", refresher.run());
        }
        let node = store
            .register_node(env!("CARGO_PKG_VERSION"), settings.runs.lease)
            .await?;
        let address = parts.listener.local_addr()?;
        let (service, inbox) = assemble(&parts, &tasks, store, node, auth)?;
        // Before anybody can connect.
        let revocations = RevocationWatch::start(&service).await?;
        tasks.spawn_vital("revocations", revocations.run());
        beside::listen(&service, &inbox, parts.listen_url.expose().to_owned());
        beside::housekeep(&service);
        beside::start_upkeep(&service);
        let router = http::router(Arc::clone(&service));
        let peers = Peers {
            trusted: Arc::from(service.settings.server.trusted_proxies.as_slice()),
            inbound: service.settings.limits.inbound,
        };
        tasks.spawn(
            "accept",
            http::listen::serve(parts.listener, router, peers.clone(), tasks.clone()),
        );
        let admin_address = parts.admin.as_ref().map(TcpListener::local_addr).transpose()?;
        if let Some(admin) = parts.admin {
            let router = http::admin_router(Arc::clone(&service));
            tasks.spawn(
                "accept-admin",
                http::listen::serve(admin, router, peers, tasks.clone()),
            );
        }
        let admin = admin_address.map(tracing::field::display);
        let runtime = Handle::current();
        let (runtime, threads) = (runtime.runtime_flavor(), runtime.metrics().num_workers());
        tracing::info!(%node, %address, admin, ?runtime, threads, "serving");
        Ok(Self { service, address })
    }

    /// Where users connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything behind the handlers: for tests that look at a node from inside.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Waits until something vital has ended, which ends the node.
    pub async fn failed(&self) {
        self.service.tasks.stop().cancelled().await;
    }

    /// Ends the node: no new connections, clients told to come back over the drain window, answers given that time, then
    /// ended or released, everything stored, the lease given up.
    pub async fn shut_down(self) {
        let (tasks, runs) = (&self.service.tasks, &self.service.runs);
        let until = Instant::now() + self.service.settings.server.drain;
        runs.drain();
        tasks.drain().cancel();
        self.idle_until(until).await;
        runs.end_all();
        self.idle_until(Instant::now() + LAST_WORK).await;
        let left = timeout(GOODBYE, self.service.store.leave_node(self.service.node)).await;
        if let Err(error) = left.unwrap_or_else(|_| Err(StoreError::too_late())) {
            tracing::warn!(error = %error, "the lease could not be given up; it will run out");
        }
        tasks.stop().cancel();
        if timeout(LAST_WORK, tasks.wait()).await.is_err() {
            tracing::warn!(tasks = tasks.alive(), "tasks were left behind");
        }
        if timeout(GOODBYE, self.service.store.close()).await.is_err() {
            tracing::warn!("connections to the database that do not answer were left");
        }
    }

    /// Waits until no run and no connection is left, or until a moment.
    async fn idle_until(&self, until: Instant) {
        while Instant::now() < until {
            if self.service.runs.count() == 0 && self.service.hub.count_connections() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn append_limits(settings: &Settings) -> AppendLimits {
    AppendLimits {
        max_queue: limit_or_off(settings.limits.queue_depth),
        max_runs_per_user: limit_or_off(settings.limits.runs_per_user),
    }
}

/// Builds the service and starts the tasks that belong to it.
fn assemble(
    parts: &Parts,
    tasks: &Tasks,
    store: Store,
    node: NodeId,
    auth: Authenticator,
) -> anyhow::Result<(Arc<Service>, InboxBell)> {
    let settings = parts.settings.clone();
    let hub = Arc::new(Hub::default());
    let metrics = Metrics::default();
    let spans = beside::start_traces(&settings, tasks, node, &metrics)?;
    let (notifier, notifier_task) = Notifier::new(store.options().clone());
    let feed = start_feed(parts, tasks, &store, node, &hub, &notifier);
    let (storage_meter, metering) = store.storage_meter();
    tasks.spawn_vital("storage_meter", metering.run());
    let (inbox_bell, inbox) = Inbox::new(feed.clone(), settings.runs.notification_poll, metrics.clone());
    let (appender, starter) = start_writer(tasks, &store, node, &settings, &feed, &metrics);
    let context = RunContext {
        store: store.clone(),
        appender: appender.clone(),
        hub: Arc::clone(&hub),
        feed: feed.clone(),
        notifier: notifier.clone(),
        provider: parts.provider.clone(),
        node,
        clock: parts.clock.clone(),
        metrics: metrics.clone(),
        spans,
        tasks: tasks.clone(),
    };
    let (runs, scribe) = Runs::new(context, run_policy(&settings));
    let _ = starter.set(Arc::clone(&runs));
    tasks.spawn_vital("notifier", notifier_task.run());
    tasks.spawn_vital("inbox", inbox.run());
    start_run_tasks(tasks, &runs, scribe);
    let service = Service {
        presence: start_presence(tasks, &feed, &settings),
        limiter: Limiter::new(&settings.limits),
        stored: StoredBytes::default(),
        storage_meter,
        settings,
        node,
        auth,
        clock: parts.clock.clone(),
        store,
        appender,
        hub,
        turnstile: Turnstile::default(),
        feed,
        runs,
        notifier,
        listener: ListenerState::new(metrics.clone()),
        metrics,
        revocations: RevocationBell::default(),
        tasks: tasks.clone(),
    };
    Ok((Arc::new(service), inbox_bell))
}

/// Starts what keeps the rooms in step with the store.
fn start_feed(
    parts: &Parts,
    tasks: &Tasks,
    store: &Store,
    node: NodeId,
    hub: &Arc<Hub>,
    notifier: &Notifier,
) -> Feed {
    let most = limit_or_off(parts.settings.limits.sessions_per_user);
    let (creator, creating) = store.creator(node, most);
    let (opener, opening) = store.opener(node);
    let (feed, follower) = Feed::new(
        Arc::clone(hub),
        store.clone(),
        creator,
        opener,
        notifier.clone(),
        node,
        parts.clock.clone(),
    );
    tasks.spawn_vital("creator", creating.run());
    tasks.spawn_vital("opener", opening.run());
    tasks.spawn_vital("follower", follower.run());
    feed
}

/// Starts the one writer of the log. Commits start runs, and runs make commits: the way between them is tied once both exist.
fn start_writer(
    tasks: &Tasks,
    store: &Store,
    node: NodeId,
    settings: &Settings,
    feed: &Feed,
    metrics: &Metrics,
) -> (Appender, Arc<OnceLock<Arc<Runs>>>) {
    let starter: Arc<OnceLock<Arc<Runs>>> = Arc::default();
    let (appender, writer) = store.writer(node, append_limits(settings), metrics.appends.clone(), {
        let (feed, starter) = (feed.clone(), Arc::clone(&starter));
        move |commit| {
            feed.committed(&commit);
            if let (Some((run, place)), Some(runs)) = (commit.start, starter.get()) {
                runs.start(run, place);
            }
        }
    });
    tasks.spawn_vital("writer", writer.run());
    (appender, starter)
}

/// Starts to write who is connected.
fn start_presence(tasks: &Tasks, feed: &Feed, settings: &Settings) -> PresenceBook {
    // In a dry run nobody is sent away.
    let max_per_user = if settings.budget.dry_run {
        0
    } else {
        limit_or_off(settings.limits.connections_per_user)
    };
    let (book, writer) = PresenceWriter::new(feed.clone(), max_per_user);
    tasks.spawn_vital("presence", writer.run());
    book
}

/// Starts what works on runs beside the runs themselves.
fn start_run_tasks(tasks: &Tasks, runs: &Arc<Runs>, scribe: Scribe) {
    tasks.spawn_vital("scribe", scribe.run());
    tasks.spawn_vital("dispatcher", Dispatcher::new(Arc::clone(runs)).run());
    tasks.spawn_vital("reconciler", Reconciler::new(Arc::clone(runs)).run());
    tasks.spawn_vital("lease", Lease::new(Arc::clone(runs)).run());
}
