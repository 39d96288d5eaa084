//! The arguments of `spec`. Parsed by `cli`, carried out by `app`.

/// Arguments of `spec`.
#[derive(Debug, clap::Args)]
pub struct SpecArgs {
    /// Which one.
    #[arg(value_parser = SPECIFICATIONS, required_unless_present = "write")]
    pub name: Option<String>,

    /// Write all of them to where the repository keeps them, under this folder.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = ".", conflicts_with = "name")]
    pub write: Option<std::path::PathBuf>,
}

/// What `spec` can print: the names of [`crate::spec::documents`].
pub const SPECIFICATIONS: [&str; 4] = ["asyncapi", "openapi", "schema", "typescript"];

pub(super) const SPEC: &str = "\
Print a specification of the protocol, for programs that read such.

schema is a JSON Schema of every frame that a client may send and that the server sends; typescript has the same as
types; openapi has the HTTP interface, asyncapi the socket. The last two are also served, at /openapi.json and
/asyncapi.json.";

pub(super) const SPEC_EXAMPLES: &str = "\
Examples:
  agent-websocket spec schema > frames.schema.json
  agent-websocket spec --write
      In a clone of the repository: makes the committed files anew.";
