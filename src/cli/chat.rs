//! Arguments and help of `chat`, and how it and `check` are told which deployment to talk to, as whom. Carried out by `app`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::client::address::Address;
use crate::client::news::Start;
use crate::ids::SessionId;
use crate::secret::Secret;

/// Which deployment, and as whom.
#[derive(Clone, Debug, clap::Args)]
pub struct AccessArgs {
    /// Where the deployment is, in any form: host:port, https://…, or wss://…/v1/ws.
    #[arg(
        long,
        value_name = "URL",
        env = "AGENT_WEBSOCKET_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: Address,

    /// Your access token. Others on this machine can read arguments: prefer the variable or a file.
    #[arg(
        long,
        value_name = "JWT",
        env = "AGENT_WEBSOCKET_TOKEN",
        hide_env_values = true
    )]
    #[arg(value_parser = secret)]
    pub token: Option<Secret>,

    /// A file with your access token, read anew for each connection: for tokens that something else renews.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
}

/// Arguments of `chat`.
#[derive(Clone, Debug, clap::Args)]
pub struct ChatArgs {
    /// Which deployment, and as whom.
    #[command(flatten)]
    pub access: AccessArgs,

    /// Which session: new, latest, or its id.
    #[arg(long, value_name = "SESSION", default_value = "new", value_parser = start)]
    pub session: Start,

    /// Write text as it comes even into a pipe, where an answer is otherwise written once it is stored.
    #[arg(long)]
    pub stream: bool,
}

/// A secret given as an argument; an error never repeats it.
pub(super) fn secret(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        Err("a token is not empty")
    } else {
        Ok(Secret::new(text))
    }
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "new" => Ok(Start::New),
        "latest" => Ok(Start::Latest),
        id => uuid::Uuid::from_str(id)
            .map(|id| Start::Session(SessionId(id)))
            .map_err(|_| "new, latest, or the id of a session".to_owned()),
    }
}

pub(super) const CHAT: &str = "\
Talk to the agent from this terminal, or through a pipe.

Shows the session so far, text as it is written, and notifications. When the connection breaks it comes back by itself and
goes on where it was: what was asked is neither lost nor asked twice. /help at the prompt lists the commands; Ctrl-C stops an
answer, Ctrl-D leaves.

Without a token and with an address on this machine it signs one for the user demo, with JWT_SECRET or the secret that dev
keeps in DATA_DIR.

Through a pipe each line is a question or a command, asked when the one before is answered. The standard output then holds the
answers alone; everything else goes to the standard error. The exit code is 0 if all were answered in full.";

pub(super) const CHAT_EXAMPLES: &str = "\
Examples:
  agent-websocket chat
      With the dev that runs on this machine.
  agent-websocket chat --session latest
      Where you were, on whatever device.
  AGENT_WEBSOCKET_TOKEN=eyJ0eXAi… agent-websocket chat --url https://agent.example.com
      With a deployment.
  echo 'What is a durable log?' | agent-websocket chat > answer.txt
      One question, and its answer.";
