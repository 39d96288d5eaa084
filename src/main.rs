//! The program: parse the command line, run it, turn its result into an exit code.

use std::process::ExitCode;

use agent_websocket::app;
use agent_websocket::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match app::runtime(&cli.command) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(app::run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one place that speaks to the terminal when nothing else can"
)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("agent-websocket: {error:#}");
    ExitCode::FAILURE
}
