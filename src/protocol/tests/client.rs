//! Frames from clients, what holds for all of them, queries and feedback: each well-formed one with what it becomes, each fault with its code and the frame it answers.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ids::{ClientName, MessageId};
use crate::protocol::client::{ClientFrame, Feedback, MAX_CONTENT_BYTES, OnBusy, Priority, Query, parse};
use crate::protocol::error::ErrorCode;
use crate::protocol::text::Text;

pub(super) const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

pub(super) fn uuid() -> Uuid {
    Uuid::parse_str(ID).unwrap()
}

pub(super) fn text(text: &str) -> Text {
    Text::new(text.to_owned()).unwrap()
}

pub(super) fn accepted(frame: &Value) -> ClientFrame {
    parse(&frame.to_string()).unwrap_or_else(|bad| panic!("{frame}: {bad:?}"))
}

/// The code of a refusal, and the frame it answers.
fn refused(frame: &str) -> (ErrorCode, Option<String>) {
    match parse(frame) {
        Ok(taken) => panic!("{frame} became {taken:?}"),
        Err(bad) => {
            let content = &bad.refusal.content;
            assert!(!content.is_empty() && content.chars().count() < 250, "{content}");
            assert!(!content.chars().any(char::is_control), "{content:?}");
            (bad.refusal.code, bad.re.map(|re| re.to_string()))
        }
    }
}

/// A frame with an id that is refused must be answered under that id.
#[track_caller]
pub(super) fn refused_as(code: ErrorCode, mut frame: Value) {
    frame["id"] = "f-1".into();
    assert_eq!(
        refused(&frame.to_string()),
        (code, Some("f-1".to_owned())),
        "{frame}"
    );
}

pub(super) fn command(name: &str, args: &Value) -> Value {
    json!({ "type": "command", "content": name, "args": args })
}

#[test]
fn a_query_needs_only_content() {
    let plain = Query {
        id: None,
        content: text("hello"),
        priority: Priority::Normal,
        on_busy: OnBusy::Enqueue,
        model: None,
        metadata: None,
    };
    assert_eq!(
        accepted(&json!({ "type": "query", "content": "hello" })),
        ClientFrame::Query(plain.clone())
    );
    let nothing = json!({
        "type": "query", "content": "hello", "id": null, "priority": null, "on_busy": null, "model": null,
        "metadata": null, "timestamp": null,
    });
    assert_eq!(
        accepted(&nothing),
        ClientFrame::Query(plain),
        "null is the same as absent"
    );
}

#[test]
fn a_query_takes_every_field_of_the_contract() {
    let frame = json!({
        "type": "query", "content": "hello", "id": "q_1-A", "priority": "high", "on_busy": "interrupt",
        "model": "some/model", "metadata": { "a": [1, { "b": null }] }, "timestamp": { "ignored": ["whatever"] },
    });
    let ClientFrame::Query(query) = accepted(&frame) else {
        panic!("it is a query");
    };
    assert_eq!(query.id, Some(ClientName::new("q_1-A").unwrap()));
    assert_eq!(
        (query.priority, query.on_busy),
        (Priority::High, OnBusy::Interrupt)
    );
    assert_eq!(query.model, Some(text("some/model")));
    assert_eq!(Value::from(query.metadata.unwrap()), frame["metadata"]);

    for (priority, expected) in [("normal", Priority::Normal), ("low", Priority::Low)] {
        let frame = json!({ "type": "query", "content": "x", "priority": priority });
        assert!(matches!(accepted(&frame), ClientFrame::Query(query) if query.priority == expected));
    }
    for (on_busy, expected) in [("enqueue", OnBusy::Enqueue), ("reject", OnBusy::Reject)] {
        let frame = json!({ "type": "query", "content": "x", "on_busy": on_busy });
        assert!(matches!(accepted(&frame), ClientFrame::Query(query) if query.on_busy == expected));
    }
}

#[test]
fn what_is_no_json_object_is_invalid_json_and_answers_nothing() {
    let deep = format!(r#"{{"type":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    for frame in [
        "",
        " ",
        "null",
        "1",
        "\"query\"",
        "[]",
        r#"[{"type":"query","content":"x"}]"#,
        "{",
        "{]",
        r#"{"type":"query","content":"x""#,
        r#"{"type":"query","content":"x"}}"#,
        r#"{"type":"query","content":"x"}{"type":"query","content":"x"}"#,
        r#"{"type":"query","content":"x",}"#,
        r"{'type':'query'}",
        r#"{"type":"query","content":"\x"}"#,
        r#"{"type":"\ud800"}"#,
        "{\"type\":\"query\",\"content\":\"a\nb\"}",
        "\u{feff}{\"type\":\"query\",\"content\":\"x\"}",
        &deep,
    ] {
        assert_eq!(refused(frame), (ErrorCode::InvalidJson, None), "{frame}");
    }
}

