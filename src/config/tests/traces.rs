//! Where traces go: OpenTelemetry's variables as operators know them.

use std::time::Duration;

use super::{faulty, serve};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const EXACT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

fn url(changes: &[(&str, &str)]) -> Option<String> {
    let settings = serve(changes).unwrap();
    settings.traces.map(|traces| traces.url.to_string())
}

#[test]
fn traces_go_nowhere_unless_a_collector_is_named() {
    assert_eq!(url(&[]), None);
    assert_eq!(url(&[(HEADERS, "a=b"), ("OTEL_SERVICE_NAME", "agent")]), None);
    let traces = serve(&[(ENDPOINT, "http://collector:4318")])
        .unwrap()
        .traces
        .unwrap();
    assert_eq!(traces.service, "agent-websocket");
    assert!((traces.ratio - 1.0).abs() < f64::EPSILON);
    assert_eq!(traces.delay, Duration::from_secs(5));
    assert!(traces.headers.is_empty());
}

#[test]
fn the_collectors_address_gets_the_path_for_traces_and_the_full_one_is_left_alone() {
    for (base, full) in [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://otlp.example.com/", "https://otlp.example.com/v1/traces"),
        (
            "https://otlp.example.com/team/7/",
            "https://otlp.example.com/team/7/v1/traces",
        ),
    ] {
        assert_eq!(url(&[(ENDPOINT, base)]).as_deref(), Some(full));
    }
    let both = [
        (ENDPOINT, "http://collector:4318"),
        (EXACT, "https://other.example.com/spans"),
    ];
    assert_eq!(url(&both).as_deref(), Some("https://other.example.com/spans"));
}

#[test]
fn headers_are_decoded_and_never_printed() {
    let given = [
        (ENDPOINT, "http://collector:4318"),
        (HEADERS, "authorization=Basic%20canary%2Ccanary, x-team = seven=7"),
    ];
    let traces = serve(&given).unwrap().traces.unwrap();
    assert_eq!(traces.headers["authorization"], "Basic canary,canary");
    assert_eq!(traces.headers["x-team"], "seven=7");
    let printed = format!("{traces:?} {:?}", traces.headers);
    assert!(
        !printed.contains("canary") && !printed.contains("seven"),
        "{printed}"
    );
}

#[test]
fn what_cannot_be_sent_is_refused_without_repeating_it() {
    for wrong in [
        "canary",
        "=canary",
        "two words=canary",
        "a=canary%2",
        "a=canary%g0",
        "a=canary%0a",
        "a=%c3%28%00",
    ] {
        let faults = serve(&[(ENDPOINT, "http://collector:4318"), (HEADERS, wrong)]).unwrap_err();
        assert!(
            faults.iter().all(|fault| fault.setting == HEADERS),
            "{wrong}: {faults:?}"
        );
        assert!(!format!("{faults:?}").contains("canary"), "{faults:?}");
    }
    for wrong in [
        "collector:4318",
        "ftp://collector/",
        "http://",
        "http://user:canary@collector:4318",
        "http://collector:4317",
        "http://collector:4318/#part",
    ] {
        for setting in [ENDPOINT, EXACT] {
            assert_eq!(faulty(serve(&[(setting, wrong)])), [setting], "{wrong}");
        }
    }
    for (setting, wrong) in [
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
    ] {
        assert_eq!(faulty(serve(&[(setting, wrong)])), [setting], "{wrong}");
    }
}
