//! What this client says: frames as text, each under an id of its own, so that it can be sent again after a cut.
//!
//! Pure. Refuses nothing: the server checks. `chat` and `check` make frames with it and hand them to a [`super::Client`].

use serde_json::{Value, json};
use uuid::Uuid;

use crate::ids::MessageId;

/// A frame that is to be sent, and again until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id, by which the answer is known.
    pub id: String,
    /// The frame.
    pub text: String,
}

fn name() -> String {
    Uuid::now_v7().to_string()
}

/// A question.
pub fn query(content: &str) -> Outgoing {
    let id = name();
    let text = json!({ "type": "query", "id": id, "content": content }).to_string();
    Outgoing { id, text }
}

/// A command with its arguments, an object.
pub fn command(command: &str, args: &Value) -> Outgoing {
    let id = name();
    let text = json!({ "type": "command", "id": id, "content": command, "args": args }).to_string();
    Outgoing { id, text }
}

/// An opinion about an answer: 1 or -1, with a comment that may be empty.
pub fn feedback(message_id: MessageId, rating: i8, comment: &str) -> Outgoing {
    let id = name();
    let mut frame = json!({ "type": "human_feedback", "id": id, "message_id": message_id, "rating": rating });
    if let (false, Some(frame)) = (comment.is_empty(), frame.as_object_mut()) {
        frame.insert("content".to_owned(), Value::from(comment));
    }
    Outgoing {
        id,
        text: frame.to_string(),
    }
}
