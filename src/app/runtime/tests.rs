//! Which runtime a command gets.

use clap::Parser;
use tokio::runtime::RuntimeFlavor;

use super::build;
use crate::cli::Cli;

#[test]
fn a_server_on_one_core_runs_on_one_thread_and_nothing_else_does() {
    let table = [
        ("serve", 1, RuntimeFlavor::CurrentThread),
        ("dev", 1, RuntimeFlavor::CurrentThread),
        ("serve", 2, RuntimeFlavor::MultiThread),
        ("dev", 4, RuntimeFlavor::MultiThread),
        ("bench", 1, RuntimeFlavor::MultiThread),
        ("migrate", 1, RuntimeFlavor::MultiThread),
    ];
    for (command, cores, flavor) in table {
        let cli = Cli::parse_from(["agent-websocket", command]);
        let runtime = build(&cli.command, cores).unwrap();
        assert_eq!(runtime.handle().runtime_flavor(), flavor, "{command} on {cores}");
    }
}
