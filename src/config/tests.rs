//! Settings from a table of texts: defaults, every fault at once, contradictions, secrets that stay hidden.

mod faults;
mod tokens;
mod traces;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use super::{
    DatabaseSource, Fault, LogFormat, Mode, ProviderFlavor, SECTIONS, Setting, Settings, TokenSettings,
    database_url, env_example, settings_help,
};
use crate::auth::KeySource;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What `serve` needs at least.
const SERVE: &[(&str, &str)] = &[
    ("DATABASE_URL", "postgres://app:canary@db/agent"),
    ("OPENROUTER_API_KEY", "canary-key"),
    ("JWT_SECRET", SECRET),
];

fn read(mode: Mode, base: &[(&str, &str)], changes: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
    let table: BTreeMap<_, _> = base.iter().chain(changes).copied().collect();
    Settings::from_lookup(&|name| table.get(name).map(|value| (*value).to_owned()), mode)
}

fn serve(changes: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
    read(Mode::Serve, SERVE, changes)
}

fn dev(changes: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
    read(Mode::Dev, &[], changes)
}

/// The settings that were found faulty.
fn faulty(outcome: Result<Settings, Vec<Fault>>) -> Vec<&'static str> {
    outcome
        .err()
        .unwrap_or_default()
        .iter()
        .map(|fault| fault.setting)
        .collect()
}

fn all_settings() -> impl Iterator<Item = &'static Setting> {
    SECTIONS
        .iter()
        .flat_map(|section| section.settings.iter().copied())
}

#[test]
fn every_setting_that_is_read_is_in_the_table_and_the_other_way_round() {
    let read = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        None
    };
    Settings::from_lookup(&lookup, Mode::Dev).unwrap();
    let listed: BTreeSet<_> = all_settings().map(|setting| setting.name.to_owned()).collect();
    assert_eq!(read.into_inner(), listed);
    assert_eq!(all_settings().count(), listed.len(), "none is listed twice");
}

#[test]
fn the_example_file_is_the_table() {
    let file = include_str!("../../.env.example");
    assert!(
        file == env_example(),
        "write this to .env.example:\n{}",
        env_example()
    );
}

#[test]
fn help_names_every_setting_with_its_default_in_lines_of_a_terminal() {
    let help = settings_help();
    for Setting {
        name,
        default,
        meaning,
        ..
    } in all_settings()
    {
        assert!(help.contains(&format!("  {name}={default}  [")), "{name}");
        assert!(help.contains(meaning), "{name}");
    }
    for line in help.lines() {
        assert!(line.len() <= 110, "{line}");
    }
}

#[test]
fn dev_needs_nothing_and_gets_the_documented_defaults() {
    let settings = dev(&[]).unwrap();
    assert_eq!(settings.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.admin_bind.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.server.drain, Duration::from_secs(20));
    assert!(matches!(settings.database.source, DatabaseSource::Embedded));
    let issuer = settings.auth.only().unwrap();
    assert!(matches!(issuer.keys, KeySource::DataDirectory));
    assert_eq!(settings.provider.base_url, "https://openrouter.ai/api/v1");
    assert_eq!(settings.provider.flavor, ProviderFlavor::OpenRouter);
    assert_eq!(settings.agent.model, "openai/gpt-4-turbo");
    assert_eq!(settings.agent.allowed_models, ["openai/gpt-4-turbo"]);
    assert_eq!(
        settings.agent.system_prompt,
        "You are agent_websocket, an AI assistant communicating via WebSocket."
    );
    assert!((settings.agent.temperature - 0.7).abs() < f64::EPSILON);
    assert_eq!(
        (settings.agent.max_tokens, settings.agent.max_history),
        (1_500, 50)
    );
    assert_eq!(settings.socket.session_timeout, Duration::from_mins(30));
    assert_eq!(settings.socket.heartbeat, Duration::from_secs(25));
    assert_eq!(settings.socket.max_message_bytes, 262_144);
    assert_eq!(settings.socket.message_timeout, Duration::from_secs(30));
    let inbound = settings.limits.inbound.unwrap();
    assert_eq!(
        (inbound.per_second.get(), inbound.burst.get()),
        (128 * 1024, 512 * 1024)
    );
    assert!(!settings.socket.allow_access_token_in_url);
    assert_eq!(
        settings.limits.auth_failures_per_minute_per_address,
        NonZeroU32::new(30)
    );
    assert_eq!(settings.log.format, LogFormat::Text);
}

