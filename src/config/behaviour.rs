//! How the sections about the server's own behaviour are read: the agent, sockets, runs, limits and the log.
//! Ranges, and the rules between them.
//!
//! Pure: a table of texts in, values and faults out. Called by [`super::Settings::from_lookup`].

use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::Reader;
use super::sections::{
    AgentSettings, BudgetSettings, LogFormat, LogSettings, RetentionSettings, RunSettings, SocketSettings,
};
use super::table as t;
use crate::limits::{ByteRate, LimitSettings};

/// Least that `MAX_MESSAGE_BYTES` may be: the contract promises that 32 KiB of text fit however they are
/// escaped.
const MIN_MESSAGE_BYTES: usize = 256 * 1024;

const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

const MAX_USD: f64 = 1_000_000.0;

const MAX_BYTES_PER_SECOND: u32 = 1024 * 1024 * 1024;

const HOUR_MS: u64 = 60 * 60 * 1000;

const MAX_RETENTION_DAYS: f64 = 100.0 * 365.0;

const YEAR_MINUTES: f64 = 365.0 * 24.0 * 60.0;

pub(super) fn agent(r: &mut Reader<'_>) -> AgentSettings {
    let name = r.parsed(&t::AGENT_NAME, one_line).unwrap_or_default();
    let model = r.parsed(&t::MODEL, model_name).unwrap_or_default();
    let mut allowed_models = r.parsed_list(&t::ALLOWED_MODELS, model_name);
    if allowed_models.is_empty() {
        allowed_models.push(model.clone());
    } else if !allowed_models.contains(&model) {
        r.fault(
            &t::ALLOWED_MODELS,
            format_args!("lacks MODEL ({model})"),
            "add it, or change MODEL",
        );
    }
    AgentSettings {
        system_prompt: r.text(&t::SYSTEM_PROMPT).replace("{AGENT_NAME}", &name),
        name,
        model,
        model_fallbacks: r.parsed_list(&t::MODEL_FALLBACKS, model_name),
        allowed_models,
        temperature: r.number(&t::TEMPERATURE, 0.0..=2.0),
        max_tokens: r.number(&t::MAX_TOKENS, 1..=1_000_000),
        max_history: r.number(&t::MAX_HISTORY, 1..=10_000),
        max_prompt_tokens: r.number(&t::MAX_PROMPT_TOKENS, 1..=10_000_000),
    }
}

fn one_line(text: &str) -> Result<String, &'static str> {
    let fits = text.len() <= 128 && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("not one line of at most 128 bytes")
    }
}

fn model_name(text: &str) -> Result<String, &'static str> {
    let fits = text.len() <= 128 && text.chars().all(|c| c.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("not a model's name such as openai/gpt-4-turbo")
    }
}

pub(super) fn socket(r: &mut Reader<'_>) -> SocketSettings {
    // Zero would close each socket at once; it does not mean "never" here, since a socket that nobody ends is
    // a leak.
    let session_timeout_min = r.number(&t::SESSION_TIMEOUT, 0.0001..=YEAR_MINUTES);
    SocketSettings {
        session_timeout: Duration::try_from_secs_f64(session_timeout_min * 60.0).unwrap_or(Duration::MAX),
        heartbeat: r.millis(&t::HEARTBEAT_MS, 10..=HOUR_MS),
        max_message_bytes: r.number(&t::MAX_MESSAGE_BYTES, MIN_MESSAGE_BYTES..=MAX_MESSAGE_BYTES),
        ai_sdk_max_message_bytes: r.number(
            &t::AI_SDK_MAX_MESSAGE_BYTES,
            MIN_MESSAGE_BYTES..=MAX_MESSAGE_BYTES,
        ),
        message_timeout: r.millis(&t::MESSAGE_TIMEOUT_MS, 1..=HOUR_MS),
        auth_timeout: r.millis(&t::AUTH_TIMEOUT_MS, 1..=HOUR_MS),
        write_timeout: r.millis(&t::WRITE_TIMEOUT_MS, 1..=HOUR_MS),
        token_expiry_warning: r.seconds(&t::TOKEN_EXPIRY_WARNING_SECONDS, 0..=86_400),
        allow_access_token_in_url: r
            .choice(&t::ALLOW_ACCESS_TOKEN_IN_URL, &[("true", true), ("false", false)])
            .unwrap_or_default(),
    }
}

pub(super) fn runs(r: &mut Reader<'_>) -> RunSettings {
    let runs = RunSettings {
        lease: r.millis(&t::LEASE_MS, 10..=HOUR_MS),
        reaper_interval: r.millis(&t::REAPER_INTERVAL_MS, 1..=HOUR_MS),
        chunk_flush: r.millis(&t::CHUNK_FLUSH_MS, 1..=HOUR_MS),
        poll_interval: r.millis(&t::POLL_INTERVAL_MS, 1..=HOUR_MS),
        notification_poll: r.millis(&t::NOTIFICATION_POLL_MS, 1..=HOUR_MS),
        max_attempts: r.number(&t::MAX_RUN_ATTEMPTS, 1..=100),
    };
    if runs.chunk_flush >= runs.lease {
        // A run could then be taken over before a word of it was stored.
        r.fault(
            &t::CHUNK_FLUSH_MS,
            "is not less than LEASE_MS",
            "lower it, or raise LEASE_MS",
        );
    }
    runs
}

