//! Every series is there from the start, and counts.

use std::time::Duration;

use super::*;
use crate::log::AnswerState;
use crate::protocol::close::CloseReason;

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "{line}: {text}");
}

#[test]
fn every_series_is_there_from_the_start() {
    let text = Metrics::default().text(Readings::default(), Format::OpenMetrics);
    for line in [
        "agent_websocket_listener_up 0",
        "agent_websocket_connections 0",
        "agent_websocket_frames_total{direction=\"in\"} 0",
        "agent_websocket_late_writes_refused_total 0",
        "agent_websocket_notifications_delivered_total 0",
        "agent_websocket_notification_delivery_seconds_count 0",
        "agent_websocket_limit_refusals_total{limit=\"cost_per_day\"} 0",
        "agent_websocket_revocations_fresh 0",
        "agent_websocket_cost_usd_total 0.0",
        "agent_websocket_database_connections{state=\"idle\"} 0",
        concat!(
            "agent_websocket_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        has(&text, line);
    }
    for reason in CloseReason::ALL {
        let label = reason.label();
        has(
            &text,
            &format!("agent_websocket_connections_ended_total{{reason=\"{label}\"}} 0"),
        );
    }
    for state in ENDINGS {
        has(
            &text,
            &format!("agent_websocket_runs_ended_total{{state=\"{state}\"}} 0"),
        );
    }
    for outcome in RESUMES {
        has(
            &text,
            &format!("agent_websocket_resumes_total{{outcome=\"{outcome}\"}} 0"),
        );
    }
    for kind in PROVIDER_FAULTS {
        has(
            &text,
            &format!("agent_websocket_provider_errors_total{{kind=\"{kind}\"}} 0"),
        );
    }
}

#[test]
fn what_happens_is_counted_by_every_clone() {
    let metrics = Metrics::default();
    let clone = metrics.clone();
    clone.deliveries.listener_is_up();
    clone.deliveries.delivered(Duration::from_millis(3));
    clone
        .refusals
        .reasons_for_tokens(["expired", "signature"].into_iter());
    clone.refusals.token("expired");
    clone.sockets.ended(None);
    clone.sockets.ended(Some(CloseReason::SlowReader));
    clone.answers.ended(AnswerState::Complete, Duration::from_secs(1));
    clone.answers.took(10, 5, Some(0.25));
    clone.answers.took(1, 1, Some(-4.0));
    clone.answers.took(1, 1, Some(f64::NAN));
    clone.answers.written(100, Duration::from_secs(2));
    clone.answers.written(100, Duration::ZERO);
    let now = Readings {
        connections: 7,
        draining: true,
        ..Readings::default()
    };
    let text = metrics.text(now, Format::OpenMetrics);
    for line in [
        "agent_websocket_listener_up 1",
        "agent_websocket_connections 7",
        "agent_websocket_draining 1",
        "agent_websocket_notifications_delivered_total 1",
        "agent_websocket_tokens_refused_total{reason=\"expired\"} 1",
        "agent_websocket_tokens_refused_total{reason=\"signature\"} 0",
        "agent_websocket_notification_delivery_seconds_bucket{le=\"0.004\"} 1",
        "agent_websocket_connections_ended_total{reason=\"gone\"} 1",
        "agent_websocket_connections_ended_total{reason=\"slow_reader\"} 1",
        "agent_websocket_runs_ended_total{state=\"complete\"} 1",
        "agent_websocket_tokens_total{direction=\"input\"} 12",
        "agent_websocket_cost_usd_total 0.25",
        "agent_websocket_output_tokens_per_second_count 1",
        "agent_websocket_output_tokens_per_second_sum 50.0",
    ] {
        has(&text, line);
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_older_format_names_counters_in_full_and_has_no_end() {
    let text = Metrics::default().text(Readings::default(), Format::Prometheus);
    has(
        &text,
        "# TYPE agent_websocket_notifications_delivered_total counter",
    );
    has(&text, "# TYPE agent_websocket_connections gauge");
    has(
        &text,
        "# TYPE agent_websocket_notification_delivery_seconds histogram",
    );
    assert!(!text.contains("# EOF"), "{text}");
    let mut counters = text.lines().filter(|line| line.ends_with(" counter"));
    assert!(counters.all(|line| line.ends_with("_total counter")), "{text}");
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    assert_eq!(Format::wanted(prometheus), Format::OpenMetrics);
    assert_eq!(Format::wanted("*/*"), Format::Prometheus);
    assert_eq!(Format::wanted(""), Format::Prometheus);
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_read_off_the_system() {
    let metrics = Metrics::default();
    metrics.text(Readings::default(), Format::Prometheus);
    let text = metrics.text(Readings::default(), Format::Prometheus);
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes ") > 1_000_000.0);
    assert!(value("process_open_fds ") >= 3.0);
    assert!(value("process_start_time_seconds ") > 1_700_000_000.0);
}