#[test]
fn a_type_is_one_of_three_words() {
    refused_as(
        ErrorCode::UnknownType,
        json!({ "type": "response", "content": "x" }),
    );
    refused_as(ErrorCode::UnknownType, json!({ "type": "Query", "content": "x" }));
    refused_as(ErrorCode::UnknownType, json!({ "type": "", "content": "x" }));
    refused_as(ErrorCode::InvalidMessage, json!({ "content": "x" }));
    for kind in [json!(null), json!(1), json!(["query"])] {
        refused_as(ErrorCode::InvalidMessage, json!({ "type": kind, "content": "x" }));
    }
}

#[test]
fn an_id_is_a_name_of_up_to_64_characters_and_a_bad_one_answers_nothing() {
    let longest = "a".repeat(64);
    for id in ["a", "A-z_0-9", "-", &longest] {
        for frame in [
            json!({ "type": "query", "content": "x", "id": id }),
            json!({ "type": "command", "content": "ping", "id": id }),
            json!({ "type": "human_feedback", "message_id": ID, "rating": 1, "id": id }),
        ] {
            assert_eq!(accepted(&frame).id().map(ClientName::as_str), Some(id));
        }
    }
    let too_long = "a".repeat(65);
    for id in [
        json!(""),
        json!(too_long),
        json!("a b"),
        json!("é"),
        json!("a\0"),
        json!("a.b"),
        json!(1),
        json!({}),
        json!(true),
    ] {
        let frame = json!({ "type": "query", "content": "x", "id": id }).to_string();
        assert_eq!(refused(&frame), (ErrorCode::InvalidMessage, None), "{frame}");
    }
}