#[test]
fn given_values_win_over_defaults_and_blank_ones_count_as_none() {
    let settings = serve(&[
        ("LISTEN_DATABASE_URL", "postgres://app@direct/agent"),
        ("OPENROUTER_BASE_URL", "http://127.0.0.1:11434/v1/"),
        ("AGENT_NAME", "Ada"),
        ("MODEL", "b"),
        ("ALLOWED_MODELS", " a, b ,,"),
        ("SESSION_TIMEOUT", "0.5"),
        ("MAX_RUNS_PER_USER", "0"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
        (
            "ALLOWED_ORIGINS",
            "https://App.example.com:443,http://localhost:3000",
        ),
        ("LOG_FORMAT", "json"),
        ("HEARTBEAT_MS", "  "),
    ])
    .unwrap();
    let DatabaseSource::Server { url, listen_url } = settings.database.source else {
        panic!("not a server")
    };
    assert_eq!(url.expose(), "postgres://app:canary@db/agent");
    assert_eq!(listen_url.expose(), "postgres://app@direct/agent");
    assert_eq!(settings.provider.base_url, "http://127.0.0.1:11434/v1");
    assert_eq!(settings.provider.flavor, ProviderFlavor::Generic);
    assert!(
        settings
            .agent
            .system_prompt
            .starts_with("You are Ada, an AI assistant")
    );
    assert_eq!(settings.agent.allowed_models, ["a", "b"]);
    assert_eq!(settings.socket.session_timeout, Duration::from_secs(30));
    assert_eq!(settings.limits.runs_per_user, None);
    assert_eq!(settings.server.trusted_proxies.len(), 2);
    assert_eq!(
        settings.server.allowed_origins,
        ["https://app.example.com", "http://localhost:3000"]
    );
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.socket.heartbeat, Duration::from_secs(25));
}

#[test]
fn dev_answers_to_this_machines_names_only_and_serve_to_any_unless_told() {
    let accepts = |settings: &Settings, host: &str| {
        let known = &settings.server.allowed_hosts;
        known.is_empty() || known.iter().any(|name| name.is(host))
    };
    let by_default = dev(&[]).unwrap();
    for host in ["localhost:8080", "LOCALHOST", "127.0.0.1:18080", "[::1]:8080"] {
        assert!(accepts(&by_default, host), "{host}");
    }
    assert!(!accepts(&by_default, "evil.example.com:8080"));
    let told = ("ALLOWED_HOSTS", "dev.example.com:8443");
    for settings in [dev(&[told]), serve(&[told])].map(Result::unwrap) {
        assert!(accepts(&settings, "dev.example.com:8443"));
        assert!(!accepts(&settings, "localhost:8080"));
    }
    assert!(accepts(&serve(&[]).unwrap(), "anything"));
}

#[test]
fn pages_are_served_by_dev_and_otherwise_only_where_the_operator_says_so() {
    let pages = |settings: Result<Settings, _>| {
        let server = settings.unwrap().server;
        (server.console, server.inspector)
    };
    assert_eq!(pages(dev(&[])), (true, true));
    assert_eq!(pages(serve(&[])), (false, false));
    assert_eq!(pages(dev(&[("CONSOLE", "false")])), (false, true));
    assert_eq!(pages(serve(&[("CONSOLE", "true")])), (true, false));
    assert_eq!(pages(serve(&[("INSPECTOR", "true")])), (false, true));
    assert_eq!(faulty(serve(&[("CONSOLE", "yes")])), ["CONSOLE"]);
}

#[test]
fn serve_names_all_that_is_missing_at_once() {
    let faults = read(Mode::Serve, &[], &[]).unwrap_err();
    let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "DATABASE_URL is missing; set it to postgres://user:password@host:5432/database",
            "JWT_SECRET is missing; set it (openssl rand -base64 32 makes one), \
             or set JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_ISSUERS",
            "OPENROUTER_API_KEY is missing; set it to a key from https://openrouter.ai/keys, \
             or OPENROUTER_BASE_URL to another server",
        ]
    );
}

