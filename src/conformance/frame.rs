//! A frame of the server as it came: JSON, asked for by the names of its fields.
//!
//! No types of the server's own: what is judged here must not be read with what is to be judged. Pure.

use std::fmt;

use serde_json::Value;

/// How much of a frame a message shows, in characters.
const SHOWN: usize = 300;

/// A JSON object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame(Value);

impl Frame {
    /// Reads a text frame; says why it is none.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => Ok(Self(value)),
            Ok(_) => Err(format!("is no JSON object: {}", shortened(text))),
            Err(error) => Err(format!("is no JSON ({error}): {}", shortened(text))),
        }
    }

    pub(super) fn value(&self) -> &Value {
        &self.0
    }

    pub(super) fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// Of `status` and `notification`; else empty.
    pub(super) fn event(&self) -> &str {
        self.text("event").unwrap_or_default()
    }

    pub(super) fn is(&self, kind: &str, event: &str) -> bool {
        self.kind() == kind && self.event() == event
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    pub(super) fn int(&self, field: &str) -> Option<i64> {
        self.0.get(field)?.as_i64()
    }

    /// Whether the field is there and true.
    pub(super) fn flag(&self, field: &str) -> bool {
        self.0.get(field).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some()
    }

    /// What a JSON pointer points to.
    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(&self.0.to_string()))
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
