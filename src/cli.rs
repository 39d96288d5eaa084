//! The command line: which commands there are, their arguments, and help that teaches.
//!
//! Refuses to do anything, and to take a server's settings as arguments: they come from the environment (see
//! [`crate::config`]), so that no secret shows in a process list. Parsed by `main`, carried out by `app`.

mod bench;
mod chat;
mod check;
mod conformance;
mod spec;

use std::time::Duration;

use clap::{Parser, Subcommand};

pub use self::bench::{BenchArgs, FloorArgs};
pub use self::chat::{AccessArgs, ChatArgs};
pub use self::check::CheckArgs;
pub use self::conformance::ConformanceArgs;
pub use self::spec::{SPECIFICATIONS, SpecArgs};
use crate::config::settings_help;
use crate::ids::UserId;
use crate::protocol::text::Timestamp;

/// The version, and what it was built from (build.rs).
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("AGENT_WEBSOCKET_BUILD"),
    ")"
);

/// Persistent sessions for AI agents over WebSocket, backed by Postgres.
#[derive(Debug, Parser)]
#[command(version = VERSION, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run on this machine for trying out: brings its own Postgres and token secret.
    #[command(long_about = DEV, after_help = SEE_SETTINGS, after_long_help = settings_help())]
    Dev,

    /// Run for users.
    #[command(long_about = SERVE, after_help = SEE_SETTINGS, after_long_help = settings_help())]
    Serve,

    /// Bring the database to this version's schema, and end.
    #[command(long_about = MIGRATE, after_help = MIGRATE_EXAMPLE)]
    Migrate,

    /// Print an access token for a user.
    #[command(long_about = TOKEN, after_help = TOKEN_EXAMPLES)]
    Token(TokenArgs),

    /// Notify a user, as services do by an INSERT.
    #[command(long_about = NOTIFY, after_help = NOTIFY_EXAMPLES)]
    Notify(NotifyArgs),

    /// Shut tokens out before they end.
    #[command(long_about = REVOKE, after_help = REVOKE_EXAMPLES)]
    Revoke(RevokeArgs),

    /// Write a session to the standard output.
    #[command(long_about = EXPORT, after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),

    /// Talk to the agent from this terminal.
    #[command(long_about = chat::CHAT, after_help = chat::CHAT_EXAMPLES)]
    Chat(ChatArgs),

    /// Check a deployment, and say what is wrong and why.
    #[command(long_about = check::CHECK, after_help = check::CHECK_EXAMPLES)]
    Check(CheckArgs),

    /// Measure this program on this machine.
    #[command(long_about = bench::BENCH, after_help = bench::BENCH_EXAMPLES)]
    Bench(BenchArgs),

    /// A bare relay: what `bench` compares with.
    #[command(hide = true)]
    BenchFloor(FloorArgs),

    /// Check whether a server keeps the wire contract.
    #[command(long_about = conformance::CONFORMANCE, after_help = conformance::CONFORMANCE_EXAMPLES)]
    Conformance(ConformanceArgs),

    /// Print a specification of the protocol, for programs that read such.
    #[command(long_about = spec::SPEC, after_help = spec::SPEC_EXAMPLES)]
    Spec(SpecArgs),
}

/// Arguments of `notify`.
#[derive(Debug, clap::Args)]
pub struct NotifyArgs {
    /// Whom to reach: the subject of the user's tokens.
    #[arg(value_parser = UserId::new)]
    pub user: UserId,

    /// The text, at most 32 KiB.
    pub text: String,

    /// Your word for what it is: 1 to 64 of A-Z a-z 0-9 _ . : -
    #[arg(long)]
    pub kind: Option<String>,

    /// A heading, at most 1 KiB.
    #[arg(long)]
    pub title: Option<String>,

    /// Your own data: a JSON object, at most 12 KiB.
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub data: Option<serde_json::Map<String, serde_json::Value>>,

    /// The order of delivery to someone who was away.
    #[arg(long, value_parser = ["high", "normal", "low"])]
    pub priority: Option<String>,

    /// The session that it is about.
    #[arg(long, value_name = "UUID")]
    pub session: Option<uuid::Uuid>,

    /// Stored once for each key of a user.
    #[arg(long, value_name = "KEY")]
    pub dedupe_key: Option<String>,

    /// Of several undelivered ones with the same key the newest counts.
    #[arg(long, value_name = "KEY")]
    pub collapse_key: Option<String>,

    /// Not before this moment, such as 2026-12-01T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub deliver_after: Option<Timestamp>,

    /// Not after this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub expires_at: Option<Timestamp>,

    /// Also put it into the conversation of --session, as data for the model.
    #[arg(long, requires = "session")]
    pub in_context: bool,
}

/// Arguments of `revoke`.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// A user's tokens, issued until now; running and waiting answers stop too.
    #[arg(long, value_name = "USER", value_parser = UserId::new)]
    #[arg(required_unless_present_any = ["token_id", "issued_before"])]
    pub user: Option<UserId>,

    /// One token, by its jti; with --user, only that user's.
    #[arg(long, value_name = "JTI", conflicts_with = "issued_before")]
    pub token_id: Option<String>,

    /// Tokens issued before this moment, such as 2026-11-20T08:00:00Z: everybody's, or with --user that user's.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub issued_before: Option<Timestamp>,

    /// How long to remember it, if not for 400 days: until the last such token has ended.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub expires_at: Option<Timestamp>,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Which session.
    pub session: uuid::Uuid,

    /// How it is written.
    #[arg(long, default_value = "jsonl", value_parser = ["jsonl", "markdown"])]
    pub format: String,
}

