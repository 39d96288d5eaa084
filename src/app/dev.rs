//! `dev`: everything on one machine, with nothing set up before. Brings its own Postgres, secret and, without a key, model.

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::commands::{bind, checked, until_signalled};
use super::{Node, Parts, provider};
use crate::auth::{INSPECT_SCOPE, IssuerSettings, KeySource, MintRequest, mint};
use crate::clock::Clock;
use crate::config::{self, DatabaseSource, Mode, ProviderFlavor, Settings};
use crate::ids::UserId;
use crate::llm::{OFFLINE_HELP, OFFLINE_MODEL, Provider};
use crate::postgres::{Cluster, Installation};
use crate::secret::{DatabaseUrl, Secret};
use crate::shutdown::Signals;
use crate::store::Store;
use crate::telemetry::{self, Log};

/// The user of the printed token.
pub(super) const DEMO_USER: &str = "demo";

/// The database in the embedded cluster.
const DATABASE: &str = "agent";

/// How long the printed token holds.
const DEMO_TOKEN_LIFE: Duration = Duration::from_hours(30 * 24);

/// The user of the inspector's token: it may read everybody's sessions, and has none of its own.
const OPERATOR: &str = "operator";

/// The file with the secret, in the data directory.
const SECRET_FILE: &str = "jwt-secret";

/// The file with the database's address, in the data directory.
const DATABASE_FILE: &str = "database-url";

/// A database for `dev`: its address, how to look into it, and the server if it is ours.
struct Database {
    url: DatabaseUrl,
    listen_url: DatabaseUrl,
    psql: String,
    cluster: Option<Cluster>,
}

/// Runs everything until a signal.
///
/// # Errors
/// In words for the person at the terminal.
pub(super) async fn run() -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let (node, cluster, _log) = tokio::select! {
        started = start() => started?,
        () = signals.next() => return Ok(()),
    };
    serve_with(node, cluster, signals).await
}

async fn start() -> anyhow::Result<(Node, Option<Cluster>, Log)> {
    let mut settings = checked(Settings::from_lookup(&config::environment, Mode::Dev))?;
    let log = telemetry::start(&settings.log)?;
    for issuer in &mut settings.auth.issuers {
        if matches!(issuer.keys, KeySource::DataDirectory) {
            issuer.keys = KeySource::Shared(secret(&settings.data_dir)?);
        }
    }
    let provider = model(&mut settings)?;
    // The addresses first: a port that is taken is said before a database is started.
    let listener = bind("BIND_ADDR", settings.server.bind)?;
    let admin = bind("ADMIN_BIND_ADDR", settings.server.admin_bind)?;
    let database = database(&settings).await?;
    remember(&settings.data_dir, &database.url)?;
    let store = Store::connect(database.url.expose(), 2)
        .await
        .context("the database cannot be reached")?;
    store.migrate().await?;
    store.close().await;
    let addresses = (listener.local_addr()?, admin.local_addr()?);
    let banner = banner(&settings, &provider, addresses, &database.psql)?;
    let parts = Parts {
        settings,
        database_url: database.url,
        listen_url: database.listen_url,
        provider,
        clock: Clock::system(),
        listener,
        admin: Some(admin),
    };
    let node = Node::start(parts).await?;
    write!(std::io::stdout(), "{banner}")?;
    std::io::stdout().flush()?;
    Ok((node, database.cluster, log))
}

async fn serve_with(node: Node, cluster: Option<Cluster>, signals: Signals) -> anyhow::Result<()> {
    let Some(mut cluster) = cluster else {
        return until_signalled(node, signals).await;
    };
    tokio::select! {
        served = until_signalled(node, signals) => {
            cluster.stop().await?;
            served
        }
        error = cluster.wait_for_exit() => Err(error.into()),
    }
}

/// The model: with a key, or an address of one's own, the real one; else the built-in.
fn model(settings: &mut Settings) -> anyhow::Result<Provider> {
    if settings.provider.api_key.is_some() || settings.provider.flavor == ProviderFlavor::Generic {
        return provider(settings);
    }
    OFFLINE_MODEL.clone_into(&mut settings.agent.model);
    settings.agent.model_fallbacks.clear();
    settings.agent.allowed_models = vec![OFFLINE_MODEL.to_owned()];
    Ok(Provider::offline())
}

async fn database(settings: &Settings) -> anyhow::Result<Database> {
    if let DatabaseSource::Server { url, listen_url } = &settings.database.source {
        return Ok(Database {
            url: url.clone(),
            listen_url: listen_url.clone(),
            psql: "psql \"$DATABASE_URL\"".to_owned(),
            cluster: None,
        });
    }
    let installation = Installation::locate(&config::environment)?;
    let cluster = Cluster::durable(&installation, &settings.data_dir.join("postgres")).await?;
    cluster.create_database_if_missing(DATABASE).await?;
    let url = DatabaseUrl::new(&cluster.url(DATABASE))?;
    Ok(Database {
        listen_url: url.clone(),
        url,
        psql: cluster.psql_line(DATABASE),
        cluster: Some(cluster),
    })
}

