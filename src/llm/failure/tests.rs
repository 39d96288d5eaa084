//! The parts of a complaint that the end-to-end table doesn't reach: its headers, and names without numbers.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;

const DATE: &str = "Wed, 21 Oct 2026 07:28:00 GMT";

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

#[test]
fn the_time_to_return_is_read_in_all_its_forms() {
    let seconds = |n| Some(Duration::from_secs(n));
    let table = [
        (vec![("retry-after", "3")], seconds(3)),
        (vec![("retry-after", " 1.5 ")], Some(Duration::from_millis(1_500))),
        (vec![("retry-after", "-1")], None),
        (vec![("retry-after", "1e300")], None),
        (vec![("retry-after", "NaN")], None),
        (vec![("retry-after", "soon")], None),
        (
            vec![("date", DATE), ("retry-after", "Wed, 21 Oct 2026 07:28:09 GMT")],
            seconds(9),
        ),
        (
            vec![("date", DATE), ("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT")],
            None,
        ),
        (vec![("retry-after", "Wed, 21 Oct 2026 07:28:09 GMT")], None),
        (
            vec![("date", DATE), ("x-ratelimit-reset", "1792567740")],
            seconds(60),
        ),
        (
            vec![("date", DATE), ("x-ratelimit-reset", "1792567740000")],
            seconds(60),
        ),
        (
            vec![
                ("date", DATE),
                ("retry-after", "2"),
                ("x-ratelimit-reset", "1792567740"),
            ],
            seconds(2),
        ),
        (
            vec![("date", DATE), ("x-ratelimit-reset", "999999999999999999")],
            None,
        ),
        (vec![], None),
    ];
    for (list, expected) in table {
        assert_eq!(retry_after(&headers(&list)), expected, "{list:?}");
    }
}

#[test]
fn a_pause_in_the_body_counts_where_no_header_names_one() {
    let body = br#"{"error":{"code":429,"availability":{"retryable":true,"retry_after":4}}}"#;
    let wait = |headers: &HeaderMap| of_response(429, headers, body).retry_after();
    assert_eq!(wait(&HeaderMap::new()), Some(Duration::from_secs(4)));
    assert_eq!(
        wait(&headers(&[("retry-after", "2")])),
        Some(Duration::from_secs(2))
    );
}

#[test]
fn a_name_in_an_event_is_enough() {
    let table = [
        (r#"{"type":"rate_limit_error","code":null}"#, "busy"),
        (r#"{"code":"timeout"}"#, "timed_out"),
        (
            r#"{"code":400,"metadata":{"error_type":"token_limit_exceeded"}}"#,
            "context_too_long",
        ),
        (r#"{"code":502,"metadata":{"error_type":"refusal"}}"#, "filtered"),
        (r#"{"code":"unheard_of"}"#, "unavailable"),
        (
            r#"{"code":"unheard_of","type":"authentication_error"}"#,
            "refused",
        ),
        (r#"{"code":7}"#, "unavailable"),
        ("{}", "unavailable"),
        ("\"a sentence\"", "unavailable"),
    ];
    for (json, label) in table {
        assert_eq!(
            of_event(serde_json::from_str(json).unwrap()).label(),
            label,
            "{json}"
        );
    }
}
