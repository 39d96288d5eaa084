//! The order of things within an answer; how servers vary is tested end to end.

use super::*;

fn answer() -> Answer {
    Answer::new(Some("gen-1"), 100)
}

fn text(content: &str) -> String {
    format!(r#"{{"choices":[{{"delta":{{"content":"{content}"}}}}]}}"#)
}

#[test]
fn text_of_several_events_is_handed_out_as_one_piece() {
    let mut answer = answer();
    answer.on_data(&text("Hi "));
    answer.on_data(&text("there"));
    assert_eq!(answer.take_text().as_deref(), Some("Hi there"));
    assert_eq!(answer.take_text(), None);
    assert_eq!(answer.outcome(), None);
}

#[test]
fn after_done_nothing_counts() {
    let mut answer = answer();
    answer.on_data(&text("Hi"));
    answer.on_data(" [DONE]\r");
    answer.on_data(&text("more"));
    answer.on_fault(nameless_fault());
    assert_eq!(answer.take_text().as_deref(), Some("Hi"));
    assert!(matches!(answer.outcome(), Some(Ok(_))));
}

#[test]
fn an_error_hides_the_text_of_its_own_chunk_but_none_before_it() {
    let mut answer = answer();
    answer.on_data(&text("Hi"));
    answer.on_data(
        r#"{"error":{"code":502},"choices":[{"delta":{"content":"noise"},"finish_reason":"stop"}]}"#,
    );
    assert_eq!(answer.take_text().as_deref(), Some("Hi"));
    assert!(matches!(
        answer.outcome(),
        Some(Err(LlmError::Unavailable { .. }))
    ));
}

#[test]
fn the_text_is_bounded_and_what_was_in_bounds_stands() {
    let mut answer = answer();
    answer.on_data(&text(&"x".repeat(60)));
    answer.on_data(&text(&"y".repeat(60)));
    assert_eq!(answer.take_text(), Some("x".repeat(60)));
    assert_eq!(
        answer.outcome(),
        Some(Err(LlmError::TooLarge { limit_bytes: 100 }))
    );
}

#[test]
fn foreign_names_are_kept_short_and_plain() {
    let mut answer = Answer::new(None, 100);
    answer.on_data(&format!(
        r#"{{"id":"a\u0000b","model":"{}","choices":[]}}"#,
        "m".repeat(1_000)
    ));
    answer.on_data(r#"{"id":"other","model":"other"}"#);
    answer.on_data(&text("Hi"));
    answer.on_data("[DONE]");
    answer.take_text();
    let finish = answer.outcome().unwrap().unwrap();
    assert_eq!(finish.generation_id.as_deref(), Some("a b"));
    assert_eq!(finish.model, Some("m".repeat(MAX_NAME_CHARS)));
}

#[test]
fn the_first_finish_reason_that_says_something_counts() {
    let mut answer = answer();
    for reason in ["", "length", "stop", ""] {
        answer.on_data(&format!(
            r#"{{"choices":[{{"delta":{{"content":"Hi"}},"finish_reason":"{reason}"}}]}}"#
        ));
    }
    answer.on_end();
    let finish = answer.outcome().unwrap().unwrap();
    assert_eq!(finish.finish_reason, FinishReason::Length);
}

#[test]
fn finish_reasons_read_as_the_contract_names_them() {
    let names = [
        "stop",
        "length",
        "content_filter",
        "tool_calls",
        "function_call",
        "eos",
    ];
    let read = names.map(|name| finish_reason(name).as_str());
    assert_eq!(
        read,
        [
            "stop",
            "length",
            "content_filter",
            "tool_calls",
            "tool_calls",
            "unknown"
        ]
    );
}

#[test]
fn counts_that_are_none_are_zero_and_costs_that_are_none_are_unknown() {
    let usage = |json| Usage::from(serde_json::from_str::<UsageBody>(json).unwrap());
    let odd = usage(r#"{"prompt_tokens":-3,"completion_tokens":1e99,"cost":-0.5}"#);
    assert_eq!(
        odd,
        Usage {
            input_tokens: 0,
            output_tokens: u32::MAX,
            cost_usd: None
        }
    );
    let cost = usage(r#"{"cost":0.00014}"#).cost_usd.unwrap();
    assert_eq!(cost.to_string(), "0.00014");
}
