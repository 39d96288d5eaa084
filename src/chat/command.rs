//! What a typed line means: a question, or a command that begins with `/`.
//!
//! Pure. Refuses a command that does not exist or lacks what it needs, with the words for the person. [`super::talk`] asks.

use serde_json::{Value, json};

use crate::client::says::{self, Outgoing};
use crate::ids::{MessageId, SessionId};

/// The commands: how they are typed, and what they do.
pub(super) const COMMANDS: [(&str, &str); 17] = [
    ("/help", "these commands"),
    (
        "/quit",
        "leave (or Ctrl-D); an answer that is being written goes on",
    ),
    ("/new", "a new session"),
    ("/sessions", "your sessions, numbered"),
    ("/resume N", "another session: its number, its id, or latest"),
    ("/delete N", "delete a session: its number or its id"),
    ("/history [SEQ]", "earlier messages, before this place"),
    ("/search WORDS", "search all your sessions"),
    ("/rename TITLE", "give this session a title"),
    (
        "/clear",
        "a fresh context: the model forgets what was before, the history does not",
    ),
    ("/model [NAME]", "another model for this session, or the default"),
    ("/regenerate", "another answer to the last question"),
    ("/cancel", "stop the answer (or Ctrl-C while it is written)"),
    ("/queue", "what waits for its turn"),
    ("/good [COMMENT]", "the last answer was good; /bad likewise"),
    ("/inbox", "notifications that nobody has acknowledged"),
    ("/ack", "acknowledge all notifications, on all your devices"),
];

/// How many items a list has.
const PAGE: u32 = 20;

/// What a line means.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    /// Nothing: an empty line.
    Nothing,
    /// A question.
    Query(Outgoing),
    /// A frame that is answered once.
    Command(Outgoing),
    /// A frame after whose answer the connection shows another session.
    Switch(Outgoing),
    /// A frame after whose answer another answer is written.
    Again(Outgoing),
    /// The list of commands.
    Help,
    /// The end.
    Quit,
    /// Something that cannot be done, and why.
    Mistake(String),
}

/// What numbers and "the last answer" refer to.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// As last listed.
    pub(super) sessions: Vec<SessionId>,
    /// The newest answer that was shown.
    pub(super) last_answer: Option<MessageId>,
}

/// Reads a line.
pub(super) fn read(line: &str, known: &Known) -> Meaning {
    let line = line.trim();
    if line.is_empty() {
        return Meaning::Nothing;
    }
    let Some(command) = line.strip_prefix('/') else {
        return Meaning::Query(says::query(line));
    };
    // The way to ask something that begins with a slash.
    if command.starts_with('/') {
        return Meaning::Query(says::query(command));
    }
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    let plain = |args: Value| Meaning::Command(says::command(name, &args));
    match (name, rest) {
        ("help", _) => Meaning::Help,
        ("quit" | "exit", _) => Meaning::Quit,
        ("new", _) => Meaning::Switch(says::command("new", &json!({}))),
        ("resume" | "delete", "") => {
            Meaning::Mistake(format!("/{name} which? /sessions lists them with their numbers"))
        }
        ("resume", "latest") => Meaning::Switch(says::command("resume", &json!({ "session_id": "latest" }))),
        ("resume", which) => on_session(which, known, "resume", Meaning::Switch),
        ("delete", which) => on_session(which, known, "delete", Meaning::Command),
        ("sessions", _) | ("history", "") => plain(json!({ "limit": PAGE })),
        ("history", before) => match before.trim_start_matches('#').parse::<i64>() {
            Ok(before) if before > 0 => plain(json!({ "limit": PAGE, "before": before })),
            _ => Meaning::Mistake("/history takes the number of a message".to_owned()),
        },
        ("search" | "rename", "") => Meaning::Mistake(format!("/{name} needs some words")),
        ("search", words) => plain(json!({ "limit": PAGE, "q": words })),
        ("rename", title) => plain(json!({ "title": title })),
        ("model", "") => plain(json!({ "model": null })),
        ("model", model) => plain(json!({ "model": model })),
        ("ack", _) => plain(json!({ "all": true })),
        ("regenerate", _) => Meaning::Again(says::command("regenerate", &json!({}))),
        ("clear" | "cancel" | "queue" | "inbox" | "ping", _) => plain(json!({})),
        ("good", comment) => opinion(known, 1, comment),
        ("bad", comment) => opinion(known, -1, comment),
        _ => Meaning::Mistake(format!(
            "there is no /{name}; /help lists what there is, //{name} asks the model"
        )),
    }
}