#[test]
fn unknown_and_repeated_fields_are_refused() {
    for frame in [
        json!({ "type": "query", "content": "x", "seq": 1 }),
        json!({ "type": "query", "content": "x", "Content": "x" }),
        json!({ "type": "query", "content": "x", "args": {} }),
        json!({ "type": "command", "content": "ping", "priority": "low" }),
        json!({ "type": "human_feedback", "message_id": ID, "rating": 1, "comment": "x" }),
    ] {
        refused_as(ErrorCode::InvalidMessage, frame);
    }
    let named = Some("a".to_owned());
    for (frame, re) in [
        (r#"{"type":"query","content":"x","content":"x","id":"a"}"#, &named),
        (
            r#"{"type":"command","content":"ping","args":{},"args":{},"id":"a"}"#,
            &named,
        ),
        (
            r#"{"type":"query","content":"x","timestamp":1,"timestamp":1,"id":"a"}"#,
            &named,
        ),
        // Which of the two is meant cannot be known.
        (r#"{"type":"query","content":"x","id":"a","id":"b"}"#, &None),
        (r#"{"type":"query","type":"query","content":"x","id":"a"}"#, &None),
    ] {
        assert_eq!(refused(frame), (ErrorCode::InvalidMessage, re.clone()), "{frame}");
    }
}

#[test]
fn fields_of_another_kind_are_refused() {
    for (field, value) in [
        ("content", json!(1)),
        ("content", json!(["x"])),
        ("priority", json!("urgent")),
        ("priority", json!(1)),
        ("on_busy", json!("wait")),
        ("on_busy", json!(false)),
        ("model", json!(4)),
        ("metadata", json!("{}")),
        ("metadata", json!([1])),
    ] {
        let mut frame = json!({ "type": "query", "content": "x" });
        frame[field] = value;
        refused_as(ErrorCode::InvalidMessage, frame);
    }
    refused_as(
        ErrorCode::InvalidMessage,
        json!({ "type": "command", "content": "ping", "args": [] }),
    );
}

#[test]
fn content_must_not_be_blank() {
    for content in [json!(""), json!(" "), json!("\t\n\u{a0}\u{3000}"), json!(null)] {
        refused_as(
            ErrorCode::ContentRequired,
            json!({ "type": "query", "content": content }),
        );
        refused_as(
            ErrorCode::ContentRequired,
            json!({ "type": "command", "content": content }),
        );
    }
    refused_as(ErrorCode::ContentRequired, json!({ "type": "query" }));
    refused_as(ErrorCode::ContentRequired, json!({ "type": "command" }));
    let bad = parse(r#"{"type":"query"}"#).unwrap_err();
    assert_eq!(bad.refusal.content, "Message content is required");
}

#[test]
fn content_ends_at_32_kib_of_utf_8_however_it_is_escaped() {
    let fits = ["x".repeat(MAX_CONTENT_BYTES), "é".repeat(MAX_CONTENT_BYTES / 2)];
    for content in &fits {
        let frame = json!({ "type": "query", "content": content });
        assert!(matches!(accepted(&frame), ClientFrame::Query(query) if query.content.as_str() == content));
        refused_as(
            ErrorCode::TooLarge,
            json!({ "type": "query", "content": format!("{content}x") }),
        );
    }
    // Six bytes on the wire for each of UTF-8: what counts is what is meant.
    let escaped = format!(
        r#"{{"type":"query","content":"{}"}}"#,
        r"\u0078".repeat(MAX_CONTENT_BYTES)
    );
    let frame = parse(&escaped).unwrap();
    assert!(matches!(frame, ClientFrame::Query(query) if query.content.as_str() == fits[0]));
    let frame = parse(r#"{"type":"query","content":"\ud83e\udd80\n\"\u00e9"}"#).unwrap();
    assert!(matches!(frame, ClientFrame::Query(query) if query.content.as_str() == "🦀\n\"é"));
}

#[test]
fn nul_is_refused_in_every_string() {
    let nul = "a\0b";
    for frame in [
        json!({ "type": "query", "content": nul }),
        json!({ "type": "query", "content": "x", "model": nul }),
        json!({ "type": "query", "content": "x", "metadata": { "k": nul } }),
        json!({ "type": "query", "content": "x", "metadata": { nul: 1 } }),
        json!({ "type": "query", "content": "x", "metadata": { "k": [{ nul: 1 }] } }),
        json!({ "type": "command", "content": nul }),
        command("auth", &json!({ "token": nul })),
        command("auth", &json!({ "token": "t", "session_id": nul })),
        command("sessions", &json!({ "before": nul })),
        command("resume", &json!({ "session_id": nul })),
        command("rename", &json!({ "title": nul })),
        command("delete", &json!({ "session_id": nul })),
        command("cancel", &json!({ "run_id": nul })),
        command("model", &json!({ "model": nul })),
        command("search", &json!({ "q": nul })),
        command("regenerate", &json!({ "message_id": nul })),
        command("unqueue", &json!({ "message_id": nul })),
        command("ack", &json!({ "notification_ids": [nul] })),
        command("ping", &json!({ nul: 1 })),
        json!({ "type": "human_feedback", "message_id": nul, "rating": 1 }),
        json!({ "type": "human_feedback", "message_id": ID, "content": nul }),
        json!({ "type": "human_feedback", "message_id": ID, "correction": nul }),
        json!({ "type": "human_feedback", "message_id": ID, "tags": [nul] }),
    ] {
        refused_as(ErrorCode::InvalidMessage, frame);
    }
}

#[test]
fn lone_surrogates_are_refused_wherever_they_would_be_stored() {
    for frame in [
        r#"{"id":"f-1","type":"query","content":"\ud800"}"#,
        r#"{"id":"f-1","type":"query","content":"\udc00x"}"#,
        r#"{"id":"f-1","type":"query","content":"x","model":"\ud800\ud800"}"#,
        r#"{"id":"f-1","type":"query","content":"x","metadata":{"k":"\ud83e"}}"#,
        r#"{"id":"f-1","type":"query","content":"x","metadata":{"\udfff":1}}"#,
        r#"{"id":"f-1","type":"command","content":"rename","args":{"title":"\ud800x"}}"#,
        r#"{"id":"f-1","type":"human_feedback","message_id":"x","content":"\ud800"}"#,
    ] {
        assert_eq!(
            refused(frame),
            (ErrorCode::InvalidMessage, Some("f-1".to_owned())),
            "{frame}"
        );
    }
}

#[test]
fn metadata_ends_at_4_kib_and_8_levels() {
    // `{"k":"…"}` takes 8 bytes around the text.
    let of_size =
        |bytes: usize| json!({ "type": "query", "content": "x", "metadata": { "k": "v".repeat(bytes - 8) } });
    accepted(&of_size(4096));
    refused_as(ErrorCode::InvalidMessage, of_size(4097));

    let of_depth = |depth: usize| {
        let metadata = (0..depth).fold(json!(1), |value, _| json!({ "k": value }));
        json!({ "type": "query", "content": "x", "metadata": metadata })
    };
    accepted(&of_depth(8));
    refused_as(ErrorCode::InvalidMessage, of_depth(9));
    // Deeper than a parser goes, in any field.
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let frame = format!(r#"{{"type":"query","content":"x","metadata":{{"k":{deep}}},"id":"f-1"}}"#);
    assert_eq!(
        refused(&frame),
        (ErrorCode::InvalidMessage, Some("f-1".to_owned()))
    );
}

fn feedback(fields: &Value) -> Value {
    let mut frame = json!({ "type": "human_feedback", "message_id": ID });
    for (name, value) in fields.as_object().unwrap() {
        frame[name] = value.clone();
    }
    frame
}

#[test]
fn feedback_says_at_least_one_thing_about_an_answer() {
    let full = feedback(&json!({
        "rating": -1, "content": "no", "correction": "yes", "tags": ["a", "b"], "timestamp": "x", "approved": null,
    }));
    assert_eq!(
        accepted(&full),
        ClientFrame::Feedback(Feedback {
            id: None,
            message_id: MessageId(uuid()),
            rating: Some(-1),
            comment: Some(text("no")),
            correction: Some(text("yes")),
            tags: vec![text("a"), text("b")],
        })
    );
    for one in [
        json!({ "rating": 0 }),
        json!({ "rating": 1 }),
        json!({ "content": "c" }),
        json!({ "correction": "c" }),
        json!({ "tags": ["t".repeat(64)] }),
        json!({ "tags": vec!["t"; 16] }),
        json!({ "content": "x".repeat(MAX_CONTENT_BYTES) }),
    ] {
        assert!(matches!(accepted(&feedback(&one)), ClientFrame::Feedback(_)));
    }
    for (fields, code) in [
        (json!({}), ErrorCode::InvalidMessage),
        (json!({ "content": "" }), ErrorCode::InvalidMessage),
        (json!({ "tags": [] }), ErrorCode::InvalidMessage),
        (json!({ "rating": 2 }), ErrorCode::InvalidMessage),
        (json!({ "rating": -2 }), ErrorCode::InvalidMessage),
        (json!({ "rating": 0.5 }), ErrorCode::InvalidMessage),
        (json!({ "rating": "1" }), ErrorCode::InvalidMessage),
        (json!({ "rating": 100_000 }), ErrorCode::InvalidMessage),
        (json!({ "tags": [""] }), ErrorCode::InvalidMessage),
        (json!({ "tags": ["t".repeat(65)] }), ErrorCode::InvalidMessage),
        (json!({ "tags": vec!["t"; 17] }), ErrorCode::InvalidMessage),
        (json!({ "tags": "t" }), ErrorCode::InvalidMessage),
        (
            json!({ "message_id": null, "rating": 1 }),
            ErrorCode::InvalidMessage,
        ),
        (
            json!({ "message_id": "x", "rating": 1 }),
            ErrorCode::InvalidMessage,
        ),
        (
            json!({ "content": "x".repeat(MAX_CONTENT_BYTES + 1) }),
            ErrorCode::TooLarge,
        ),
        (
            json!({ "correction": "x".repeat(MAX_CONTENT_BYTES + 1) }),
            ErrorCode::TooLarge,
        ),
        // No request is ever open: tools come later.
        (json!({ "request_id": ID, "approved": true }), ErrorCode::NotFound),
        (json!({ "request_id": "x" }), ErrorCode::InvalidMessage),
    ] {
        refused_as(code, feedback(&fields));
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_read_or_refused(frame in any::<String>()) {
        if let Err(bad) = parse(&frame) {
            prop_assert!(!bad.refusal.content.chars().any(char::is_control));
        }
    }

    #[test]
    fn a_query_keeps_every_character(content in any::<String>()) {
        let frame = json!({ "type": "query", "content": content }).to_string();
        match parse(&frame) {
            Ok(ClientFrame::Query(query)) => prop_assert_eq!(query.content.as_str(), content),
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(_) => prop_assert!(content.contains('\0') || content.trim().is_empty()),
        }
    }
}