pub(super) fn retention(r: &mut Reader<'_>) -> RetentionSettings {
    let mut days = |setting| {
        let days: f64 = r.number(setting, 0.0..=MAX_RETENTION_DAYS);
        (days > 0.0).then(|| Duration::from_secs_f64(days * 86_400.0))
    };
    RetentionSettings {
        messages: days(&t::RETENTION_DAYS),
        notifications: days(&t::NOTIFICATION_RETENTION_DAYS),
        interval: r.millis(&t::RETENTION_INTERVAL_MS, 1..=24 * HOUR_MS),
    }
}

pub(super) fn limits(r: &mut Reader<'_>) -> LimitSettings {
    let limits = LimitSettings {
        queries_per_minute: r.limit(&t::RATE_LIMIT_PER_MINUTE),
        query_burst: r.limit(&t::RATE_LIMIT_BURST),
        frames_per_second: r.limit(&t::FRAMES_PER_SECOND),
        inbound: inbound(r),
        connections_per_minute_per_address: r.limit(&t::CONNECTIONS_PER_MINUTE_PER_ADDRESS),
        auth_failures_per_minute_per_address: r.limit(&t::AUTH_FAILURES_PER_MINUTE_PER_ADDRESS),
        connections_per_user: r.limit(&t::MAX_CONNECTIONS_PER_USER),
        sessions_per_user: r.limit(&t::MAX_SESSIONS_PER_USER),
        commands_per_minute: r.limit(&t::COMMANDS_PER_MINUTE),
        stored_mb_per_user: r.limit(&t::MAX_STORED_MB_PER_USER),
        queue_depth: r.limit(&t::MAX_QUEUE_DEPTH),
        runs_per_user: r.limit(&t::MAX_RUNS_PER_USER),
        runs_per_node: r.limit(&t::MAX_RUNS_PER_NODE),
    };
    let burst_is_set = r.is_given(&t::RATE_LIMIT_BURST) && limits.query_burst.is_some();
    if burst_is_set && limits.queries_per_minute.is_none() {
        r.fault(
            &t::RATE_LIMIT_BURST,
            "limits nothing while RATE_LIMIT_PER_MINUTE is 0",
            "remove one of them",
        );
    }
    limits
}

pub(super) fn budget(r: &mut Reader<'_>) -> BudgetSettings {
    let budget = BudgetSettings {
        tokens_per_day: r.number(&t::TOKENS_PER_DAY, 0..=1_000_000_000_000),
        cost_per_day_usd: r.number(&t::COST_PER_DAY_USD, 0.0..=MAX_USD),
        cost_reserve_usd: r.number(&t::COST_RESERVE_USD, 0.0..=MAX_USD),
        dry_run: r
            .choice(&t::LIMITS_DRY_RUN, &[("true", true), ("false", false)])
            .unwrap_or_default(),
    };
    if budget.cost_per_day_usd > 0.0 && budget.cost_reserve_usd > budget.cost_per_day_usd {
        // Nobody could ask anything.
        r.fault(
            &t::COST_RESERVE_USD,
            "is more than COST_PER_DAY_USD",
            "lower it, or raise COST_PER_DAY_USD",
        );
    }
    budget
}

fn inbound(r: &mut Reader<'_>) -> Option<ByteRate> {
    let per_second = NonZeroU32::new(r.number(&t::INBOUND_BYTES_PER_SECOND, 0..=MAX_BYTES_PER_SECOND));
    let burst = NonZeroU32::new(r.number(&t::INBOUND_BURST_BYTES, 0..=MAX_BYTES_PER_SECOND));
    if r.is_given(&t::INBOUND_BURST_BYTES) && burst.is_some() && per_second.is_none() {
        r.fault(
            &t::INBOUND_BURST_BYTES,
            "limits nothing while INBOUND_BYTES_PER_SECOND is 0",
            "remove one of them",
        );
    }
    per_second.map(|per_second| ByteRate {
        per_second,
        burst: burst.unwrap_or(per_second),
    })
}

/// A message of the largest size must be able to arrive before its time is up.
pub(super) fn check_that_messages_fit(r: &mut Reader<'_>, socket: &SocketSettings, limits: &LimitSettings) {
    let fits = |rate: ByteRate| rate.within(socket.message_timeout) >= socket.max_message_bytes as u64;
    if !limits.inbound.is_none_or(fits) {
        r.fault(
            &t::INBOUND_BYTES_PER_SECOND,
            "lets no message of MAX_MESSAGE_BYTES arrive within MESSAGE_TIMEOUT_MS",
            "raise it, INBOUND_BURST_BYTES or MESSAGE_TIMEOUT_MS",
        );
    }
}

pub(super) fn log(r: &mut Reader<'_>) -> LogSettings {
    let filter = r.parsed(&t::LOG, |text| {
        let checked = tracing_subscriber::EnvFilter::builder().parse(text);
        checked
            .map(|_| text.to_owned())
            .map_err(|fault| format!("not a log filter ({fault})"))
    });
    let choices = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    LogSettings {
        filter: filter.unwrap_or_default(),
        format: r.choice(&t::LOG_FORMAT, &choices).unwrap_or(LogFormat::Text),
    }
}
