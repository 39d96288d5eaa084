//! The HTTP interface as `OpenAPI` 3.1, from `operations` and the types in it.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Value, json};

use super::flatten::Object;
use super::frames::drop_sizes;
use super::operations::{Content, Need, Operation, operations};
use crate::protocol::body::ProblemDocument;
use crate::service::export::Format;

/// Where schemas of `OpenAPI` and `AsyncAPI` stand.
const COMPONENTS: &str = "#/components/schemas/";

/// What a header or body is told of in a sentence.
const PROBLEM: &str = "#/components/responses/Problem";

/// The document.
pub fn document() -> Value {
    let mut types = Types::default();
    let mut paths = Object::new();
    for operation in operations() {
        let written = types.operation(&operation);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = written;
    }
    let problem = types.answer(SchemaGenerator::subschema_for::<ProblemDocument<'static>>);
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Agent WebSocket",
            "summary": "Persistent sessions with an AI agent: what can be done without a socket.",
            "description": "Written from the types of the server by `agent-websocket spec --write`. PROTOCOL.md says what it means; \
                /asyncapi.json has the socket.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "Wherever this was read." }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "docs/tokens.md says who makes them." },
            },
            "responses": {
                "Problem": {
                    "description": "What went wrong.",
                    "headers": {
                        "Retry-After": {
                            "description": "When to come back, in seconds, where the server knows.",
                            "schema": { "type": "integer", "minimum": 1 },
                        },
                    },
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "schemas": types.into_schemas(),
        },
    })
}

/// The types that the operations name.
struct Types {
    reading: SchemaGenerator,
    writing: SchemaGenerator,
}

impl Default for Types {
    fn default() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
        };
        Self {
            reading: settings().into_generator(),
            writing: settings().for_serialize().into_generator(),
        }
    }
}

impl Types {
    fn answer(&mut self, of: super::operations::SchemaOf) -> Value {
        of(&mut self.writing).to_value()
    }

    fn operation(&mut self, operation: &Operation) -> Value {
        let mut written = Object::new();
        written.insert("operationId".into(), operation.id.into());
        written.insert("summary".into(), operation.summary.into());
        written.insert("parameters".into(), parameters(operation).into());
        written.insert("responses".into(), self.responses(operation).into());
        if !operation.has_token {
            written.insert("security".into(), json!([]));
        }
        if let Some((of, need)) = operation.body {
            let schema = of(&mut self.reading).to_value();
            let body = json!({
                "required": need == Need::Required,
                "content": { "application/json": { "schema": schema } },
            });
            written.insert("requestBody".into(), body);
        }
        written.into()
    }
    fn responses(&mut self, operation: &Operation) -> Object {
        let mut responses = Object::new();
        for (status, content) in &operation.answers {
            let content = match content {
                Content::Json(of) => Some(json!({ "application/json": { "schema": self.answer(*of) } })),
                Content::File => Some(Format::ALL.map(file).into_iter().collect::<Object>().into()),
                Content::Document => Some(json!({ "application/json": { "schema": { "type": "object" } } })),
                Content::Nothing => None,
            };
            let response = match content {
                None => json!({ "description": words(*status) }),
                Some(content) => json!({ "description": words(*status), "content": content }),
            };
            responses.insert(status.to_string(), response);
        }
        for status in &operation.problems {
            responses
                .entry(status.to_string())
                .or_insert_with(|| json!({ "$ref": PROBLEM }));
        }
        responses.sort_keys();
        responses
    }

    fn into_schemas(mut self) -> Object {
        let mut schemas = self.writing.take_definitions(true);
        for (name, schema) in self.reading.take_definitions(true) {
            schemas.entry(name).or_insert(schema);
        }
        schemas.values_mut().for_each(drop_sizes);
        schemas
    }
}

/// What stands in the path, the headers and the query.
fn parameters(operation: &Operation) -> Vec<Value> {
    let mut all = Vec::new();
    if operation.path.contains("{id}") {
        let schema = json!({ "type": "string", "format": "uuid" });
        all.push(json!({ "name": "id", "in": "path", "required": true, "description": "Which session.", "schema": schema }));
    }
    if let Some(pattern) = operation.idempotency_key {
        let schema = json!({ "type": "string", "pattern": pattern });
        let what = "Sent again with the same key it is done once. The same as the body's own field for this.";
        all.push(json!({ "name": "Idempotency-Key", "in": "header", "description": what, "schema": schema }));
    }
    if operation.starts_run {
        // No pattern: what is not well formed is not refused.
        let schema = json!({ "type": "string" });
        let what = "W3C Trace Context: the trace that the run belongs to. One that is not well formed counts as none.";
        all.push(json!({ "name": "traceparent", "in": "header", "description": what, "schema": schema }));
    }
    if let Some(of) = operation.query {
        // A generator of its own: the fields are wanted, not a name for all of them.
        let mut generator = SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true)
            .into_generator();
        let fields = of(&mut generator).to_value();
        let required = fields.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|names| names.contains(&json!(name)));
        let properties = fields.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            all.push(in_query(name, schema, is_required(name)));
        }
    }
    all
}

/// A format of a file, without the charset: that is no part of what it is.
fn file(format: Format) -> (String, Value) {
    let kind = format.content_type().split(';').next().unwrap_or_default();
    (kind.to_owned(), json!({ "schema": { "type": "string" } }))
}

/// A field of the query. A null cannot be said there.
fn in_query(name: &str, schema: &Value, required: bool) -> Value {
    let mut schema = schema.clone();
    drop_sizes(&mut schema);
    let described = schema
        .as_object_mut()
        .and_then(|object| object.remove("description"));
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            schema
                .as_object_mut()
                .map(|object| object.insert("type".into(), only));
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [only] = choices.as_slice() {
            schema = only.clone();
        }
    }
    json!({ "name": name, "in": "query", "required": required, "description": described, "schema": schema })
}

fn words(status: u16) -> &'static str {
    match status {
        101 => "A WebSocket from here on.",
        201 => "It was made.",
        202 => "It is durable, and will be done.",
        204 => "Done; there is nothing to tell.",
        503 => "It cannot serve now.",
        _ => "Done.",
    }
}

/// A schema of frames as other documents have it: with references to where they keep schemas.
pub(super) fn elsewhere(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get_mut("$ref") {
                *target = target.replace(super::flatten::DEFINITIONS, COMPONENTS);
            }
            object.values_mut().for_each(elsewhere);
        }
        Value::Array(list) => list.iter_mut().for_each(elsewhere),
        _ => {}
    }
}
