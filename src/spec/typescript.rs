//! The frames as TypeScript: one interface or union for each definition of the schema, with its words as comments.
//!
//! Types only, so that the module costs a client nothing.

use serde_json::Value;

use super::flatten::{DEFINITIONS, Object};

/// The widest that a line may be before a union is written over several.
const WIDTH: usize = 100;

/// Fields that are read first.
const FIRST: [&str; 4] = ["type", "event", "content", "id"];

/// The module for a schema's definitions.
pub(super) fn module(schema: &Value) -> String {
    let mut text = String::from(
        "// Written from the types of the server by `agent-websocket spec --write`; do not edit.\n\
         //\n\
         // Switch on `type`, then on `event`. Types, events and fields that are not here are to be ignored: the server may grow.\n",
    );
    let definitions = schema["$defs"].as_object();
    let mut definitions: Vec<_> = definitions.into_iter().flatten().collect();
    definitions.sort_by_key(|(_, definition)| !is_union_of_frames(definition));
    for (name, definition) in definitions {
        text.push('\n');
        text.push_str(&declaration(name, definition));
    }
    text
}

/// What a reader looks for first.
fn is_union_of_frames(schema: &Value) -> bool {
    let members = schema["oneOf"].as_array();
    members.is_some_and(|members| members.iter().all(|member| member.get("$ref").is_some()))
}

fn declaration(name: &str, schema: &Value) -> String {
    let comment = comment(schema, "");
    if let Some(fields) = fields(schema) {
        return format!("{comment}export interface {name} {{\n{fields}}}\n");
    }
    let choices = schema["oneOf"]
        .as_array()
        .filter(|list| list.iter().any(has_words));
    if let Some(choices) = choices {
        let lines: Vec<String> = choices
            .iter()
            .map(|choice| format!("{}  | {}", self::comment(choice, "  "), expression(choice)))
            .collect();
        return format!("{comment}export type {name} =\n{};\n", lines.join("\n"));
    }
    let line = format!("export type {name} = {};", expression(schema));
    if line.len() <= WIDTH {
        return format!("{comment}{line}\n");
    }
    let members = expression(schema).replace(" | ", "\n  | ");
    format!("{comment}export type {name} =\n  | {members};\n")
}

fn has_words(schema: &Value) -> bool {
    schema.get("description").is_some()
}

/// The lines between the braces of an interface; `None` for what is none.
fn fields(schema: &Value) -> Option<String> {
    let known = schema.get("properties")?.as_object()?;
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let lines = ordered(known, &required).into_iter().map(|(name, schema)| {
        let mark = if required.contains(&name.as_str()) {
            ""
        } else {
            "?"
        };
        format!(
            "{}  {name}{mark}: {};\n",
            comment(schema, "  "),
            expression(schema)
        )
    });
    Some(lines.collect())
}

/// Tags first, then what is always there as the wire has it, then the rest.
fn ordered<'a>(known: &'a Object, required: &[&str]) -> Vec<(&'a String, &'a Value)> {
    let place = |name: &str| {
        let first = FIRST.iter().position(|known| *known == name);
        let then = required.iter().position(|known| *known == name);
        (first.unwrap_or(FIRST.len()), then.unwrap_or(required.len()))
    };
    let mut fields: Vec<_> = known.iter().collect();
    fields.sort_by_key(|(name, _)| place(name));
    fields
}

fn comment(schema: &Value, indent: &str) -> String {
    let words = schema.get("description").and_then(Value::as_str);
    words.map_or_else(String::new, |words| {
        let words = words.replace("*/", "*\u{200b}/");
        if words.contains('\n') {
            let lines = words
                .lines()
                .map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n");
            return format!("{indent}/**\n{}{indent} */\n", lines.collect::<String>());
        }
        format!("{indent}/** {words} */\n")
    })
}

/// A schema as a type within a line.
fn expression(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        return target.trim_start_matches(DEFINITIONS).to_owned();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    for word in ["oneOf", "anyOf", "enum"] {
        if let Some(choices) = schema[word].as_array() {
            let of = |choice: &Value| {
                if word == "enum" {
                    choice.to_string()
                } else {
                    expression(choice)
                }
            };
            return choices.iter().map(of).collect::<Vec<_>>().join(" | ");
        }
    }
    match &schema["type"] {
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            kinds
                .map(|kind| plain(kind, schema))
                .collect::<Vec<_>>()
                .join(" | ")
        }
        Value::String(kind) => plain(kind, schema),
        _ => "unknown".to_owned(),
    }
}

fn plain(kind: &str, schema: &Value) -> String {
    match kind {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => {
            let item = expression(&schema["items"]);
            if item.contains(' ') {
                format!("({item})[]")
            } else {
                format!("{item}[]")
            }
        }
        "object" if schema["additionalProperties"] == true => "Record<string, unknown>".to_owned(),
        "object" => "Record<string, never>".to_owned(),
        _ => "unknown".to_owned(),
    }
}
