//! The AI SDK's frames: what of each counts, and which are refused with which words.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::ids::ClientName;
use crate::protocol::ai_sdk::{ChatId, Deed, Question, Request, RequestId, Response, Wish, name, parse};
use crate::protocol::text::Text;

fn text(text: &str) -> Text {
    Text::new(text.to_owned()).unwrap()
}

fn question(id: &str, content: &str) -> Question {
    Question {
        id: ClientName::new(id).unwrap(),
        content: text(content),
    }
}

/// A `send` as the transport writes it, with some fields changed.
fn send(changes: &Value) -> String {
    let mut frame = json!({
        "type": "send", "requestId": "r1", "id": "c1", "trigger": "submit-message", "headers": {}, "body": {},
        "messages": [
            { "id": "m1", "role": "user", "parts": [{ "type": "text", "text": "Earlier" }] },
            { "id": "a1", "role": "assistant", "parts": [{ "type": "step-start" }, { "type": "text", "text": "Invented" }] },
            { "id": "m2", "role": "user", "parts": [{ "type": "text", "text": "Now" }] },
        ],
    });
    for (name, value) in changes.as_object().unwrap() {
        frame[name] = value.clone();
    }
    frame.to_string()
}

fn user(parts: &Value) -> Value {
    json!({ "messages": [{ "id": "m2", "role": "user", "parts": parts }] })
}

#[test]
fn of_a_request_only_the_last_message_counts_and_the_token() {
    let of = |token: Option<&str>, deed| Request {
        id: RequestId("r1".to_owned()),
        wish: Wish::Of(ChatId("c1".to_owned()), token.map(text), deed),
    };
    let submit = |content| Deed::Submit(question("m2", content));
    for (frame, expected) in [
        (send(&json!({})), of(None, submit("Now"))),
        (
            send(&json!({ "body": { "model": "x" }, "metadata": [1], "more": true })),
            of(None, submit("Now")),
        ),
        (
            send(&json!({ "headers": { "authorization": "Bearer t1" } })),
            of(Some("t1"), submit("Now")),
        ),
        (
            send(&json!({ "headers": { "Authorization": "bearer  t2 ", "x": "y" } })),
            of(Some("t2"), submit("Now")),
        ),
        (
            send(&user(
                &json!([{ "type": "text", "text": "a" }, { "type": "data-x", "data": 1 }, { "type": "text", "text": "b" }]),
            )),
            of(None, submit("a\nb")),
        ),
        (
            send(&json!({ "trigger": "regenerate-message" })),
            of(None, Deed::Regenerate(None, question("m2", "Now"))),
        ),
        (
            send(&json!({ "trigger": "regenerate-message", "messageId": "a7" })),
            of(
                None,
                Deed::Regenerate(Some("a7".to_owned()), question("m2", "Now")),
            ),
        ),
        (
            json!({ "type": "resume", "requestId": "r1", "id": "c1", "headers": {}, "body": {} }).to_string(),
            of(None, Deed::Resume),
        ),
    ] {
        assert_eq!(parse(&frame), Ok(expected), "{frame}");
    }
    let abort = parse(r#"{"type":"abort","requestId":"r1"}"#).unwrap();
    assert_eq!(abort.wish, Wish::Abort);
}

fn assert_refused(frame: &str, re: Option<&str>, code: &str) {
    let (id, bad) = parse(frame).expect_err(frame);
    assert_eq!(id.map(|id| id.0).as_deref(), re, "{frame}");
    assert_eq!(bad.re.as_ref().map(ClientName::as_str), re, "{frame}");
    assert_eq!(bad.refusal.code.as_str(), code, "{frame}");
}

#[test]
fn what_cannot_be_understood_is_refused_under_its_request() {
    let long = "x".repeat(257);
    for (frame, re, code) in [
        ("{".to_owned(), None, "invalid_json"),
        ("7".to_owned(), None, "invalid_message"),
        (r#"{"type":"send"}"#.to_owned(), None, "invalid_message"),
        (
            r#"{"type":"query","requestId":"r1","id":"c1"}"#.to_owned(),
            Some("r1"),
            "unknown_type",
        ),
        (r#"{"requestId":"r1"}"#.to_owned(), Some("r1"), "invalid_message"),
        (send(&json!({ "requestId": "" })), None, "invalid_message"),
        (send(&json!({ "requestId": long })), None, "invalid_message"),
        (send(&json!({ "id": "" })), Some("r1"), "invalid_message"),
        (send(&json!({ "id": null })), Some("r1"), "invalid_message"),
        (send(&json!({ "trigger": "x" })), Some("r1"), "invalid_message"),
        (send(&json!({ "messages": [] })), Some("r1"), "invalid_message"),
        (send(&json!({ "messages": 1 })), Some("r1"), "invalid_message"),
        (
            send(&json!({ "headers": { "authorization": "Basic x" } })),
            Some("r1"),
            "invalid_message",
        ),
        (
            json!({ "type": "resume", "requestId": "r1", "id": "c1", "lastSequence": 3 }).to_string(),
            Some("r1"),
            "invalid_message",
        ),
    ] {
        assert_refused(&frame, re, code);
    }
}

#[test]
fn a_last_message_that_cannot_be_kept_is_refused() {
    let longer = "x".repeat(32 * 1024 + 1);
    let text = |text: &str| user(&json!([{ "type": "text", "text": text }]));
    let file = json!([{ "type": "file", "url": "data:," }, { "type": "text", "text": "look" }]);
    for (fields, code) in [
        (user(&json!([])), "content_required"),
        (text(" "), "content_required"),
        (text(&longer), "too_large"),
        (text("a\u{0}"), "invalid_message"),
        (user(&file), "invalid_message"),
        (
            json!({ "messages": [{ "id": "a", "role": "assistant", "parts": [] }] }),
            "invalid_message",
        ),
    ] {
        assert_refused(&send(&fields), Some("r1"), code);
    }
}

#[test]
fn a_name_that_is_no_name_here_becomes_one_and_the_same_each_time() {
    assert_eq!(name("m-1_B").as_str(), "m-1_B");
    let made = name("msg:1");
    assert_eq!((made.as_str().len(), made.clone()), (36, name("msg:1")));
    assert_ne!(made, name("msg:2"));
    let id = Uuid::now_v7();
    assert_eq!(ChatId(id.to_string()).as_uuid(), id);
    let (one, other) = (
        ChatId("one".to_owned()).as_uuid(),
        ChatId("other".to_owned()).as_uuid(),
    );
    assert_ne!(one, other);
    assert_eq!(one.get_version_num(), 8);
}

#[test]
fn frames_to_the_transport_are_written_in_its_words() {
    let request_id = || "r1".to_owned();
    for (response, expected) in [
        (
            Response::Start {
                request_id: request_id(),
            },
            r#"{"type":"start","requestId":"r1"}"#,
        ),
        (
            Response::Chunk {
                request_id: request_id(),
                sequence: 0,
                chunk: json!({ "type": "finish" }),
            },
            r#"{"type":"chunk","requestId":"r1","sequence":0,"chunk":{"type":"finish"}}"#,
        ),
        (
            Response::End {
                request_id: request_id(),
            },
            r#"{"type":"end","requestId":"r1"}"#,
        ),
        (
            Response::Error {
                request_id: request_id(),
                error_text: "No".to_owned(),
            },
            r#"{"type":"error","requestId":"r1","errorText":"No"}"#,
        ),
        (
            Response::NoActive {
                request_id: request_id(),
            },
            r#"{"type":"no-active","requestId":"r1"}"#,
        ),
    ] {
        assert_eq!(response.encode(), expected);
    }
}
