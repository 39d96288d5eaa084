//! The command line: what parses, what is refused with its rule, help that teaches.

use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::{Cli, Command};
use crate::config::SECTIONS;

fn parse(args: &[&str]) -> Result<Command, String> {
    let args = std::iter::once(&"agent-websocket").chain(args);
    Cli::try_parse_from(args)
        .map(|cli| cli.command)
        .map_err(|error| error.to_string())
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn commands_parse() {
    assert!(matches!(parse(&["dev"]), Ok(Command::Dev)));
    assert!(matches!(parse(&["serve"]), Ok(Command::Serve)));
    assert!(matches!(parse(&["migrate"]), Ok(Command::Migrate)));
}

#[test]
fn token_takes_a_user_a_lifetime_and_scopes() {
    let Ok(Command::Token(plain)) = parse(&["token", "alice"]) else {
        panic!("does not parse")
    };
    assert_eq!(plain.user.as_str(), "alice");
    assert_eq!(plain.ttl(), Duration::from_hours(1));
    assert_eq!(plain.scope_claim(), None);

    let args = [
        "token",
        "bot",
        "--ttl-minutes",
        "5",
        "--scope",
        "agent:notify",
        "--scope",
        "read",
    ];
    let Ok(Command::Token(full)) = parse(&args) else {
        panic!("does not parse")
    };
    assert_eq!(full.ttl(), Duration::from_mins(5));
    assert_eq!(full.scope_claim().as_deref(), Some("agent:notify read"));
}

#[test]
fn revoke_takes_a_user_a_token_or_a_moment() {
    for args in [
        &["revoke", "--user", "alice"][..],
        &["revoke", "--user", "alice", "--token-id", "t1"],
        &[
            "revoke",
            "--user",
            "alice",
            "--issued-before",
            "2026-12-01T08:00:00Z",
        ],
        &[
            "revoke",
            "--issued-before",
            "2026-12-01T08:00:00Z",
            "--expires-at",
            "2027-01-01T00:00:00Z",
        ],
    ] {
        assert!(matches!(parse(args), Ok(Command::Revoke(_))), "{args:?}");
    }
}

#[test]
fn bad_arguments_are_refused_with_their_rule() {
    let cases: [(&[&str], &str); 9] = [
        (&["revoke"], "required"),
        (&["revoke", "--expires-at", "2027-01-01T00:00:00Z"], "required"),
        (
            &[
                "revoke",
                "--token-id",
                "t1",
                "--issued-before",
                "2026-12-01T08:00:00Z",
            ],
            "cannot be used with",
        ),
        (
            &["revoke", "--issued-before", "yesterday"],
            "not a time of the form",
        ),
        (&["token"], "<USER>"),
        (&["token", ""], "user"),
        (&["token", "alice", "--ttl-minutes", "0"], "1..=525600"),
        (&["token", "alice", "--scope", "two words"], "one word"),
        (&["deploy"], "unrecognized subcommand"),
    ];
    for (args, expected) in cases {
        let error = parse(args).unwrap_err();
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}

#[test]
fn without_arguments_it_teaches() {
    let help = parse(&[]).unwrap_err();
    for command in ["dev", "serve", "migrate", "token", "Examples:"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn the_long_help_of_dev_and_serve_lists_every_setting() {
    for command in ["dev", "serve"] {
        let help = parse(&[command, "--help"]).unwrap_err();
        for setting in SECTIONS.iter().flat_map(|section| section.settings) {
            assert!(
                help.contains(&format!("  {}=", setting.name)),
                "{command}: {}",
                setting.name
            );
        }
        assert!(
            parse(&[command, "-h"])
                .unwrap_err()
                .contains("--help lists them all")
        );
    }
}

#[test]
fn it_tells_its_version_and_what_it_was_built_from() {
    let told = parse(&["--version"]).unwrap_err();
    let version = concat!("agent-websocket ", env!("CARGO_PKG_VERSION"), " (");
    assert!(told.starts_with(version) && told.ends_with(")\n"), "{told}");
    assert!(told.contains("commit ") || told.contains("debug build"), "{told}");
}
