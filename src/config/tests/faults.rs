//! What an operator reads when a setting is wrong: for every setting there is.

use std::collections::BTreeSet;

use super::{all_settings, serve};

/// A value that each setting refuses, whatever the others are.
const WRONG: &[(&str, &str)] = &[
    ("BIND_ADDR", "localhost"),
    ("ADMIN_BIND_ADDR", ":9090"),
    ("ALLOWED_ORIGINS", "app.example.com"),
    ("ALLOWED_HOSTS", "https://agent.example.com"),
    ("TRUSTED_PROXIES", "proxy"),
    ("CONSOLE", "yes"),
    ("INSPECTOR", "1"),
    ("DRAIN_SECONDS", "20s"),
    ("DATABASE_URL", "mysql://db/agent"),
    ("LISTEN_DATABASE_URL", "db"),
    ("DATABASE_MAX_CONNECTIONS", "1"),
    ("JWT_SECRET", "too short"),
    ("JWT_PUBLIC_KEY", "no key"),
    ("JWT_JWKS_URL", "http://issuer.example.com/keys"),
    ("JWT_ISSUERS", "{"),
    ("ALLOW_ACCESS_TOKEN_IN_URL", "TRUE"),
    ("AUTH_TIMEOUT_MS", "5 s"),
    ("TOKEN_EXPIRY_WARNING_SECONDS", "-1"),
    ("OPENROUTER_API_KEY", "key\n"),
    ("OPENROUTER_BASE_URL", "openrouter.ai"),
    ("PROVIDER_FLAVOR", "azure"),
    ("MODEL", "two words"),
    ("MODEL_FALLBACKS", "a,b c"),
    ("ALLOWED_MODELS", "a,b"),
    ("TEMPERATURE", "hot"),
    ("MAX_TOKENS", "0"),
    ("AGENT_NAME", "two\nlines"),
    ("MAX_HISTORY", "all"),
    ("MAX_PROMPT_TOKENS", "16k"),
    ("SESSION_TIMEOUT", "never"),
    ("HEARTBEAT_MS", "25s"),
    ("MAX_MESSAGE_BYTES", "1024"),
    ("AI_SDK_MAX_MESSAGE_BYTES", "1 MiB"),
    ("MESSAGE_TIMEOUT_MS", "0"),
    ("WRITE_TIMEOUT_MS", "0"),
    ("LEASE_MS", "0"),
    ("REAPER_INTERVAL_MS", "0"),
    ("CHUNK_FLUSH_MS", "0"),
    ("POLL_INTERVAL_MS", "0"),
    ("NOTIFICATION_POLL_MS", "0"),
    ("MAX_RUN_ATTEMPTS", "0"),
    ("RETENTION_DAYS", "a year"),
    ("NOTIFICATION_RETENTION_DAYS", "-1"),
    ("RETENTION_INTERVAL_MS", "0"),
    ("RATE_LIMIT_PER_MINUTE", "1000001"),
    ("RATE_LIMIT_BURST", "-5"),
    ("FRAMES_PER_SECOND", "fast"),
    ("INBOUND_BYTES_PER_SECOND", "1 MB"),
    ("INBOUND_BURST_BYTES", "-1"),
    ("CONNECTIONS_PER_MINUTE_PER_ADDRESS", "2.5"),
    ("AUTH_FAILURES_PER_MINUTE_PER_ADDRESS", "none"),
    ("COMMANDS_PER_MINUTE", "off"),
    ("MAX_CONNECTIONS_PER_USER", "-1"),
    ("MAX_SESSIONS_PER_USER", "unlimited"),
    ("MAX_STORED_MB_PER_USER", "1 GB"),
    ("TOKENS_PER_DAY", "1e6"),
    ("COST_PER_DAY_USD", "$5"),
    ("COST_RESERVE_USD", "NaN"),
    ("MAX_QUEUE_DEPTH", "many"),
    ("MAX_RUNS_PER_USER", "-3"),
    ("MAX_RUNS_PER_NODE", "1.5"),
    ("LIMITS_DRY_RUN", "no"),
    ("LOG", "agent_websocket=loud"),
    ("LOG_FORMAT", "JSON"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
    ("OTEL_SERVICE_NAME", "two\nlines"),
    ("OTEL_TRACES_SAMPLER_ARG", "10%"),
    ("OTEL_BSP_SCHEDULE_DELAY", "0"),
];

/// Settings that take any text, each with the reason why none is wrong by itself.
const ANY_TEXT: [(&str, &str); 5] = [
    ("DATA_DIR", "a path; dev says so if nothing can be kept there"),
    ("JWT_ISSUER", "the issuer's own text"),
    ("JWT_AUDIENCE", "the issuer's own texts"),
    ("JWT_AUTHORIZED_PARTIES", "the issuer's own texts"),
    ("SYSTEM_PROMPT", "what the model is told"),
];

#[test]
fn every_setting_has_a_wrong_value_here_or_takes_any_text() {
    let known: BTreeSet<_> = WRONG
        .iter()
        .map(|(name, _)| *name)
        .chain(ANY_TEXT.iter().map(|(name, _)| *name))
        .collect();
    let all: BTreeSet<_> = all_settings().map(|setting| setting.name).collect();
    assert_eq!(known, all);
    for (name, _) in ANY_TEXT {
        let faults = serve(&[(name, "some text: [ { , \u{fffd}")])
            .err()
            .unwrap_or_default();
        assert!(
            faults.iter().all(|fault| fault.setting != name),
            "{name}: {faults:?}"
        );
    }
}

#[test]
fn a_wrong_value_of_any_setting_is_named_with_the_setting_and_what_to_do() {
    for (name, value) in WRONG {
        let setting = all_settings().find(|setting| setting.name == *name).unwrap();
        let faults = serve(&[(name, value)]).err().unwrap_or_default();
        let fault = faults.iter().find(|fault| fault.setting == *name);
        let message = fault.map(ToString::to_string).unwrap_or_default();
        let beginning = if setting.is_secret() {
            format!("{name} ")
        } else {
            format!("{name}={value:?} ")
        };
        assert!(message.starts_with(&beginning), "{name}: {message:?}");
        let shows = message.contains(value.trim());
        assert_eq!(
            shows,
            !setting.is_secret() && !value.contains('\n'),
            "{message:?}"
        );
        let (problem, fix) = message.rsplit_once("; ").unwrap_or_default();
        assert!(problem.len() > beginning.len(), "what is wrong: {message:?}");
        let says_what_to_do = ["set ", "correct", "remove", "add ", "make ", "raise ", "lower "]
            .iter()
            .any(|verb| fix.starts_with(verb));
        assert!(says_what_to_do, "what to do: {message:?}");
    }
}

#[test]
fn the_reason_for_each_default_stands_above_it() {
    let table = include_str!("../table.rs");
    let lines: Vec<&str> = table.lines().collect();
    for setting in all_settings() {
        let definition = format!("        {} = \"", setting.name);
        let at = lines
            .iter()
            .position(|line| line.starts_with(&definition))
            .unwrap();
        let above = lines[at - 1].trim();
        assert!(
            above.starts_with("// ") && above.len() > 20,
            "{}: {above:?}",
            setting.name
        );
    }
}