#[test]
fn a_fault_names_setting_value_and_fix() {
    let fault = |name, value| serve(&[(name, value)]).unwrap_err()[0].to_string();
    assert_eq!(
        fault("HEARTBEAT_MS", "25s"),
        r#"HEARTBEAT_MS="25s" is not a number from 10 to 3600000 (ms); set it to, for example, 25000"#
    );
    assert_eq!(
        fault("PROVIDER_FLAVOR", "azure"),
        r#"PROVIDER_FLAVOR="azure" is not one of auto, openrouter, generic; set it to, for example, auto"#
    );
    assert_eq!(
        fault("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
        "TRUSTED_PROXIES=\"10.0.0.0/8,proxy\" holds \"proxy\", \
         not an IP address or a range such as 10.0.0.0/8 or fd00::/8; correct or remove it"
    );
}

#[test]
fn values_out_of_their_form_or_range_are_refused() {
    let cases = [
        ("BIND_ADDR", "localhost:8080"),
        ("BIND_ADDR", "127.0.0.1"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_ORIGINS", "app.example.com"),
        ("ALLOWED_ORIGINS", "https://app.example.com/"),
        ("ALLOWED_ORIGINS", "https://app.example.com/path"),
        ("ALLOWED_ORIGINS", "https://user@app.example.com"),
        ("ALLOWED_HOSTS", "https://agent.example.com"),
        ("ALLOWED_HOSTS", "agent.example.com,*"),
        ("DRAIN_SECONDS", "-1"),
        ("DATABASE_URL", "mysql://db/agent"),
        ("LISTEN_DATABASE_URL", "db"),
        ("DATABASE_MAX_CONNECTIONS", "3"),
        ("ALLOW_ACCESS_TOKEN_IN_URL", "yes"),
        ("OPENROUTER_BASE_URL", "openrouter.ai/api/v1"),
        ("OPENROUTER_BASE_URL", "ftp://openrouter.ai"),
        ("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1?x=1"),
        ("MODEL_FALLBACKS", "a,b c"),
        ("TEMPERATURE", "2.1"),
        ("TEMPERATURE", "NaN"),
        ("MAX_TOKENS", "0"),
        ("MAX_TOKENS", "1.5"),
        ("MAX_HISTORY", "0"),
        ("AGENT_NAME", "two\nlines"),
        ("SESSION_TIMEOUT", "0"),
        ("SESSION_TIMEOUT", "-1"),
        ("SESSION_TIMEOUT", "inf"),
        ("HEARTBEAT_MS", "0"),
        ("MAX_MESSAGE_BYTES", "262143"),
        ("MESSAGE_TIMEOUT_MS", "0"),
        ("INBOUND_BYTES_PER_SECOND", "1 MB"),
        ("INBOUND_BURST_BYTES", "-1"),
        ("MAX_RUN_ATTEMPTS", "0"),
        ("RATE_LIMIT_PER_MINUTE", "1000001"),
        ("MAX_QUEUE_DEPTH", "many"),
        ("LOG", "agent_websocket=loud"),
        ("LOG_FORMAT", "JSON"),
    ];
    for (name, value) in cases {
        assert_eq!(faulty(serve(&[(name, value)])), [name], "{name}={value}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let (proxy, no_key) = (
        ("OPENROUTER_BASE_URL", "https://proxy.test"),
        ("OPENROUTER_API_KEY", ""),
    );
    #[rustfmt::skip]
    let cases: [(&[(&str, &str)], &str); 9] = [
        (&[("ALLOWED_MODELS", "a,b")], "ALLOWED_MODELS"),
        (&[("ADMIN_BIND_ADDR", "127.0.0.1:8080")], "ADMIN_BIND_ADDR"),
        (&[("RATE_LIMIT_PER_MINUTE", "0"), ("RATE_LIMIT_BURST", "5")], "RATE_LIMIT_BURST"),
        (&[("LEASE_MS", "150")], "CHUNK_FLUSH_MS"),
        (&[("INBOUND_BYTES_PER_SECOND", "0"), ("INBOUND_BURST_BYTES", "5")], "INBOUND_BURST_BYTES"),
        (&[("MAX_MESSAGE_BYTES", "16777216")], "INBOUND_BYTES_PER_SECOND"),
        (&[("MESSAGE_TIMEOUT_MS", "1000"), ("INBOUND_BURST_BYTES", "0"), ("INBOUND_BYTES_PER_SECOND", "131071")],
            "INBOUND_BYTES_PER_SECOND"),
        (&[("PROVIDER_FLAVOR", "openrouter"), proxy, no_key], "OPENROUTER_API_KEY"),
        (&[("PROVIDER_FLAVOR", "generic"), no_key], "OPENROUTER_API_KEY"),
    ];
    for (changes, expected) in cases {
        assert_eq!(faulty(serve(changes)), [expected], "{changes:?}");
    }
    let listen_alone = [("LISTEN_DATABASE_URL", "postgres://app@db/agent")];
    assert_eq!(faulty(dev(&listen_alone)), ["LISTEN_DATABASE_URL"]);
}

#[test]
fn settings_that_go_together_are_accepted() {
    let cases: [&[(&str, &str)]; 7] = [
        &[("MAX_MESSAGE_BYTES", "4194304")],
        &[
            ("MAX_MESSAGE_BYTES", "16777216"),
            ("INBOUND_BYTES_PER_SECOND", "0"),
        ],
        &[
            ("MAX_MESSAGE_BYTES", "16777216"),
            ("INBOUND_BURST_BYTES", "16777216"),
        ],
        &[
            ("OPENROUTER_BASE_URL", "http://127.0.0.1:11434/v1"),
            ("OPENROUTER_API_KEY", ""),
        ],
        &[("RATE_LIMIT_PER_MINUTE", "0")],
        &[("BIND_ADDR", "127.0.0.1:0"), ("ADMIN_BIND_ADDR", "127.0.0.1:0")],
        &[("BIND_ADDR", "0.0.0.0:8080")],
    ];
    for changes in cases {
        assert_eq!(faulty(serve(changes)), [""; 0], "{changes:?}");
    }
}

#[test]
fn dev_refuses_to_be_reached_from_outside() {
    let outside = [("BIND_ADDR", "0.0.0.0:8080"), ("ADMIN_BIND_ADDR", "[::]:9090")];
    assert_eq!(faulty(dev(&outside)), ["BIND_ADDR", "ADMIN_BIND_ADDR"]);
    assert_eq!(faulty(dev(&[("BIND_ADDR", "[::1]:8080")])), [""; 0]);
}

#[test]
fn a_short_or_padded_secret_is_refused_without_being_shown() {
    let padded = format!("{SECRET}\n");
    for bad in ["canary", padded.as_str()] {
        let faults = serve(&[("JWT_SECRET", bad)]).unwrap_err();
        assert_eq!(faults[0].setting, "JWT_SECRET");
        assert!(!faults[0].message.contains(bad.trim()), "{}", faults[0]);
    }
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let canaries = [
        ("DATABASE_URL", "postgres://app:canary@db/agent?password=canary"),
        ("LISTEN_DATABASE_URL", "postgres://app:canary@db/agent"),
        ("OPENROUTER_API_KEY", "canary"),
        ("JWT_SECRET", "canary canary canary canary canary"),
    ];
    let settings = serve(&canaries).unwrap();
    assert!(!format!("{settings:?}").contains("canary"));

    let malformed = [
        ("DATABASE_URL", "mysql://app:canary@db/agent"),
        ("OPENROUTER_BASE_URL", "https://user:canary@openrouter.ai/api/v1"),
        ("OPENROUTER_API_KEY", " canary "),
        ("JWT_SECRET", "canary"),
    ];
    let faults = serve(&malformed).unwrap_err();
    assert_eq!(faults.len(), malformed.len());
    assert!(!format!("{faults:?}").contains("canary"), "{faults:?}");
}

#[test]
fn every_default_is_accepted_when_it_is_written_out() {
    let defaults: Vec<_> = all_settings()
        .map(|setting| (setting.name, setting.default))
        .collect();
    assert_eq!(faulty(dev(&defaults)), [""; 0]);
    let settings = serve(&[("OPENROUTER_API_KEY", "k")]).unwrap();
    assert!(settings.provider.api_key.is_some());
}

#[test]
fn the_small_commands_read_only_what_they_need() {
    let lookup = |name: &str| match name {
        "JWT_SECRET" => Some(SECRET.to_owned()),
        "JWT_AUDIENCE" => Some("first,second".to_owned()),
        _ => None,
    };
    let settings = TokenSettings::from_lookup(&lookup).unwrap();
    assert_eq!(settings.secret.unwrap().expose(), SECRET);
    assert_eq!(settings.audience.as_deref(), Some("first"));
    assert_eq!(settings.data_dir.to_str(), Some("./.agent-websocket"));

    assert_eq!(database_url(&lookup).unwrap_err()[0].setting, "DATABASE_URL");
    let url = database_url(&|_| Some("postgres://app@db/agent".to_owned())).unwrap();
    assert_eq!(url.to_string(), "postgres://app@db/agent");
}
