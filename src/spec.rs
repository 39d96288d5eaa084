//! The contract for programs: JSON Schemas of the frames, their TypeScript types, `OpenAPI` and `AsyncAPI`, written from
//! the types that the server parses and sends.
//!
//! The files are committed, and a test says when they are stale. Nothing that serves calls this; `app` does, for
//! `agent-websocket spec`, and `http` serves what is committed.

mod asyncapi;
mod flatten;
pub mod frames;
pub mod openapi;
pub mod operations;
mod typescript;

use serde_json::Value;

/// A file of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What `agent-websocket spec` calls it.
    pub name: &'static str,
    /// Where it is kept in the repository.
    pub path: &'static str,
    /// What it holds.
    pub text: String,
}

/// All that is written from the types.
pub fn documents() -> Vec<Document> {
    let frames = frames::document();
    vec![
        Document {
            name: "asyncapi",
            path: "spec/asyncapi.json",
            text: pretty(&asyncapi::document()),
        },
        Document {
            name: "openapi",
            path: "spec/openapi.json",
            text: pretty(&openapi::document()),
        },
        Document {
            name: "typescript",
            path: "clients/typescript/src/generated/frames.ts",
            text: typescript::module(&frames),
        },
        Document {
            name: "schema",
            path: "spec/frames.schema.json",
            text: pretty(&frames),
        },
    ]
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
