//! What is said on a socket as `AsyncAPI` 3.0: one channel, each frame a message, from the schema of the frames.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::frames;
use super::openapi::elsewhere;
use crate::protocol::close::CloseReason;
use crate::protocol::{BEARER_PREFIX, SUBPROTOCOL};
use crate::ws::Parameters;

/// The document.
pub(super) fn document() -> Value {
    let mut frames = frames::document();
    let mut schemas = frames.get_mut("$defs").map(Value::take).unwrap_or_default();
    elsewhere(&mut schemas);
    let sent = members(&schemas, "ClientFrame");
    let received = members(&schemas, "ServerFrame");
    let of_both = || sent.iter().chain(&received);
    let messages: Map<_, _> = of_both()
        .map(|name| (name.clone(), message(&schemas, name)))
        .collect();
    let on_channel: Map<_, _> = of_both()
        .map(|name| (name.clone(), reference(&format!("components/messages/{name}"))))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Agent WebSocket",
            "version": env!("CARGO_PKG_VERSION"),
            "description": description(),
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "dev": {
                "host": "127.0.0.1:8080",
                "protocol": "ws",
                "description": "What `agent-websocket dev` starts.",
                "security": [reference("components/securitySchemes/token"), reference("components/securitySchemes/ticket")],
            },
        },
        "channels": {
            "socket": {
                "address": "/v1/ws",
                "title": "A session",
                "description": "Also at /functions/v1/agent_websocket. One JSON object a text frame.",
                "servers": [reference("servers/dev")],
                "messages": on_channel,
                "bindings": { "ws": { "method": "GET", "query": query(), "headers": headers(), "bindingVersion": "0.1.0" } },
            },
        },
        "operations": {
            "send": operation("send", "What a client says", &sent),
            "receive": operation("receive", "What the server says", &received),
        },
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": token() },
                "ticket": { "type": "httpApiKey", "name": "ticket", "in": "query", "description": "From POST /v1/tickets: good once." },
            },
            "messages": messages,
            "schemas": schemas,
        },
    })
}

fn reference(to: &str) -> Value {
    json!({ "$ref": format!("#/{to}") })
}

/// A frame as a message.
fn message(schemas: &Value, name: &str) -> Value {
    let summary = schemas.get(name).and_then(|schema| schema.get("description"));
    let payload = reference(&format!("components/schemas/{name}"));
    json!({ "name": name, "title": name, "summary": summary, "contentType": "application/json", "payload": payload })
}

/// What one side does with these messages.
fn operation(action: &str, title: &str, messages: &[String]) -> Value {
    let messages: Vec<_> = messages
        .iter()
        .map(|name| reference(&format!("channels/socket/messages/{name}")))
        .collect();
    json!({ "action": action, "title": title, "channel": reference("channels/socket"), "messages": messages })
}

/// The frames of a union, those of unions in it instead of these.
fn members(schemas: &Value, name: &str) -> Vec<String> {
    let union = |name: &str| {
        schemas
            .get(name)
            .and_then(|schema| schema.get("oneOf"))
            .and_then(Value::as_array)
    };
    let list = union(name).into_iter().flatten();
    list.filter_map(|member| member.get("$ref").and_then(Value::as_str))
        .filter_map(|target| target.rsplit('/').next())
        .flat_map(|target| {
            if union(target).is_some() {
                members(schemas, target)
            } else {
                vec![target.to_owned()]
            }
        })
        .collect()
}

/// The URL's parameters.
fn query() -> Value {
    let mut schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<Parameters>()
        .to_value();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    frames::tidy(&mut schema);
    schema
}

/// The headers of the upgrade, but for those of the handshake and the token's.
fn headers() -> Value {
    let what = "W3C Trace Context: the trace that the connection's runs belong to. One that is not well formed counts as none.";
    json!({ "type": "object", "properties": { "traceparent": { "type": "string", "description": what } } })
}

fn description() -> String {
    let closes: Vec<String> = CloseReason::ALL
        .iter()
        .filter(|reason| !reason.reason().is_empty())
        .map(|reason| format!("- {}: {}", reason.code(), reason.reason()))
        .collect();
    let closes = closes.join("\n");
    format!(
        "What is said on a socket, from the point of view of a client. Written from the types of the server by \
         `agent-websocket spec --write`; PROTOCOL.md says what it means, and in which order things come.\n\n\
         The server closes with these codes:\n\n{closes}\n"
    )
}

fn token() -> String {
    format!(
        "In the header Authorization, in the sub-protocols `{SUBPROTOCOL}, {BEARER_PREFIX}<token>`, or in the command `auth` as the first frame."
    )
}
