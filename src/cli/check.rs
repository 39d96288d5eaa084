//! Arguments and help of `check`. Carried out by [`crate::check`].

use super::chat::{AccessArgs, secret};
use crate::secret::{DatabaseUrl, Secret};

/// Arguments of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Which deployment, and as whom.
    #[command(flatten)]
    pub access: AccessArgs,

    /// A token with the scope agent:notify, to notify the user over HTTP.
    #[arg(
        long,
        value_name = "JWT",
        env = "AGENT_WEBSOCKET_SERVICE_TOKEN",
        hide_env_values = true
    )]
    #[arg(value_parser = secret)]
    pub service_token: Option<Secret>,

    /// The server's database, as the server's login: to look inside too.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    #[arg(value_parser = DatabaseUrl::new)]
    pub database_url: Option<DatabaseUrl>,

    /// The same database as the server listens to it, if that is another address.
    #[arg(long, value_name = "URL", env = "LISTEN_DATABASE_URL", hide_env_values = true)]
    #[arg(value_parser = DatabaseUrl::new)]
    pub listen_database_url: Option<DatabaseUrl>,

    /// How long to be silent, to find what cuts idle connections: 5 s more than the server is silent if absent, 0 for not at all.
    #[arg(long, value_name = "SECONDS")]
    pub idle_seconds: Option<u64>,

    /// What to ask the model, twice. A longer answer shows buffering better, and costs more.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Count from one to forty in words, one a line."
    )]
    pub question: String,
}

pub(super) const CHECK: &str = "\
Check a deployment from outside, as its clients see it, and with the database's address from inside too.

Connects, asks the model twice, cuts the connection in the middle of an answer and comes back, stays silent for longer than the
server does, and notifies the user. Measures each and prints a table with verdicts and likely causes (docs/check.md explains
them). Deletes its session and acknowledges its notification; two short answers of the model are paid for.

Without a token and with an address on this machine it signs tokens for the user demo and looks into the database of the dev
that runs in DATA_DIR. The exit code is 0 if nothing failed.";

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  agent-websocket check
      The dev that runs on this machine.
  AGENT_WEBSOCKET_TOKEN=eyJ0eXAi… agent-websocket check --url https://agent.example.com
      A deployment, through whatever is in front of it.
  agent-websocket check --url https://agent.example.com --token-file user.jwt --idle-seconds 120
      Also whether two minutes of silence are survived.
  DATABASE_URL=postgres://… agent-websocket check --url https://agent.example.com --token-file user.jwt
      Also role, schema, indexes and LISTEN.";
