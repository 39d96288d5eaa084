//! Watches one connection: holds each frame against the rules that are always in force.
//!
//! Pure: frames in, breaches out. [`super::line`] owns one for each connection. It asks no more than PROTOCOL.md promises,
//! and where that leaves room (a doubled delta is harmless) it is silent.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::frame::Frame;
use super::rules::{Notes, Rule};

/// From where a session was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// The cursor, if one was given.
    pub(super) after: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    CatchingUp,
    Live,
}

/// The parts of a catch-up, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Messages,
    Run,
    Notifications,
}

#[derive(Debug, Default)]
struct Run {
    attempt: i64,
    text: Vec<u16>,
    /// Something was missed or contradicted; that has been told.
    is_spoilt: bool,
    answered: bool,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Witness {
    start: Start,
    phase: Phase,
    part: Part,
    cursor: Option<i64>,
    /// The connection has seen the session from its first message.
    saw_all: bool,
    head: i64,
    queries: HashSet<String>,
    runs: HashMap<String, Run>,
    /// Answers that are owed, by the frame's id; and where the next session begins.
    owed: HashMap<String, u32>,
    next: Start,
}

impl Witness {
    pub(super) fn new(start: Start) -> Self {
        Self {
            start,
            phase: Phase::Opening,
            part: Part::Messages,
            cursor: None,
            saw_all: false,
            head: 0,
            queries: HashSet::new(),
            runs: HashMap::new(),
            owed: HashMap::new(),
            next: start,
        }
    }

    /// A frame was sent.
    pub(super) fn sent(&mut self, frame: &Value) {
        if let Some(id) = frame.get("id").and_then(Value::as_str) {
            *self.owed.entry(id.to_owned()).or_default() += 1;
        }
        let is_command = frame.get("type").is_some_and(|kind| kind == "command");
        let name = frame.get("content").and_then(Value::as_str);
        if is_command && matches!(name, Some("new" | "resume" | "auth")) {
            self.next = Start {
                after: frame.pointer("/args/after").and_then(Value::as_i64),
            };
        }
    }

    /// A frame came.
    pub(super) fn saw(&mut self, frame: &Frame, notes: &mut Notes) {
        self.reply(frame, notes);
        if frame.is("notification", "welcome") {
            notes.hold(Rule::Opening, self.phase == Phase::Opening, || {
                format!("a further `welcome` that nothing asked for: {frame}")
            });
            return self.begin(frame);
        }
        match self.phase {
            Phase::Opening => opening(frame, notes),
            Phase::CatchingUp => self.catching_up(frame, notes),
            Phase::Live => live(frame, notes),
        }
        if frame.kind() == "status" && matches!(frame.event(), "new" | "resume") {
            self.phase = Phase::Opening;
            return;
        }
        self.sequence(frame, notes);
        self.turn(frame, notes);
    }

    fn begin(&mut self, welcome: &Frame) {
        let head = welcome.int("head").unwrap_or_default();
        let after = self.next.after.filter(|after| *after <= head);
        let behind_gap = welcome.at("/gap/to").as_i64();
        let owed = std::mem::take(&mut self.owed);
        *self = Self {
            phase: Phase::CatchingUp,
            cursor: behind_gap.or(after).or((head == 0).then_some(0)),
            saw_all: head == 0 || (after == Some(0) && behind_gap.is_none()),
            head,
            owed,
            ..Self::new(self.start)
        };
    }

    fn catching_up(&mut self, frame: &Frame, notes: &mut Notes) {
        if frame.is("status", "live") {
            self.phase = Phase::Live;
            let head = frame.int("head").unwrap_or_default();
            let (cursor, promised) = (self.cursor.unwrap_or_default(), self.head);
            notes.hold(Rule::Head, cursor >= promised && cursor == head, || {
                format!("`welcome` promised all up to {promised}, and `live` says {head}, but the last `seq` was {cursor}")
            });
            return;
        }
        let part = match (frame.kind(), frame.event()) {
            ("status", "heartbeat" | "token_expiring" | "draining")
            | ("notification", "timeout" | "cleared")
            | ("error", _) => return,
            ("status", "thinking") | ("delta", _) => Part::Run,
            ("notification", _) if !frame.has("seq") => Part::Notifications,
            _ => Part::Messages,
        };
        notes.hold(Rule::CatchUp, frame.flag("replay"), || {
            format!("between `welcome` and `live`, but without `replay`: {frame}")
        });
        notes.hold(Rule::CatchUp, part >= self.part, || {
            format!("it should have come earlier in the catch-up: {frame}")
        });
        self.part = self.part.max(part);
    }

    fn sequence(&mut self, frame: &Frame, notes: &mut Notes) {
        let counts = matches!(frame.kind(), "query" | "response" | "notification")
            || (frame.is("status", "accepted") && !frame.flag("duplicate"));
        let Some(seq) = frame.int("seq").filter(|_| counts) else {
            return;
        };
        if let Some(cursor) = self.cursor {
            notes.hold(Rule::Seq, seq == cursor + 1, || {
                format!("after `seq` {cursor} came {seq}: {frame}")
            });
        }
        self.cursor = self.cursor.max(Some(seq));
    }

