//! What each command of the command line does.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use super::{Node, Parts, access, database, dev, provider};
use crate::auth::{MintRequest, mint};
use crate::bench;
use crate::chat;
use crate::check;
use crate::cli::{ChatArgs, CheckArgs, Cli, Command, ConformanceArgs, SpecArgs, TokenArgs};
use crate::client;
use crate::clock::Clock;
use crate::config::{self, DatabaseSource, Fault, Mode, Settings, TokenSettings};
use crate::conformance;
use crate::http::listen;
use crate::shutdown::Signals;
use crate::spec;
use crate::telemetry;

/// Carries out a command.
///
/// # Errors
/// In words for the person at the terminal.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve => serve().await,
        Command::Dev => dev::run().await,
        Command::Migrate => database::migrate().await,
        Command::Token(arguments) => token(&arguments),
        Command::Notify(arguments) => database::notify(arguments).await,
        Command::Revoke(arguments) => database::revoke(arguments).await,
        Command::Export(arguments) => database::export(&arguments).await,
        Command::Chat(arguments) => talk(arguments).await,
        Command::Check(arguments) => inspect(arguments).await,
        Command::Bench(arguments) => bench::run(arguments).await,
        Command::BenchFloor(arguments) => bench::serve_floor(arguments).await,
        Command::Conformance(arguments) => judge(arguments).await,
        Command::Spec(arguments) => specification(&arguments),
    }
}

/// All faults of the settings as one error.
pub(super) fn checked<T>(result: Result<T, Vec<Fault>>) -> anyhow::Result<T> {
    result.map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
        anyhow::anyhow!("the settings cannot be used:\n{}", lines.join("\n"))
    })
}

async fn serve() -> anyhow::Result<()> {
    let settings = checked(Settings::from_lookup(&config::environment, Mode::Serve))?;
    let _log = telemetry::start(&settings.log)?;
    if settings.auth.only().is_some_and(|issuer| !issuer.is_narrow()) {
        tracing::warn!(
            "any token that JWT_SECRET signed is accepted: set JWT_ISSUER and JWT_AUDIENCE where the secret signs others too"
        );
    }
    let mut signals = Signals::listen()?;
    let DatabaseSource::Server { url, listen_url } = settings.database.source.clone() else {
        anyhow::bail!("serve needs DATABASE_URL");
    };
    let parts = Parts {
        provider: provider(&settings)?,
        database_url: url,
        listen_url,
        clock: Clock::system(),
        listener: bind("BIND_ADDR", settings.server.bind)?,
        admin: Some(bind("ADMIN_BIND_ADDR", settings.server.admin_bind)?),
        settings,
    };
    let node = tokio::select! {
        started = Node::start(parts) => started?,
        () = signals.next() => return Ok(()),
    };
    until_signalled(node, signals).await
}

/// Opens an address, or says which setting names it.
pub(super) fn bind(setting: &str, address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    listen::bind(address)
        .with_context(|| format!("{address} cannot be listened on; choose another with {setting}"))
}

/// Serves until a signal or a fault, then shuts down. A second signal ends the process at once.
pub(super) async fn until_signalled(node: Node, mut signals: Signals) -> anyhow::Result<()> {
    let failed = tokio::select! {
        () = signals.next() => false,
        () = node.failed() => true,
    };
    tracing::info!("shutting down");
    tokio::select! {
        () = node.shut_down() => {}
        () = signals.next() => tracing::warn!("a second signal: ending at once"),
    }
    anyhow::ensure!(!failed, "the server stopped by itself; the log says why");
    Ok(())
}

fn token(arguments: &TokenArgs) -> anyhow::Result<()> {
    let settings = checked(TokenSettings::from_lookup(&config::environment))?;
    let secret = match settings.secret {
        Some(secret) => secret,
        None => dev::existing_secret(&settings.data_dir)?,
    };
    let scope = arguments.scope_claim();
    let request = MintRequest {
        user_id: &arguments.user,
        ttl: arguments.ttl(),
        issuer: settings.issuer.as_deref(),
        audience: settings.audience.as_deref(),
        authorized_party: settings.authorized_party.as_deref(),
        scope: scope.as_deref(),
        token_id: uuid::Uuid::new_v4(),
    };
    writeln!(
        std::io::stdout(),
        "{}",
        mint(&secret, &request, Clock::system().now())?
    )?;
    Ok(())
}

async fn talk(arguments: ChatArgs) -> anyhow::Result<()> {
    let client = client::Options {
        token: access::token(&arguments.access, None)?,
        address: arguments.access.url,
        start: arguments.session,
    };
    let stream = arguments.stream;
    chat::run(chat::Options { client, stream }).await
}

async fn inspect(arguments: CheckArgs) -> anyhow::Result<()> {
    let options = check::Options {
        token: access::token(&arguments.access, None)?,
        service_token: access::service_token(&arguments)?,
        database_url: access::database(&arguments),
        address: arguments.access.url,
        listen_url: arguments.listen_database_url,
        idle: arguments.idle_seconds.map(Duration::from_secs),
        question: arguments.question,
        clock: Clock::system(),
    };
    check::run(options).await
}

async fn judge(arguments: ConformanceArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if arguments.list {
        for (name, section, must) in conformance::catalogue() {
            writeln!(out, "{name:<24} {must} [{section}]")?;
        }
        return Ok(());
    }
    let token = access::token(&arguments.access, Some("agent:notify"))?;
    let options = conformance::Options {
        token: token.get().await.map_err(anyhow::Error::msg)?,
        patience: arguments.patience(),
        address: arguments.access.url,
        short_question: arguments.short_question,
        long_question: arguments.long_question,
        only: arguments.only,
    };
    let (_, failed, _) = conformance::run(options, &mut out).await?.counts();
    anyhow::ensure!(failed == 0, "{failed} checks failed");
    Ok(())
}

fn specification(arguments: &SpecArgs) -> anyhow::Result<()> {
    for document in spec::documents() {
        if let Some(folder) = &arguments.write {
            let path = folder.join(document.path);
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, document.text))
                .with_context(|| format!("{} cannot be written", path.display()))?;
        } else if arguments.name.as_deref() == Some(document.name) {
            std::io::stdout().write_all(document.text.as_bytes())?;
        }
    }
    Ok(())
}
