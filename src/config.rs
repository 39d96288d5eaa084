//! The settings as one value, parsed and checked once at the start.
//!
//! Owns which settings there are, their defaults, and every rule between them; reports all faults together,
//! each with its fix. Refuses to change at run time, and is the only reader of the environment. Built by
//! `main`, handed down by `app` to each room as the section that it needs.

mod behaviour;
mod connections;
mod issuers;
mod reader;
mod sections;
mod table;
mod tokens;
mod traces;

use std::path::PathBuf;

use crate::auth::AuthSettings;
use crate::limits::LimitSettings;
use crate::otlp;
use crate::secret::{DatabaseUrl, Secret};
use reader::Reader;
pub use reader::{Fault, Lookup};
pub use sections::{
    AgentSettings, BudgetSettings, DatabaseSettings, DatabaseSource, LogFormat, LogSettings, ProviderFlavor,
    ProviderSettings, RetentionSettings, RunSettings, ServerSettings, SocketSettings,
};
pub use table::{SECTIONS, Section, Setting, env_example, settings_help};

/// What the program is started for; decides what must be set and what is too dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For users: needs a database, a provider and a way to check tokens.
    Serve,
    /// For one developer on one machine: needs nothing, and refuses to be reached from outside.
    Dev,
}

/// All settings. Prints without secrets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses.
    pub server: ServerSettings,
    /// Postgres.
    pub database: DatabaseSettings,
    /// `DATA_DIR`.
    pub data_dir: PathBuf,
    /// Tokens. In `dev` possibly [`crate::auth::KeySource::DataDirectory`], which the caller replaces.
    pub auth: AuthSettings,
    /// The server that runs the model.
    pub provider: ProviderSettings,
    /// What the model is asked and told.
    pub agent: AgentSettings,
    /// Each socket.
    pub socket: SocketSettings,
    /// Each answer.
    pub runs: RunSettings,
    /// How long things are kept.
    pub retention: RetentionSettings,
    /// How much one user, address or node may ask for.
    pub limits: LimitSettings,
    /// What one user may spend.
    pub budget: BudgetSettings,
    /// The log.
    pub log: LogSettings,
    /// Where traces go; `None` = nowhere.
    pub traces: Option<otlp::Settings>,
}

/// What the command `token` needs.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// `JWT_SECRET`; without it, the secret in the data directory is meant.
    pub secret: Option<Secret>,
    /// `JWT_ISSUER`.
    pub issuer: Option<String>,
    /// The first of `JWT_AUDIENCE`.
    pub audience: Option<String>,
    /// The first of `JWT_AUTHORIZED_PARTIES`.
    pub authorized_party: Option<String>,
    /// `DATA_DIR`.
    pub data_dir: PathBuf,
}

impl Settings {
    /// Reads and checks all settings.
    ///
    /// # Errors
    ///
    /// Every fault there is, so that the operator need not start the program once for each.
    pub fn from_lookup(lookup: Lookup<'_>, mode: Mode) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(lookup);
        let r = &mut reader;
        let settings = Self {
            server: connections::server(r, mode),
            database: connections::database(r, mode),
            data_dir: connections::data_dir(r),
            auth: tokens::auth(r, mode),
            provider: connections::provider(r, mode),
            agent: behaviour::agent(r),
            socket: behaviour::socket(r),
            runs: behaviour::runs(r),
            retention: behaviour::retention(r),
            limits: behaviour::limits(r),
            budget: behaviour::budget(r),
            log: behaviour::log(r),
            traces: traces::traces(r),
        };
        behaviour::check_that_messages_fit(r, &settings.socket, &settings.limits);
        reader.finish(settings)
    }
}

impl TokenSettings {
    /// Reads and checks what the command `token` needs.
    ///
    /// # Errors
    ///
    /// Every fault there is.
    pub fn from_lookup(lookup: Lookup<'_>) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(lookup);
        let settings = Self {
            secret: tokens::jwt_secret(&mut reader),
            issuer: reader.given(&table::JWT_ISSUER),
            audience: reader.list(&table::JWT_AUDIENCE).into_iter().next(),
            authorized_party: reader.list(&table::JWT_AUTHORIZED_PARTIES).into_iter().next(),
            data_dir: connections::data_dir(&reader),
        };
        reader.finish(settings)
    }
}

/// The database that the commands look into which work beside a server: `DATABASE_URL`, or without it the one that `dev`
/// keeps in this directory.
///
/// # Errors
///
/// The fault, if `DATABASE_URL` is no address of a Postgres.
pub fn database_or_dev(lookup: Lookup<'_>) -> Result<(Option<DatabaseUrl>, PathBuf), Vec<Fault>> {
    let mut reader = Reader::new(lookup);
    let url = connections::given_database_url(&mut reader);
    let data_dir = connections::data_dir(&reader);
    reader.finish((url, data_dir))
}

/// Reads and checks `DATABASE_URL` alone: what the command `migrate` needs.
///
/// # Errors
///
/// The fault, if it is missing or no address of a Postgres.
pub fn database_url(lookup: Lookup<'_>) -> Result<DatabaseUrl, Vec<Fault>> {
    let mut reader = Reader::new(lookup);
    let url = connections::required_database_url(&mut reader);
    reader.finish(url)?.ok_or_else(Vec::new)
}

/// The process's environment, to be passed as a [`Lookup`]. Bytes that are not UTF-8 become U+FFFD, so that
/// the setting is faulty rather than silently absent.
#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