fn json_object(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    serde_json::from_value(serde_json::Value::from(text))
        .map_err(|_| "not a time of the form 2026-12-01T08:00:00Z".to_owned())
}

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// Whom the token is for: 1 to 255 bytes.
    #[arg(value_parser = UserId::new)]
    pub user: UserId,

    /// How long it is valid, in minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=525_600))]
    pub ttl_minutes: u32,

    /// What it allows besides the user's own sessions, such as agent:notify. Can be given several times.
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    pub scope: Vec<String>,
}

impl TokenArgs {
    /// How long the token is valid.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(u64::from(self.ttl_minutes) * 60)
    }

    /// The scopes as a token carries them, if there are any.
    pub fn scope_claim(&self) -> Option<String> {
        (!self.scope.is_empty()).then(|| self.scope.join(" "))
    }
}

fn scope(text: &str) -> Result<String, &'static str> {
    let is_one_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    if is_one_word {
        Ok(text.to_owned())
    } else {
        Err("a scope is one word without spaces")
    }
}

const EXAMPLES: &str = "\
Examples:
  OPENROUTER_API_KEY=sk-or-... agent-websocket dev
      Try it: starts everything on http://127.0.0.1:8080.
  agent-websocket chat
      Talk to it, from another terminal.
  agent-websocket token alice
      A token to connect with.
  agent-websocket serve --help
      All settings, by environment variable.";

// The long texts are constants rather than comments, because a comment's marks for code would show in a
// terminal.

const DEV: &str = "\
Run on this machine for trying out: brings its own Postgres and token secret.

Keeps both in DATA_DIR, so that sessions survive a restart. With DATABASE_URL it uses that database instead.
Refuses addresses that can be reached from outside.";

const SERVE: &str = "\
Run for users.

Needs DATABASE_URL, OPENROUTER_API_KEY, and JWT_SECRET or JWT_JWKS_URL. A missing or contradictory setting
stops it before it listens, and all such faults are named at once.";

const MIGRATE: &str = "\
Bring the database at DATABASE_URL to this version's schema, and end.

For where the server's own role may not create tables. Can be run again at any time.";

const TOKEN: &str = "\
Print an access token for a user.

Signs it with JWT_SECRET, or without that with the secret that dev keeps in DATA_DIR, and puts in JWT_ISSUER
and JWT_AUDIENCE where they are set. Prints the token alone, so that a script can use it.";

const NOTIFY: &str = "\
Notify a user, as services do by an INSERT into agent.notifications.

Writes to DATABASE_URL, or without it to the database of the dev that runs in DATA_DIR. The role needs no more
than agent_notifier has. Prints the notification's id; with a dedupe key that was used before it prints nothing.";

const NOTIFY_EXAMPLES: &str = "\
Examples:
  agent-websocket notify demo 'Build finished'
  agent-websocket notify demo 'Disk full' --kind alert --priority high --title server-7
  agent-websocket notify demo 'Your report is ready' --dedupe-key report-2026-11 --data '{\"id\": 7}'";

const REVOKE: &str = "\
Shut tokens out before they end: on every node, within a second.

Sockets that live by such a token close with 4503, requests with it get 401. Writes to DATABASE_URL, or without it to
the database of the dev that runs in DATA_DIR, as the server's role or the schema's owner. Prints the revocation's id;
deleting its row from agent.revocations lifts it.";

const REVOKE_EXAMPLES: &str = "\
Examples:
  agent-websocket revoke --user demo
      Signs a user out everywhere; a token that is issued afterwards is good.
  agent-websocket revoke --token-id 4f0c2a52-6f5b-4a57-9f0e-0d3c6f1b7a11
      One token, and the sockets that live by it.
  agent-websocket revoke --issued-before 2026-11-20T08:00:00Z
      Everybody's: after a key was lost.";

const EXPORT: &str = "\
Write a session to the standard output: every message, its state, model, cost and feedback.

Reads DATABASE_URL, or without it the database of the dev that runs in DATA_DIR. As jsonl each line is a JSON
object: first the session, then one for each message.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  agent-websocket export 01a1fb21-2c73-71b8-a89e-a54c8f823890 > session.jsonl
  agent-websocket export 01a1fb21-2c73-71b8-a89e-a54c8f823890 --format markdown | less";

const SEE_SETTINGS: &str = "Settings come from the environment; --help lists them all.";

const MIGRATE_EXAMPLE: &str = "\
Example:
  DATABASE_URL=postgres://owner:password@db:5432/agent agent-websocket migrate";

const TOKEN_EXAMPLES: &str = "\
Examples:
  agent-websocket token alice
  agent-websocket token deploy-bot --scope agent:notify --ttl-minutes 5
  curl -H \"Authorization: Bearer $(agent-websocket token alice)\" http://127.0.0.1:8080/v1/sessions";

#[cfg(test)]
mod tests;