    fn turn(&mut self, frame: &Frame, notes: &mut Notes) {
        match (frame.kind(), frame.event()) {
            ("query", _) | ("status", "accepted") => {
                self.queries.extend(frame.text("message_id").map(str::to_owned));
            }
            ("status", "thinking") => self.thinking(frame, notes),
            ("delta", _) => self.delta(frame, notes),
            ("response", _) => self.response(frame, notes),
            ("error", _) => {
                let run = frame.text("run_id").and_then(|run| self.runs.get(run));
                if let Some(run) = run {
                    notes.hold(Rule::Turn, !run.answered, || {
                        format!("an `error` of a run after its `response`: {frame}")
                    });
                }
            }
            _ => {}
        }
    }

    fn thinking(&mut self, frame: &Frame, notes: &mut Notes) {
        let Some(run) = frame.text("run_id") else {
            return;
        };
        let query = frame.text("in_reply_to").unwrap_or_default();
        let is_known = !self.saw_all || self.queries.contains(query);
        notes.hold(Rule::Turn, is_known, || {
            format!("`thinking` about a query that was not shown before: {frame}")
        });
        let run = self.runs.entry(run.to_owned()).or_default();
        notes.hold(Rule::Turn, !run.answered, || {
            format!("`thinking` after the `response` of its run: {frame}")
        });
    }

    fn delta(&mut self, frame: &Frame, notes: &mut Notes) {
        let run = frame.text("run_id").and_then(|run| self.runs.get_mut(run));
        let Some(run) = run else {
            return notes.breach(Rule::Turn, format!("a delta before `thinking`: {frame}"));
        };
        notes.hold(Rule::Turn, !run.answered, || {
            format!("a delta after the `response`: {frame}")
        });
        let attempt = frame.int("attempt").unwrap_or_default();
        if attempt > run.attempt {
            *run = Run {
                attempt,
                ..Run::default()
            };
        }
        if run.is_spoilt {
            return;
        }
        let fault = run.place(frame);
        run.is_spoilt = fault.is_some();
        notes.hold(Rule::Offset, fault.is_none(), || {
            format!("{}: {frame}", fault.unwrap_or_default())
        });
    }

    fn response(&mut self, frame: &Frame, notes: &mut Notes) {
        let content = frame.text("content").unwrap_or_default();
        let (length, sha256) = (
            content.encode_utf16().count(),
            format!("{:x}", Sha256::digest(content)),
        );
        notes.hold(
            Rule::Answer,
            frame.int("length") == i64::try_from(length).ok(),
            || format!("its text has {length} UTF-16 code units: {frame}"),
        );
        notes.hold(Rule::Answer, frame.text("sha256") == Some(&sha256), || {
            format!("its text's SHA-256 is {sha256}: {frame}")
        });
        let Some(run) = frame.text("run_id") else {
            return;
        };
        let run = self.runs.entry(run.to_owned()).or_default();
        notes.hold(Rule::Turn, !run.answered, || {
            format!("a second `response` of one run: {frame}")
        });
        run.answered = true;
        if frame.text("state") == Some("complete") && !run.is_spoilt {
            let whole: Vec<u16> = content.encode_utf16().collect();
            notes.hold(Rule::Answer, whole.starts_with(&run.text), || {
                let shown = String::from_utf16_lossy(&run.text);
                format!("the deltas made another text ({shown:.200?}): {frame}")
            });
        }
    }

    /// Whether it is an answer that is owed.
    fn reply(&mut self, frame: &Frame, notes: &mut Notes) {
        let Some(id) = frame.text("re") else {
            return;
        };
        let owed = self.owed.get_mut(id).filter(|owed| **owed > 0);
        notes.hold(Rule::Replies, owed.is_some(), || {
            format!("an answer to a frame that was not sent, or was answered before: {frame}")
        });
        if let Some(owed) = owed {
            *owed -= 1;
        }
    }
}

/// Before `welcome`.
fn opening(frame: &Frame, notes: &mut Notes) {
    let may_come = frame.kind() == "error"
        || (frame.kind() == "status" && matches!(frame.event(), "auth" | "new" | "resume"));
    notes.hold(Rule::Opening, may_come, || {
        format!("before `welcome` came {frame}")
    });
}

/// After `live`.
fn live(frame: &Frame, notes: &mut Notes) {
    let may_be_late = frame.is("notification", "message");
    if frame.flag("replay") && !may_be_late {
        notes.breach(Rule::CatchUp, format!("a replay after `live`: {frame}"));
    }
    if frame.is("status", "live") {
        notes.breach(Rule::CatchUp, format!("a further `live`: {frame}"));
    }
}

impl Run {
    /// Places a delta's text, or says why it does not fit.
    fn place(&mut self, delta: &Frame) -> Option<String> {
        let attempt = delta.int("attempt").unwrap_or_default();
        if attempt < self.attempt {
            return Some(format!(
                "it is of attempt {attempt}, after one of {}",
                self.attempt
            ));
        }
        let offset = usize::try_from(delta.int("offset").unwrap_or_default()).unwrap_or(usize::MAX);
        if delta.flag("replay") && offset != 0 {
            return Some("a replayed delta holds all text so far, from 0".to_owned());
        }
        let held = self.text.len();
        let Some(behind) = self.text.get(offset..) else {
            return Some(format!("its offset is {offset}, but {held} came before"));
        };
        let piece: Vec<u16> = delta.text("content").unwrap_or_default().encode_utf16().collect();
        let shared = behind.len().min(piece.len());
        if behind.get(..shared) != piece.get(..shared) {
            return Some("it repeats text, and changes it".to_owned());
        }
        self.text.extend(piece.get(shared..).unwrap_or_default());
        None
    }
}

#[cfg(test)]
mod tests;
