//! Every frame of both sides as one JSON Schema: each whole, under a name of its own, with all that it refers to.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Value, json};

use super::flatten::{DEFINITIONS, Object, leaves, references, tag_of};
use crate::protocol::VERSION;
use crate::protocol::client::{COMMANDS, ClientFrame};
use crate::protocol::server::ServerFrame;

/// Schemas of what is read: what the server accepts.
fn reading() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

/// Schemas of what is written: what the server sends.
fn writing() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

/// The schema of all frames: `#/$defs/ClientFrame` is any that a client may send, `#/$defs/ServerFrame` any that the
/// server sends.
pub fn document() -> Value {
    let mut definitions = Object::new();
    let client = gather::<ClientFrame>(reading(), client_name, &mut definitions);
    let server = gather::<ServerFrame<'static>>(writing(), server_name, &mut definitions);
    let of = |frames: &[Frame], kind: &str| {
        let names = frames.iter().filter(|frame| frame.kind == kind);
        names.map(|frame| frame.name.clone()).collect::<Vec<_>>()
    };
    let (results, statuses): (Vec<_>, Vec<_>) = of(&server, "status")
        .into_iter()
        .partition(|name| name.ends_with("Result"));
    let messages: Vec<_> = ["query", "delta", "response", "error"]
        .iter()
        .flat_map(|kind| of(&server, kind))
        .collect();
    let mut sent: Vec<_> = of(&client, "query");
    sent.extend(of(&client, "human_feedback"));
    sent.push("CommandFrame".to_owned());
    let mut received = messages;
    received.extend(["StatusFrame", "CommandResult", "NotificationFrame"].map(str::to_owned));
    for (name, members, what) in [
        ("ClientFrame", sent, "A frame that a client may send."),
        (
            "CommandFrame",
            of(&client, "command"),
            "A command with its arguments.",
        ),
        ("ServerFrame", received, "A frame that the server sends."),
        ("StatusFrame", statuses, "How things stand."),
        (
            "CommandResult",
            results,
            "The answer to a command; `event` is the command's name.",
        ),
        (
            "NotificationFrame",
            of(&server, "notification"),
            "Something that the client should know unasked.",
        ),
    ] {
        definitions.insert(name.to_owned(), union(&members, what));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Written from the types of the server by `agent-websocket spec --write`; do not edit.",
        "title": format!("Agent WebSocket: the frames of version {VERSION}"),
        "description": "What clients may send and what the server sends, as PROTOCOL.md describes it. Fields, events and types \
            that are not here are to be ignored by clients, and are refused by the server.",
        "anyOf": [{ "$ref": format!("{DEFINITIONS}ClientFrame") }, { "$ref": format!("{DEFINITIONS}ServerFrame") }],
        "$defs": definitions,
    })
}

/// A frame by its name.
struct Frame {
    name: String,
    kind: String,
}

/// Puts the frames of one side into the definitions, with what they refer to.
fn gather<T: JsonSchema>(
    mut generator: SchemaGenerator,
    name_of: fn(&Object) -> String,
    definitions: &mut Object,
) -> Vec<Frame> {
    let root = generator.subschema_for::<T>().to_value();
    let known = tidy_all(generator.take_definitions(true));
    let mut frames = Vec::new();
    let mut wanted = BTreeSet::new();
    for mut leaf in leaves(&root, &known) {
        args_may_be_absent(&mut leaf, &known);
        let name = name_of(&leaf);
        wanted.extend(references(&Value::Object(leaf.clone())));
        frames.push(Frame {
            name: name.clone(),
            kind: tag_of(&leaf, "type").unwrap_or_default().to_owned(),
        });
        definitions.insert(name, Value::Object(leaf));
    }
    adopt(wanted, &known, definitions);
    frames
}

/// Copies what is wanted, and what that refers to.
fn adopt(mut wanted: BTreeSet<String>, known: &Object, definitions: &mut Object) {
    while let Some(name) = wanted.pop_first() {
        if definitions.contains_key(&name) {
            continue;
        }
        if let Some(schema) = known.get(&name) {
            wanted.extend(references(schema));
            definitions.insert(name, schema.clone());
        }
    }
}

/// All definitions, tidied.
fn tidy_all(mut known: Object) -> Object {
    for schema in known.values_mut() {
        drop_sizes(schema);
        tidy(schema);
    }
    known
}

/// Takes out what only Rust knows: sizes of numbers.
pub(super) fn drop_sizes(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("default");
            if object.get("format").and_then(Value::as_str).is_some_and(is_size) {
                object.remove("format");
            }
            for (word, inner) in object.iter_mut() {
                match inner {
                    // Names of fields, which may be words of schemas, too.
                    Value::Object(fields) if word == "properties" => fields.values_mut().for_each(drop_sizes),
                    _ => drop_sizes(inner),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(drop_sizes),
        _ => {}
    }
}

/// Takes out a null where a field may simply be left out.
pub(super) fn tidy(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        if let Value::Array(list) = schema {
            list.iter_mut().for_each(tidy);
        }
        return;
    };
    let required = object.get("required").cloned().unwrap_or_default();
    let is_required = |field: &str| {
        required
            .as_array()
            .is_some_and(|names| names.iter().any(|name| name == field))
    };
    if let Some(Value::Object(fields)) = object.get_mut("properties") {
        let optional = fields.iter_mut().filter(|(field, _)| !is_required(field));
        optional.for_each(|(_, schema)| without_null(schema));
    }
    object.values_mut().for_each(tidy);
}

fn is_size(format: &str) -> bool {
    format.starts_with("uint") || format.starts_with("int") || format == "double"
}

fn without_null(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only.into_iter().filter(|(word, _)| word != "description"));
        }
    }
}

/// A command whose arguments may all be left out needs no `args`.
fn args_may_be_absent(leaf: &mut Object, known: &Object) {
    let needed = |args: &Value| {
        leaves(args, known).iter().any(|args| {
            args.get("required")
                .and_then(Value::as_array)
                .is_some_and(|names| !names.is_empty())
        })
    };
    let has_needed = leaf["properties"].get("args").is_some_and(needed);
    if let Some(Value::Array(names)) = leaf.get_mut("required") {
        names.retain(|name| name != "args" || has_needed);
    }
}

fn union(members: &[String], what: &str) -> Value {
    let members: Vec<Value> = members
        .iter()
        .map(|name| json!({ "$ref": format!("{DEFINITIONS}{name}") }))
        .collect();
    json!({ "description": what, "oneOf": members })
}

fn client_name(frame: &Object) -> String {
    match tag_of(frame, "type") {
        Some("query") => "QueryRequest".to_owned(),
        Some("human_feedback") => "FeedbackRequest".to_owned(),
        _ => pascal(tag_of(frame, "content").unwrap_or_default()) + "Command",
    }
}

fn server_name(frame: &Object) -> String {
    let kind = tag_of(frame, "type").unwrap_or_default();
    match tag_of(frame, "event") {
        Some(event) if kind == "status" && COMMANDS.iter().any(|(name, _)| *name == event) => {
            pascal(event) + "Result"
        }
        Some(event) => pascal(event) + "Frame",
        None => pascal(kind) + "Frame",
    }
}

fn pascal(name: &str) -> String {
    let mut capital = true;
    let mut text = String::new();
    for c in name.chars() {
        if c == '_' {
            capital = true;
        } else if capital {
            text.extend(c.to_uppercase());
            capital = false;
        } else {
            text.push(c);
        }
    }
    text
}
