//! Problems as clients get them: status, headers, document.

use std::time::Duration;

use axum::body::to_bytes;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::Problem;
use crate::protocol::error::{ErrorCode, Refusal};

/// What a client gets: status, headers that matter, document.
async fn answer(problem: Problem) -> (u16, Option<String>, Option<String>, Value) {
    let response = problem.into_response();
    let header = |name| {
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(
        header("content-type").as_deref(),
        Some("application/problem+json")
    );
    let (status, retry_after, authenticate) = (
        response.status().as_u16(),
        header("retry-after"),
        header("www-authenticate"),
    );
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["status"], status);
    (status, retry_after, authenticate, document)
}

#[tokio::test]
async fn every_code_has_its_status() {
    for (status, codes) in [
        (
            400,
            &[
                "invalid_json",
                "invalid_message",
                "content_required",
                "unknown_type",
                "unknown_command",
                "model_unavailable",
            ][..],
        ),
        (401, &["unauthorized"]),
        (403, &["forbidden"]),
        (404, &["not_found"]),
        (409, &["busy", "id_conflict"]),
        (413, &["too_large"]),
        (429, &["rate_limited", "quota_exceeded", "queue_full"]),
        (
            502,
            &[
                "provider_busy",
                "provider_timeout",
                "provider_unavailable",
                "content_filtered",
                "context_too_long",
            ],
        ),
        (503, &["internal"]),
    ] {
        for code in codes {
            let refusal = Refusal::new(serde_json::from_value(json!(code)).unwrap(), "words");
            let (answered, retry_after, authenticate, document) = answer(refusal.into()).await;
            assert_eq!(answered, status, "{code}");
            assert_eq!(document["code"], *code);
            assert_eq!(document["detail"], "words");
            assert_eq!(document["type"], "about:blank");
            assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()));
            assert_eq!(document.get("retry_after_ms"), None);
            assert_eq!(retry_after, None);
            assert_eq!(authenticate.as_deref(), (status == 401).then_some("Bearer"));
        }
    }
}

#[tokio::test]
async fn a_wait_is_told_in_whole_seconds_rounded_up_and_exactly() {
    for (wait_ms, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_500, "60")] {
        let refusal = Refusal::new(ErrorCode::RateLimited, "words").after(Duration::from_millis(wait_ms));
        let (_, retry_after, _, document) = answer(refusal.into()).await;
        assert_eq!(retry_after.as_deref(), Some(seconds), "{wait_ms}");
        assert_eq!(document["retry_after_ms"], wait_ms);
    }
}

#[tokio::test]
async fn problems_of_http_itself_have_words_of_their_own() {
    for (problem, status, code, detail) in [
        (Problem::bad_request("Which?"), 400, "invalid_message", "Which?"),
        (Problem::not_found("session"), 404, "not_found", "No such session"),
        (
            Problem::method_not_allowed(),
            405,
            "method_not_allowed",
            "This resource has no such method",
        ),
        (
            Problem::misdirected(),
            421,
            "misdirected_request",
            "This server does not answer to that host",
        ),
        (
            Problem::internal(),
            503,
            "internal",
            "Something went wrong here; try again",
        ),
    ] {
        let (answered, retry_after, _, document) = answer(problem).await;
        assert_eq!(
            (answered, &document["code"], &document["detail"]),
            (status, &json!(code), &json!(detail))
        );
        assert_eq!(retry_after.is_some(), status == 503);
    }
}
