//! PROTOCOL.md's examples, held against the types that the server parses and sends, and against their schemas.

mod sample;

use std::collections::{BTreeMap, BTreeSet};

use agent_websocket::protocol::ai_sdk;
use agent_websocket::protocol::client::{self, COMMANDS};
use agent_websocket::protocol::error::ErrorCode;
use agent_websocket::protocol::server::ServerFrame;
use serde_json::{Value, json};

use self::sample::Sample;
use super::read;
use crate::support::schema::{is_client_frame, is_server_frame};

/// The examples of a kind: one JSON value after the other in each fence that names it.
fn examples(kind: &str) -> Vec<Value> {
    let text = read("PROTOCOL.md");
    let mut found = Vec::new();
    let mut fence = None;
    for line in text.lines() {
        if let Some(opened) = line.strip_prefix("```") {
            fence = if fence.is_none() {
                Some(opened.to_owned())
            } else {
                None
            };
            let known = [
                "json client",
                "json server",
                "json ai-sdk client",
                "json ai-sdk server",
                "json http",
                "sql",
                "",
            ];
            assert!(known.contains(&opened), "no test reads ```{opened}");
        } else if fence.as_deref() == Some(kind) {
            let value = serde_json::from_str(line);
            found.push(value.unwrap_or_else(|error| panic!("{error}: {line}")));
        }
    }
    assert!(!found.is_empty(), "no example of {kind}");
    found
}

fn text_of<'a>(frame: &'a Value, field: &str) -> &'a str {
    frame.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn every_client_example_is_accepted_and_every_command_has_one() {
    let mut shown = BTreeSet::new();
    for frame in examples("json client") {
        if let Err(bad) = client::parse(&frame.to_string()) {
            panic!("{}: {frame}", bad.refusal);
        }
        is_client_frame(&frame);
        shown.insert(match text_of(&frame, "type") {
            "command" => format!("command {}", text_of(&frame, "content")),
            other => other.to_owned(),
        });
    }
    let mut wanted: BTreeSet<String> = COMMANDS
        .iter()
        .map(|(name, _)| format!("command {name}"))
        .collect();
    wanted.extend(["query".to_owned(), "human_feedback".to_owned()]);
    assert_eq!(shown, wanted);
}

#[test]
fn the_ai_sdk_examples_are_frames_of_that_dialect() {
    for frame in examples("json ai-sdk client") {
        if let Err((_, bad)) = ai_sdk::parse(&frame.to_string()) {
            panic!("{}: {frame}", bad.refusal);
        }
    }
    for example in examples("json ai-sdk server") {
        let request_id = text_of(&example, "requestId").to_owned();
        let frame = match text_of(&example, "type") {
            "start" => ai_sdk::Response::Start { request_id },
            "chunk" => ai_sdk::Response::Chunk {
                request_id,
                sequence: 4,
                chunk: json!({ "type": "text-delta", "id": "text-1", "delta": "A tea " }),
            },
            "end" => ai_sdk::Response::End { request_id },
            "error" => ai_sdk::Response::Error {
                request_id,
                error_text: "Message content is required".to_owned(),
            },
            "no-active" => ai_sdk::Response::NoActive { request_id },
            other => panic!("the server sends no {other}"),
        };
        assert_eq!(serde_json::from_str::<Value>(&frame.encode()).unwrap(), example);
    }
}

#[test]
fn every_server_example_is_one_that_the_server_sends_and_every_frame_has_one() {
    let known = frames();
    let mut shown = BTreeSet::new();
    for example in examples("json server") {
        let name = name_of(&example);
        let frame = known
            .get(&name)
            .unwrap_or_else(|| panic!("the server sends no {name}"));
        check(&name, &example, &frame.full, &frame.sparse);
        is_server_frame(&example);
        is_server_frame(&frame.full);
        is_server_frame(&frame.sparse);
        if let Some(code) = example.get("code") {
            let known = ErrorCode::ALL.iter().any(|known| code == known.as_str());
            assert!(known, "{name}: no such code {code}");
        }
        shown.insert(name);
    }
    assert_eq!(shown, known.into_keys().collect());
}

#[test]
fn every_http_example_is_json() {
    assert!(examples("json http").iter().all(Value::is_object));
}

#[test]
fn the_examples_test_sees_foreign_and_missing_fields() {
    let known = frames();
    let live = &known["status live"];
    let sound = |example: &Value| {
        std::panic::catch_unwind(|| check("status live", example, &live.full, &live.sparse)).is_ok()
    };
    assert!(sound(&live.full));
    let mut foreign = live.full.clone();
    foreign["colour"] = json!("red");
    assert!(!sound(&foreign));
    let mut wrong = live.full.clone();
    wrong["head"] = json!("1");
    assert!(!sound(&wrong));
    let mut missing = live.full.clone();
    missing.as_object_mut().expect("an object").remove("head");
    assert!(!sound(&missing));
}

/// A frame with all that it can hold, and with as little.
struct Frame {
    full: Value,
    sparse: Value,
}

/// `type`, and `event` where there is one.
fn name_of(frame: &Value) -> String {
    format!("{} {}", text_of(frame, "type"), text_of(frame, "event"))
        .trim()
        .to_owned()
}

/// Holds an example's fields against what the types write: none that is unknown, none missing, each of its kind.
fn check(name: &str, example: &Value, full: &Value, sparse: &Value) {
    let (Some(example), Some(full)) = (example.as_object(), full.as_object()) else {
        panic!("{name}: not an object");
    };
    for (field, value) in example {
        let known = full
            .get(field)
            .unwrap_or_else(|| panic!("{name}: unknown field {field}"));
        let sparse = &sparse[field];
        if field == "data" || (value.is_null() && sparse.is_null()) {
            continue;
        }
        if known.is_object() {
            check(
                &format!("{name} {field}"),
                value,
                known,
                if sparse.is_object() { sparse } else { known },
            );
        } else {
            let same = std::mem::discriminant(value) == std::mem::discriminant(known);
            assert!(
                same,
                "{name}: {field} is {value}, and the server writes such as {known}"
            );
        }
    }
    for field in sparse.as_object().into_iter().flat_map(|sparse| sparse.keys()) {
        assert!(example.contains_key(field), "{name}: {field} is missing");
    }
}

/// Every frame that the server can send, by its name.
fn frames() -> BTreeMap<String, Frame> {
    let full = written(&Sample::full());
    let sparse = written(&Sample::sparse());
    full.into_iter()
        .zip(sparse)
        .map(|(full, sparse)| (name_of(&full), Frame { full, sparse }))
        .collect()
}

fn written(sample: &Sample) -> Vec<Value> {
    let statuses = sample.statuses().into_iter().map(ServerFrame::Status);
    let notifications = sample.notifications().into_iter().map(ServerFrame::Notification);
    let others = [
        ServerFrame::Query(sample.query()),
        ServerFrame::Delta(sample.delta()),
        ServerFrame::Response(Box::new(sample.response())),
        ServerFrame::Error(sample.error()),
    ];
    statuses
        .chain(notifications)
        .chain(others)
        .map(|frame| serde_json::from_str(&frame.encode()).expect("JSON"))
        .collect()
}