/// Leaves the database's address for the commands that work beside `dev`.
fn remember(data_dir: &Path, url: &DatabaseUrl) -> anyhow::Result<()> {
    let path = data_dir.join(DATABASE_FILE);
    std::fs::create_dir_all(data_dir).with_context(|| format!("{} cannot be made", data_dir.display()))?;
    private(
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true),
    )
    .open(&path)
    .and_then(|mut file| file.write_all(url.expose().as_bytes()))
    .with_context(|| format!("{} cannot be written", path.display()))
}

/// Where the `dev` that runs in this directory has its database.
///
/// # Errors
/// When none ever ran there.
pub(super) fn running_database(data_dir: &Path) -> anyhow::Result<DatabaseUrl> {
    let path = data_dir.join(DATABASE_FILE);
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "{} cannot be read: set DATABASE_URL, or run `agent-websocket dev`",
            path.display()
        )
    })?;
    Ok(DatabaseUrl::new(text.trim())?)
}

/// Readable by its owner only.
fn private(options: &mut std::fs::OpenOptions) -> &mut std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

/// The data directory's secret, made at the first run.
fn secret(data_dir: &Path) -> anyhow::Result<Secret> {
    let path = data_dir.join(SECRET_FILE);
    if path.exists() {
        return existing_secret(data_dir);
    }
    std::fs::create_dir_all(data_dir).with_context(|| format!("{} cannot be made", data_dir.display()))?;
    let random = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    let mut file = private(std::fs::OpenOptions::new().write(true).create_new(true))
        .open(&path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(random.as_bytes())?;
    Ok(Secret::new(&random))
}

/// The secret that an earlier `dev` left in its data directory.
///
/// # Errors
/// When there is none.
pub(super) fn existing_secret(data_dir: &Path) -> anyhow::Result<Secret> {
    let path = data_dir.join(SECRET_FILE);
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "{} cannot be read: set JWT_SECRET, or run `agent-websocket dev` once",
            path.display()
        )
    })?;
    Ok(Secret::new(text.trim()))
}

/// A token of this machine's own.
fn dev_token(
    issuer: &IssuerSettings,
    secret: &Secret,
    user: &str,
    scope: Option<&str>,
) -> anyhow::Result<String> {
    let user = UserId::new(user)?;
    let request = MintRequest {
        user_id: &user,
        ttl: DEMO_TOKEN_LIFE,
        issuer: issuer.issuer.as_deref(),
        audience: issuer.audiences.first().map(String::as_str),
        authorized_party: issuer.authorized_parties.first().map(String::as_str),
        scope,
        token_id: uuid::Uuid::new_v4(),
    };
    Ok(mint(secret, &request, Clock::system().now())?)
}

/// What is printed once it serves. The pages' tokens stand behind `#`, which a browser sends nowhere and the page takes out of its
/// address at once: so they reach whoever sees this terminal, and no other user of the machine.
fn banner(
    settings: &Settings,
    provider: &Provider,
    (address, admin): (SocketAddr, SocketAddr),
    psql: &str,
) -> anyhow::Result<String> {
    // Several issuers' tokens are theirs to make.
    let issuer = settings.auth.only();
    let Some((issuer, KeySource::Shared(secret))) = issuer.map(|issuer| (issuer, &issuer.keys)) else {
        return Ok(format!("\nAgent WebSocket at http://{address}\n\n"));
    };
    let token = dev_token(issuer, secret, DEMO_USER, None)?;
    let mut pages = String::new();
    if settings.server.console {
        let _ = writeln!(pages, "  Open       http://{address}/#token={token}");
    }
    if settings.server.inspector {
        let inspect = dev_token(issuer, secret, OPERATOR, Some(INSPECT_SCOPE))?;
        let _ = writeln!(pages, "  Inspector  http://{admin}/#token={inspect}");
    }
    let model = match provider {
        Provider::Offline(_) => format!(
            "{OFFLINE_MODEL}, built in: no network, no key. Set OPENROUTER_API_KEY for a real one.\n             {}",
            OFFLINE_HELP.trim().replace('\n', "\n             ")
        ),
        Provider::OpenRouter(_) => settings.agent.model.clone(),
    };
    Ok(format!(
        r#"
Agent WebSocket is ready (development only).

{pages}  Address    ws://{address}/v1/ws
  Model      {model}
  User       {DEMO_USER}
  Token      {token}

Talk to it; type lines such as {{"type":"query","content":"Hello"}}:

  npx wscat -c "ws://{address}/v1/ws?session_id=latest" -H "Authorization: Bearer {token}"

Notify the user, from another terminal:

  agent-websocket notify {DEMO_USER} "Build finished"

Read the history:

  {psql} -c "SELECT seq, role, state, content FROM agent.messages ORDER BY session_id, seq"

"#
    ))
}
