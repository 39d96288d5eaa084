//! The sections of the settings: what the rest of the program sees of them.
//!
//! Every value in them is checked and in its final unit; a name in backquotes is the setting it came from.
//! Sections that one adapter alone needs are that adapter's own types (`auth::AuthSettings`,
//! `limits::LimitSettings`), because an adapter must not know this module.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cidr::Cidr;
use crate::host::HostName;
use crate::secret::{DatabaseUrl, Secret};

/// Where the server listens and whom it believes.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// `BIND_ADDR`.
    pub bind: SocketAddr,
    /// `ADMIN_BIND_ADDR`.
    pub admin_bind: SocketAddr,
    /// `ALLOWED_ORIGINS`, each as a browser writes it: `scheme://host`, and the port unless it is the
    /// scheme's own.
    pub allowed_origins: Vec<String>,
    /// `ALLOWED_HOSTS`; none = any. Never empty in `dev`.
    pub allowed_hosts: Vec<HostName>,
    /// `TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<Cidr>,
    /// `CONSOLE`, or whether this is `dev`.
    pub console: bool,
    /// `INSPECTOR`, or whether this is `dev`.
    pub inspector: bool,
    /// `DRAIN_SECONDS`; zero = close at once.
    pub drain: Duration,
}

/// Postgres.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Which server.
    pub source: DatabaseSource,
    /// `DATABASE_MAX_CONNECTIONS`.
    pub max_connections: u32,
}

/// Which Postgres.
#[derive(Clone, Debug)]
pub enum DatabaseSource {
    /// One that runs already.
    Server {
        /// `DATABASE_URL`.
        url: DatabaseUrl,
        /// `LISTEN_DATABASE_URL`, or the same as `url`.
        listen_url: DatabaseUrl,
    },
    /// `dev`'s own, in the data directory. Never in `serve`.
    Embedded,
}

/// Who writes the answers.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// `OPENROUTER_API_KEY`. Always there in `serve` with [`ProviderFlavor::OpenRouter`].
    pub api_key: Option<Secret>,
    /// `OPENROUTER_BASE_URL`: an http or https address without a slash at its end.
    pub base_url: String,
    /// `PROVIDER_FLAVOR`; `auto` is resolved by the host.
    pub flavor: ProviderFlavor,
}

/// Which fields the provider understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderFlavor {
    /// `OpenRouter`, with its own additions.
    OpenRouter,
    /// Any other server with `OpenAI`'s interface.
    Generic,
}

/// What the model is asked and told.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// `AGENT_NAME`.
    pub name: String,
    /// `SYSTEM_PROMPT` with the name filled in.
    pub system_prompt: String,
    /// `MODEL`.
    pub model: String,
    /// `MODEL_FALLBACKS`, first to last.
    pub model_fallbacks: Vec<String>,
    /// `ALLOWED_MODELS`, or `MODEL` alone: never empty, always with `model` in it.
    pub allowed_models: Vec<String>,
    /// `TEMPERATURE`, 0 to 2.
    pub temperature: f64,
    /// `MAX_TOKENS` of an answer.
    pub max_tokens: u32,
    /// `MAX_HISTORY`, in messages.
    pub max_history: u32,
    /// `MAX_PROMPT_TOKENS`, estimated.
    pub max_prompt_tokens: u32,
}

/// What holds for each socket.
#[derive(Clone, Debug)]
pub struct SocketSettings {
    /// `SESSION_TIMEOUT`; never zero.
    pub session_timeout: Duration,
    /// `HEARTBEAT_MS`.
    pub heartbeat: Duration,
    /// `MAX_MESSAGE_BYTES`.
    pub max_message_bytes: usize,
    /// The same for the AI SDK's dialect.
    pub ai_sdk_max_message_bytes: usize,
    /// `MESSAGE_TIMEOUT_MS`.
    pub message_timeout: Duration,
    /// `AUTH_TIMEOUT_MS`.
    pub auth_timeout: Duration,
    /// `WRITE_TIMEOUT_MS`.
    pub write_timeout: Duration,
    /// `TOKEN_EXPIRY_WARNING_SECONDS`.
    pub token_expiry_warning: Duration,
    /// `ALLOW_ACCESS_TOKEN_IN_URL`.
    pub allow_access_token_in_url: bool,
}

/// How answers are carried through.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// `LEASE_MS`.
    pub lease: Duration,
    /// `REAPER_INTERVAL_MS`.
    pub reaper_interval: Duration,
    /// `CHUNK_FLUSH_MS`; less than `lease`.
    pub chunk_flush: Duration,
    /// `POLL_INTERVAL_MS`.
    pub poll_interval: Duration,
    /// `NOTIFICATION_POLL_MS`.
    pub notification_poll: Duration,
    /// `MAX_RUN_ATTEMPTS`, the first one included.
    pub max_attempts: u32,
}

/// How long things are kept.
#[derive(Clone, Debug)]
pub struct RetentionSettings {
    /// `RETENTION_DAYS`; `None` = for ever.
    pub messages: Option<Duration>,
    /// `NOTIFICATION_RETENTION_DAYS`; `None` = for ever.
    pub notifications: Option<Duration>,
    /// `RETENTION_INTERVAL_MS`.
    pub interval: Duration,
}

/// What one user may spend in a day, over all nodes.
#[derive(Clone, Copy, Debug)]
pub struct BudgetSettings {
    /// `TOKENS_PER_DAY`; 0 = no limit.
    pub tokens_per_day: u64,
    /// `COST_PER_DAY_USD`; 0 = no limit.
    pub cost_per_day_usd: f64,
    /// `COST_RESERVE_USD`.
    pub cost_reserve_usd: f64,
    /// `LIMITS_DRY_RUN`, of all limits on users.
    pub dry_run: bool,
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// `LOG`, checked to be a filter that `tracing-subscriber` takes.
    pub filter: String,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object for machines.
    Json,
}
