//! Text and time as they cross the wire: where NUL is stopped, how offsets count, how a timestamp looks.
//!
//! Lone surrogates never get this far: `serde_json` refuses them. NUL passes `serde_json` but neither `text` nor
//! `jsonb` in Postgres can hold it, so every string of a client is a [`Text`] or goes through [`check_json`].

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

/// A client's text without U+0000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Text(String);

impl Text {
    /// Takes a text, or refuses it for a NUL.
    ///
    /// # Errors
    /// The sentence that tells the client what is wrong.
    pub fn new(text: String) -> Result<Self, &'static str> {
        if text.contains('\0') {
            Err("the character U+0000 cannot be stored")
        } else {
            Ok(Self(text))
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text itself, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The most bytes a client's own JSON object (metadata) may take when written.
pub const MAX_JSON_BYTES: usize = 4096;

/// The deepest that a client's own JSON object may nest: it and the objects and arrays in it, the plain values not counted.
pub const MAX_JSON_DEPTH: usize = 8;

/// Checks an object that will be stored as `jsonb`: size, depth, and no NUL in any string or key.
///
/// # Errors
/// The sentence that tells the client what is wrong.
pub fn check_json(object: &Map<String, Value>) -> Result<(), &'static str> {
    let written = serde_json::to_string(object).map_err(|_| "is not JSON")?;
    if written.len() > MAX_JSON_BYTES {
        return Err("is larger than 4096 bytes");
    }
    if depth(object) > MAX_JSON_DEPTH {
        return Err("nests deeper than 8 levels");
    }
    if holds_nul(&written) {
        return Err("the character U+0000 cannot be stored");
    }
    Ok(())
}

/// How deep an object nests: it and the objects and arrays in it, the plain values not counted.
pub(super) fn depth(object: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(of).max().unwrap_or(0),
            Value::Object(fields) => depth(fields),
            _ => 0,
        }
    }
    1 + object.values().map(of).max().unwrap_or(0)
}

/// Whether JSON as it is written here holds a NUL in a string or a key, which is written as this escape only; a backslash
/// before it would be an escaped backslash.
pub(super) fn holds_nul(written: &str) -> bool {
    written.replace("\\\\", "").contains("\\u0000")
}

/// What is wrong with a client's JSON, in one line for the client. Names of fields are repeated, values are not: a token in
/// the wrong place would come back in a frame that clients log as an error.
pub fn complaint(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let without = |begin: &str, end: &str, instead: &str| {
        let (head, rest) = text.split_once(begin)?;
        let (_, tail) = rest.rsplit_once(end)?;
        Some(format!("{head}{instead}{tail}"))
    };
    without("string \"", "\", expected", "string, expected")
        .or_else(|| without("unknown variant `", "`, expected", "unknown word, expected"))
        .unwrap_or(text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect()
}

/// How many UTF-16 code units a text has: JavaScript's `length`, the unit of `offset` and `length`.
pub fn utf16_len(text: &str) -> u64 {
    if text.is_ascii() {
        return text.len() as u64;
    }
    text.chars().map(|c| c.len_utf16() as u64).sum()
}

/// SHA-256 of the UTF-8 text in lower-case hex.
pub fn sha256_hex(text: &str) -> String {
    use fmt::Write;
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// A moment as every frame writes it: RFC 3339, UTC, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub OffsetDateTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0.to_offset(time::UtcOffset::UTC);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.millisecond()
        )
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A moment: RFC 3339. The server writes UTC with milliseconds.",
            "type": "string",
            "format": "date-time",
        })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}
