//! The published schemas as judges: whether a frame is one of those that they describe, and holds nothing else.

use std::sync::LazyLock;

use agent_websocket::spec::frames;
use jsonschema::Validator;
use serde_json::{Value, json};

static CLIENT: LazyLock<Validator> = LazyLock::new(|| judge("ClientFrame"));
static SERVER: LazyLock<Validator> = LazyLock::new(|| judge("ServerFrame"));

/// A validator that is stricter than what is published: there clients are told to ignore what they do not know, here
/// nothing may be sent that is not described.
fn judge(name: &str) -> Validator {
    let mut schema = frames::document();
    let root = schema.as_object_mut().expect("an object");
    root.remove("anyOf");
    root.insert("$ref".to_owned(), json!(format!("#/$defs/{name}")));
    close(&mut schema);
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a schema")
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object)
                && object.get("type") == Some(&json!("object"))
            {
                object.entry("additionalProperties").or_insert(json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

/// Fails when the schema of what clients send does not describe a frame.
pub(crate) fn is_client_frame(frame: &Value) {
    check(&CLIENT, frame);
}

/// Fails when the schema of what the server sends does not describe a frame, to its last field.
pub(crate) fn is_server_frame(frame: &Value) {
    check(&SERVER, frame);
}

fn check(judge: &Validator, frame: &Value) {
    if let Err(error) = judge.validate(frame) {
        panic!("not as the schema says: {error}\n{frame:#}");
    }
}
