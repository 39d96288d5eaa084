//! Arguments and help of `conformance`. Carried out by [`crate::conformance`].

use std::time::Duration;

use super::chat::AccessArgs;

/// Arguments of `conformance`.
#[derive(Clone, Debug, clap::Args)]
pub struct ConformanceArgs {
    /// Which server, and as whom.
    #[command(flatten)]
    pub access: AccessArgs,

    /// Only checks whose name holds this.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// List the checks with what each demands, and end.
    #[arg(long)]
    pub list: bool,

    /// How long the server may take for the next thing that must come.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub patience: u64,

    /// What to ask for an answer of a few words.
    #[arg(long, value_name = "TEXT", default_value = SHORT)]
    pub short_question: String,

    /// What to ask for an answer that takes at least three seconds.
    #[arg(long, value_name = "TEXT", default_value = LONG)]
    pub long_question: String,
}

// The part in brackets is for the model that dev has built in; others pay no heed to it.
const SHORT: &str = "Reply with the one word yes. [[words=8]]";
const LONG: &str =
    "Count from 1 to 300, one number on each line, and write nothing else. [[words=120]] [[delay=30]]";

impl ConformanceArgs {
    /// How long the next thing may take.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

pub(super) const CONFORMANCE: &str = "\
Check whether a server keeps the wire contract, as PROTOCOL.md has it.

Runs against any server that claims to, over the network alone: opens sockets, sends what is right and what is wrong, cuts
and resumes, and holds every frame that comes against the published JSON Schema and the rules about order, offsets and
checksums. Prints each check with its verdict (pass, FAIL, or skip with the reason) and the part of PROTOCOL.md that demands it.
Fails when one failed.

The server has to write about 30 short answers and a dozen longer ones, some of which are cancelled: with a model that is paid
for, that is some ten thousand tokens. Rates are kept: where the server says `rate_limited` the run waits, so that it takes
about three minutes under the default limits and one without them. The sessions that it makes are deleted at the end.

Without a token and with an address on this machine it signs one for the user demo. Checks about notifications need
agent:notify in the token's scope, and are skipped without it.";

pub(super) const CONFORMANCE_EXAMPLES: &str = "\
Examples:
  agent-websocket conformance
      The dev that runs on this machine.
  AGENT_WEBSOCKET_TOKEN=eyJ0eXAi… agent-websocket conformance --url https://agent.example.com
      A deployment, or another implementation.
  agent-websocket conformance --only resume
      The checks that have resume in their name.
  agent-websocket conformance --list
      What is checked.";
