//! One line for each way in which a provider is known to fail: what the client is told, whether it is told to come
//! back, and how many calls it took to find out.

use super::*;

/// What a fault is called, what the client hears, and how many calls were made: three where a retry may help.
type Expected = (&'static str, LlmCode, usize);

const BUSY: Expected = ("busy", LlmCode::ProviderBusy, 3);
const UNAVAILABLE: Expected = ("unavailable", LlmCode::ProviderUnavailable, 3);
const UNREACHABLE: Expected = ("unreachable", LlmCode::ProviderUnavailable, 3);
const TIMED_OUT: Expected = ("timed_out", LlmCode::ProviderTimeout, 3);
const MALFORMED: Expected = ("malformed", LlmCode::ProviderUnavailable, 3);
const INCOMPLETE: Expected = ("incomplete", LlmCode::ProviderUnavailable, 3);
const EMPTY: Expected = ("empty", LlmCode::ProviderUnavailable, 2);
const EMPTY_FOR_GOOD: Expected = ("empty", LlmCode::ProviderUnavailable, 1);
const TOO_LARGE: Expected = ("too_large", LlmCode::ProviderUnavailable, 1);
const REFUSED: Expected = ("refused", LlmCode::ProviderUnavailable, 1);
const REJECTED: Expected = ("rejected", LlmCode::Internal, 1);
const FILTERED: Expected = ("filtered", LlmCode::ContentFiltered, 1);
const TOO_LONG: Expected = ("context_too_long", LlmCode::ContextTooLong, 1);
const NO_MODEL: Expected = ("model_unavailable", LlmCode::ModelUnavailable, 1);

/// Plays each script to every call and compares.
async fn check<const N: usize>(cases: [(&str, Script, Expected); N]) {
    for (name, script, (label, code, calls)) in cases {
        let provider = ScriptedProvider::start().await;
        provider.on("?", script);
        let outcome = ask(settings(&provider), request("?")).await;
        let fault = outcome.fault();
        assert_eq!((fault.label(), fault.code()), (label, code), "{name}: {fault}");
        assert_eq!(provider.calls(), calls, "{name}: {fault}");
        assert_eq!(
            fault.is_retryable(),
            calls > 1,
            "{name}: what we retry, a client may retry"
        );
        assert_eq!(outcome.text, "", "{name}");
    }
}

/// An error's JSON; `rest` follows its message.
fn error(code: &str, rest: &str) -> String {
    format!(r#"{{"error":{{"code":{code},"message":"{UPSTREAM}"{rest}}}}}"#)
}

fn status(status: u16, rest: &str) -> Script {
    Script::status(status, &error(&status.to_string(), rest))
}

#[tokio::test]
async fn statuses() {
    check([
        (
            "307",
            Script::status(307, "").header("location", "/api/v1/elsewhere"),
            MALFORMED,
        ),
        ("400", status(400, ""), REJECTED),
        ("401", status(401, ""), REFUSED),
        ("402", status(402, ""), REFUSED),
        ("403", status(403, ""), REFUSED),
        ("404", status(404, ""), NO_MODEL),
        ("408", status(408, ""), TIMED_OUT),
        ("413", status(413, ""), REJECTED),
        ("422", status(422, ""), REJECTED),
        ("429", status(429, ""), BUSY),
        ("500", status(500, ""), UNAVAILABLE),
        ("502", status(502, ""), UNAVAILABLE),
        ("503", status(503, ""), UNAVAILABLE),
        ("504", status(504, ""), TIMED_OUT),
        ("524", status(524, ""), TIMED_OUT),
        ("529", status(529, ""), UNAVAILABLE),
    ])
    .await;
}

#[tokio::test]
async fn particulars_outweigh_statuses() {
    let named = |number, name| status(number, &format!(r#","metadata":{{"error_type":"{name}"}}"#));
    let coded = |number, name| Script::status(number, &error(&format!("\"{name}\""), ""));
    let in_words = format!(r#"{{"error":{{"message":"{UPSTREAM}: maximum context length is 4096"}}}}"#);
    let in_flight = r#","metadata":{"limit_source":"openrouter_in_flight_budget"}"#;
    let moderation = r#","metadata":{"reasons":["violence"],"flagged_input":"upstream-secret"}"#;
    let no_hosts = r#","availability":{"code":"no_endpoints","retryable":false}"#;
    let for_now = r#","availability":{"code":"capacity_exhausted","retryable":true}"#;
    check([
        ("context by name", named(400, "context_length_exceeded"), TOO_LONG),
        ("context by code", coded(400, "context_length_exceeded"), TOO_LONG),
        ("context in words", Script::status(400, &in_words), TOO_LONG),
        ("policy", named(400, "content_policy_violation"), FILTERED),
        ("no such model", coded(400, "model_not_found"), NO_MODEL),
        ("no quota left", coded(429, "insufficient_quota"), REFUSED),
        ("402 in flight", status(402, in_flight), BUSY),
        ("403 by moderation", status(403, moderation), FILTERED),
        ("503 for good", status(503, no_hosts), NO_MODEL),
        ("404 for now", status(404, for_now), UNAVAILABLE),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let html = format!("<html><h1>502 Bad Gateway {UPSTREAM}</h1></html>");
    let page = |status| Script::status(status, &html).header("content-type", "text/html");
    let odd = r#"{"error":{"code":[1],"message":{},"metadata":7}}"#;
    check([
        ("HTML 502", page(502), UNAVAILABLE),
        ("HTML 200", page(200), MALFORMED),
        ("nothing", Script::status(500, ""), UNAVAILABLE),
        (
            "endless",
            Script::status(500, "").flood("<p>and on and on</p>"),
            UNAVAILABLE,
        ),
        ("stalled", Script::status(500, "{").stall(), UNAVAILABLE),
        ("cut", Script::status(500, "{").cut(), UNAVAILABLE),
        (
            "a sentence",
            Script::status(404, r#"{"error":"upstream-secret"}"#),
            NO_MODEL,
        ),
        ("odd types", Script::status(429, odd), BUSY),
    ])
    .await;
}

#[tokio::test]
async fn errors_inside_a_200() {
    let stream = |data: &str| Script::new().comment("OPENROUTER PROCESSING").event(data);
    // The same error, with fields beside it.
    let beside = |code: &str, fields: &str| {
        let error = error(code, "");
        stream(&format!("{}{fields}}}", error.strip_suffix('}').unwrap()))
    };
    let in_choice = |code: &str| {
        let error = error(code, "");
        let error = error.strip_prefix('{').unwrap();
        format!(r#"{{"choices":[{{"finish_reason":"error","delta":{{"content":""}},{error}]}}"#)
    };
    check([
        (
            "integer code",
            beside("429", r#","choices":[{"finish_reason":"error"}]"#),
            BUSY,
        ),
        (
            "string code",
            beside("\"server_error\"", r#","choices":[]"#),
            UNAVAILABLE,
        ),
        ("integer as string", beside("\"429\"", ""), BUSY),
        ("null code", beside("null", ""), UNAVAILABLE),
        ("null choices", beside("502", r#","choices":null"#), UNAVAILABLE),
        (
            "content policy",
            beside("\"content_policy_violation\"", ""),
            FILTERED,
        ),
        ("no credits", beside("402", ""), REFUSED),
        ("in the choice", stream(&in_choice("408")), TIMED_OUT),
        ("in a document", Script::status(200, &error("429", "")), BUSY),
        (
            "in a document's choice",
            Script::status(200, &in_choice("401")),
            REFUSED,
        ),
        (
            "a sentence",
            stream(r#"{"error":"upstream-secret"}"#),
            UNAVAILABLE,
        ),
        ("of an odd type", stream(r#"{"error":[1]}"#), UNAVAILABLE),
        (
            "a finish reason only",
            Script::new().finish("error").done(),
            UNAVAILABLE,
        ),
    ])
    .await;
}

#[tokio::test]
async fn broken_streams() {
    let half = "data: {\"choices\":[{\"delta\":";
    let giant = format!("data: {}", "x".repeat(8 * 1024));
    check([
        ("hung up without a word", Script::new().cut(), UNREACHABLE),
        ("cut after the head", Script::new().head().cut(), INCOMPLETE),
        ("ended after the head", Script::new().head(), INCOMPLETE),
        ("cut in an event", Script::new().raw(half).cut(), INCOMPLETE),
        ("ended in an event", Script::new().raw(half), MALFORMED),
        ("garbage", Script::new().garbage(), MALFORMED),
        ("bad UTF-8", Script::new().raw(b"data: \xFF\xFE\n\n"), MALFORMED),
        ("giant event", Script::new().raw(giant), TOO_LARGE),
        ("endless event", Script::new().flood("data: and on\n"), TOO_LARGE),
    ])
    .await;
}

#[tokio::test]
async fn empty_answers_are_retried_once_where_that_may_help() {
    let tool_call =
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f"}}]}}]}"#;
    check([
        ("only [DONE]", Script::new().done(), EMPTY),
        ("a stop", Script::new().finish("stop").done(), EMPTY),
        (
            "a tool",
            Script::new().event(tool_call).finish("tool_calls").done(),
            EMPTY,
        ),
        (
            "all spent on thinking",
            Script::new().finish("length").done(),
            EMPTY_FOR_GOOD,
        ),
        (
            "a filter",
            Script::new().finish("content_filter").done(),
            FILTERED,
        ),
    ])
    .await;
}

#[tokio::test]
async fn after_text_nothing_is_retried_and_the_text_stands() {
    let text = || Script::new().text("Half an ");
    let at_once = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Half an \"}}}}]}}\n\ndata: {}\n\n",
        error("429", "")
    );
    let table = [
        ("cut", text().cut(), "incomplete"),
        ("ended", text(), "incomplete"),
        ("garbage", text().garbage(), "malformed"),
        ("error", text().event(&error("502", "")), "unavailable"),
        ("error in the same read", Script::new().raw(at_once), "busy"),
        ("giant event", text().flood("data: and on\n"), "too_large"),
    ];
    for (name, script, label) in table {
        let provider = ScriptedProvider::start().await;
        provider.on("?", script);
        let outcome = ask(settings(&provider), request("?")).await;
        assert_eq!(
            (outcome.fault().label(), &*outcome.text),
            (label, "Half an "),
            "{name}"
        );
        assert_eq!(provider.calls(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_endless_answer_ends_at_the_limit() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text(&"x".repeat(1024)).times(17).stall());
    let outcome = ask(settings(&provider), request("?")).await;
    assert_eq!(
        outcome.fault(),
        &LlmError::TooLarge {
            limit_bytes: 16 * 1024
        }
    );
    assert_eq!(outcome.text, "x".repeat(16 * 1024));
    provider.wait_for(|tally| tally.aborted == 1).await;
}

#[tokio::test]
async fn nobody_there() {
    let provider = ScriptedProvider::start().await;
    let settings = settings(&provider);
    drop(provider);
    let outcome = ask(settings, request("?")).await;
    assert_eq!(outcome.fault().label(), "unreachable");
    assert!(outcome.fault().is_retryable());
    assert_eq!(outcome.generation_ids, []);
}

#[tokio::test]
async fn of_an_upstreams_words_the_log_holds_the_status_and_the_name_of_the_fault() {
    let provider = ScriptedProvider::start().await;
    let message = format!("{UPSTREAM}\\n\\u001b[31m forged line {}", "x".repeat(3_000));
    let body = format!(r#"{{"error":{{"code":400,"type":"invalid_request","message":"{message}"}}}}"#);
    provider.then(Script::status(400, &body));
    let logged = ask(settings(&provider), request("?")).await.fault().to_string();
    assert_eq!(
        logged,
        "the provider rejected the request: status 400, invalid_request"
    );
    provider.on(
        "?",
        Script::new().event(&format!(r#"{{"choices":["{UPSTREAM}"]}}"#)),
    );
    let logged = ask(settings(&provider), request("?")).await.fault().to_string();
    assert_eq!(
        logged,
        "the provider's answer can't be read: unexpected JSON at line 1 column 29"
    );
}
