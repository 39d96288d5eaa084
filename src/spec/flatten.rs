//! Makes of nested unions one flat list of objects: a tag beside a reference to fields becomes an object with a tag.
//!
//! What is derived says "an object with `type: status` that also is one of these, which has `event: live` and also is
//! that". Readers and code generators want each frame whole.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// An object of a schema.
pub(super) type Object = Map<String, Value>;

/// The place of definitions in a JSON Schema.
pub(super) const DEFINITIONS: &str = "#/$defs/";

/// Every object that a schema allows, each with all its fields.
pub(super) fn leaves(schema: &Value, definitions: &Object) -> Vec<Object> {
    let Some(schema) = schema.as_object() else {
        return Vec::new();
    };
    let mut own = schema.clone();
    let mut choices: Vec<Vec<Object>> = Vec::new();
    if let Some(target) = own.remove("$ref").as_ref().and_then(Value::as_str)
        && let Some(target) = defined(target, definitions)
    {
        // Words beside a reference say what it means here; those of its target only what its fields are.
        let mut fields = leaves(target, definitions);
        if own.contains_key("description") && !is_union(target) {
            for leaf in &mut fields {
                leaf.remove("description");
            }
        }
        choices.push(fields);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(Value::Array(list)) = own.remove(word) {
            choices.push(list.iter().flat_map(|one| leaves(one, definitions)).collect());
        }
    }
    choices.into_iter().fold(vec![own], |so_far, choice| {
        so_far
            .iter()
            .flat_map(|outer| choice.iter().map(move |inner| merged(outer, inner)))
            .collect()
    })
}

fn is_union(schema: &Value) -> bool {
    schema.get("oneOf").is_some() || schema.get("anyOf").is_some()
}

/// What a reference names.
fn defined<'a>(reference: &str, definitions: &'a Object) -> Option<&'a Value> {
    definitions.get(reference.strip_prefix(DEFINITIONS)?)
}

/// An object with the fields of both, and the words of the inner one where it has some.
fn merged(outer: &Object, inner: &Object) -> Object {
    let mut both = outer.clone();
    for (word, value) in inner {
        match (word.as_str(), both.get_mut(word)) {
            ("properties", Some(Value::Object(fields))) => {
                for (field, schema) in value.as_object().into_iter().flatten() {
                    fields.insert(field.clone(), schema.clone());
                }
            }
            ("required", Some(Value::Array(names))) => {
                for name in value.as_array().into_iter().flatten() {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
            }
            _ => {
                both.insert(word.clone(), value.clone());
            }
        }
    }
    both
}

/// The value that a tag of an object must have.
pub(super) fn tag_of<'a>(object: &'a Object, field: &str) -> Option<&'a str> {
    object.get("properties")?.get(field)?.get("const")?.as_str()
}

/// The names that a schema refers to.
pub(super) fn references(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Object(object) => {
            let own = object.get("$ref").and_then(Value::as_str);
            let own = own
                .and_then(|target| target.strip_prefix(DEFINITIONS))
                .map(str::to_owned);
            own.into_iter()
                .chain(object.values().flat_map(references))
                .collect()
        }
        Value::Array(list) => list.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}
