//! The committed specifications, held against the types that they are written from.

use std::collections::BTreeSet;

use agent_websocket::cli::SPECIFICATIONS;
use agent_websocket::log::{AnswerState, Role};
use agent_websocket::protocol::client;
use agent_websocket::protocol::error::ErrorCode;
use agent_websocket::spec::{documents, frames};
use serde_json::{Value, json};

use super::{none, read};

#[test]
fn the_committed_specifications_are_what_the_types_say() {
    let stale: Vec<String> = documents()
        .into_iter()
        .filter(|document| read(document.path) != document.text)
        .map(|document| document.path.to_owned())
        .collect();
    none(&stale, "Make them anew with `cargo run -- spec --write`");
}

#[test]
fn the_command_line_names_every_specification() {
    let names: BTreeSet<&str> = documents().iter().map(|document| document.name).collect();
    assert_eq!(names, BTreeSet::from(SPECIFICATIONS));
}

/// The words of a definition that lists some.
fn words(name: &str) -> BTreeSet<String> {
    let schema = frames::document();
    let choices = schema["$defs"][name]["oneOf"].as_array().cloned();
    let choices = choices.unwrap_or_else(|| panic!("{name} lists nothing"));
    let word = |choice: &Value| choice["const"].as_str().expect("a word").to_owned();
    choices.iter().map(word).collect()
}

#[test]
fn the_schema_has_the_words_of_the_database_and_the_wire() {
    let codes = ErrorCode::ALL.map(|code| code.as_str().to_owned());
    assert_eq!(words("ErrorCode"), BTreeSet::from(codes));
    let roles = [Role::User, Role::Assistant, Role::Notification];
    assert_eq!(
        words("Role"),
        BTreeSet::from(roles.map(|role| role.as_str().to_owned()))
    );
    let states = [
        AnswerState::Complete,
        AnswerState::Cancelled,
        AnswerState::Incomplete,
        AnswerState::Failed,
    ];
    assert_eq!(
        words("AnswerState"),
        BTreeSet::from(states.map(|state| state.as_str().to_owned()))
    );
}

#[test]
fn what_the_schema_refuses_the_server_refuses_too() {
    let schema = frames::document();
    let judge = jsonschema::options()
        .should_validate_formats(true)
        .build(&json!({ "$ref": "#/$defs/ClientFrame", "$defs": schema["$defs"] }))
        .expect("a schema");
    for frame in [
        json!({ "type": "query" }),
        json!({ "type": "query", "content": "" }),
        json!({ "type": "query", "content": "x", "id": "not a name" }),
        json!({ "type": "query", "content": "x", "colour": "red" }),
        json!({ "type": "query", "content": "x", "on_busy": "wait" }),
        json!({ "type": "query", "content": "x", "metadata": [] }),
        json!({ "type": "command", "content": "fly" }),
        json!({ "type": "command", "content": "ping", "args": { "x": 1 } }),
        json!({ "type": "command", "content": "model" }),
        json!({ "type": "command", "content": "model", "args": {} }),
        json!({ "type": "command", "content": "history", "args": { "limit": 201 } }),
        json!({ "type": "command", "content": "delete", "args": { "session_id": "latest" } }),
        json!({ "type": "command", "content": "auth", "args": {} }),
        json!({ "type": "human_feedback", "rating": 1 }),
        json!({ "type": "human_feedback", "message_id": "01a1fb1d-b08c-7285-9f9c-f2c760fd7513", "rating": 2 }),
        json!({ "type": "shout" }),
    ] {
        assert!(!judge.is_valid(&frame), "the schema accepts {frame}");
        assert!(
            client::parse(&frame.to_string()).is_err(),
            "the server accepts {frame}"
        );
    }
}