fn on_session(which: &str, known: &Known, command: &str, meaning: fn(Outgoing) -> Meaning) -> Meaning {
    let listed = which
        .parse::<usize>()
        .ok()
        .and_then(|number| known.sessions.get(number.checked_sub(1)?).copied());
    match listed.or_else(|| Some(SessionId(which.parse().ok()?))) {
        Some(session) => meaning(says::command(command, &json!({ "session_id": session }))),
        None => Meaning::Mistake(format!(
            "{which} is neither a session's id nor its number in /sessions"
        )),
    }
}

fn opinion(known: &Known, rating: i8, comment: &str) -> Meaning {
    match known.last_answer {
        Some(message) => Meaning::Command(says::feedback(message, rating, comment)),
        None => Meaning::Mistake("there is no answer yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{COMMANDS, Known, Meaning, read};
    use crate::ids::{MessageId, SessionId};

    fn known() -> Known {
        Known {
            sessions: vec![SessionId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2))],
            last_answer: Some(MessageId(Uuid::from_u128(3))),
        }
    }

    fn frame(line: &str) -> Value {
        let (Meaning::Query(frame)
        | Meaning::Command(frame)
        | Meaning::Switch(frame)
        | Meaning::Again(frame)) = read(line, &known())
        else {
            panic!("{line} sends nothing")
        };
        let mut value: Value = serde_json::from_str(&frame.text).unwrap();
        assert_eq!(
            value.as_object_mut().unwrap().remove("id"),
            Some(Value::from(frame.id))
        );
        value
    }

    #[test]
    fn a_line_is_a_question_unless_it_begins_with_one_slash() {
        assert_eq!(frame(" What? "), json!({ "type": "query", "content": "What?" }));
        assert_eq!(
            frame("//etc/passwd?"),
            json!({ "type": "query", "content": "/etc/passwd?" })
        );
        assert_eq!(read("  ", &known()), Meaning::Nothing);
    }

    #[test]
    fn sessions_are_named_by_their_number_or_their_id() {
        let second = Uuid::from_u128(2);
        for line in ["/resume 2".to_owned(), format!("/resume {second}")] {
            assert_eq!(
                frame(&line),
                json!({ "type": "command", "content": "resume", "args": { "session_id": second } })
            );
        }
        for line in ["/resume", "/resume 3", "/resume 0", "/delete x"] {
            assert!(matches!(read(line, &known()), Meaning::Mistake(_)), "{line}");
        }
    }

    #[test]
    fn an_opinion_is_about_the_last_answer() {
        assert_eq!(
            frame("/bad too long"),
            json!({ "type": "human_feedback", "message_id": Uuid::from_u128(3), "rating": -1, "content": "too long" })
        );
        assert!(matches!(read("/good", &Known::default()), Meaning::Mistake(_)));
    }

    #[test]
    fn every_command_that_help_lists_is_one_that_the_server_takes() {
        for (usage, _) in COMMANDS {
            let name = usage.split(' ').next().unwrap();
            let line = match name {
                "/resume" | "/delete" => format!("{name} 1"),
                "/search" | "/rename" => format!("{name} words"),
                _ => name.to_owned(),
            };
            match read(&line, &known()) {
                Meaning::Help | Meaning::Quit => {}
                _ => {
                    crate::protocol::client::parse(&{
                        let mut value = frame(&line);
                        value["id"] = json!("x");
                        value.to_string()
                    })
                    .unwrap_or_else(|refused| panic!("{line}: {refused:?}"));
                }
            }
        }
        assert!(matches!(read("/dance", &known()), Meaning::Mistake(_)));
    }
}
