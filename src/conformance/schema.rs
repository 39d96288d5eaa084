//! Whether a frame is as the published JSON Schema says.
//!
//! The schema is that of this program, not one that the server offers. A type or event that it does not know is no fault:
//! servers may have more.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::frame::Frame;
use crate::spec::frames;

/// Validators of the server's frames, by type and event.
pub(super) struct Schema {
    definitions: Value,
    /// The definition of each frame.
    names: HashMap<(String, String), String>,
    /// Those that were asked for: to make all takes a while.
    made: RefCell<HashMap<String, Rc<Validator>>>,
}

/// What the schema says of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Valid,
    Unknown,
    Invalid(String),
}

impl Schema {
    /// The published one.
    pub(super) fn published() -> Self {
        let mut document = frames::document();
        let definitions = document.get_mut("$defs").map(Value::take).unwrap_or_default();
        let mut names = HashMap::new();
        for (name, definition) in definitions.as_object().into_iter().flatten() {
            let constant = |field: &str| {
                let value = definition.pointer(&format!("/properties/{field}/const"))?;
                value.as_str().map(str::to_owned)
            };
            // Only what the server sends has a time in it that must be there.
            let required = definition.get("required").and_then(Value::as_array);
            let is_sent = required.is_some_and(|fields| fields.contains(&json!("timestamp")));
            if let Some(kind) = constant("type").filter(|_| is_sent) {
                names.insert((kind, constant("event").unwrap_or_default()), name.clone());
            }
        }
        Self {
            definitions,
            names,
            made: RefCell::default(),
        }
    }

    fn validator(&self, name: &str) -> Result<Rc<Validator>, String> {
        if let Some(made) = self.made.borrow().get(name) {
            return Ok(Rc::clone(made));
        }
        let schema = json!({ "$ref": format!("#/$defs/{name}"), "$defs": self.definitions });
        let made = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| format!("the schema of {name} is none: {error}"))?;
        let made = Rc::new(made);
        self.made.borrow_mut().insert(name.to_owned(), Rc::clone(&made));
        Ok(made)
    }

    /// Judges a frame.
    pub(super) fn judge(&self, frame: &Frame) -> Judgement {
        let by = (frame.kind().to_owned(), frame.event().to_owned());
        let Some(name) = self.names.get(&by) else {
            return Judgement::Unknown;
        };
        let validator = match self.validator(name) {
            Ok(validator) => validator,
            Err(fault) => return Judgement::Invalid(fault),
        };
        let faults: Vec<String> = validator
            .iter_errors(frame.value())
            .take(3)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        if faults.is_empty() {
            Judgement::Valid
        } else {
            Judgement::Invalid(faults.join("; "))
        }
    }
}
