//! The rules against connections that are as they should be, and against each way not to be.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::frame::Frame;
use super::super::rules::{Notes, Rule};
use super::{Start, Witness};

fn welcome(head: i64) -> Value {
    json!({ "type": "notification", "event": "welcome", "head": head })
}

fn live(head: i64) -> Value {
    json!({ "type": "status", "event": "live", "head": head })
}

fn accepted(seq: i64) -> Value {
    json!({ "type": "status", "event": "accepted", "seq": seq, "message_id": format!("q{seq}"), "run_id": "r1" })
}

fn thinking() -> Value {
    json!({ "type": "status", "event": "thinking", "run_id": "r1", "in_reply_to": "q1", "message_id": "a1" })
}

fn delta(offset: i64, content: &str) -> Value {
    json!({ "type": "delta", "run_id": "r1", "message_id": "a1", "attempt": 1, "offset": offset, "content": content })
}

fn response(seq: i64, content: &str) -> Value {
    json!({
        "type": "response", "seq": seq, "run_id": "r1", "message_id": "a1", "state": "complete", "content": content,
        "length": content.encode_utf16().count(), "sha256": format!("{:x}", Sha256::digest(content)),
    })
}

fn query(seq: i64) -> Value {
    json!({ "type": "query", "seq": seq, "message_id": format!("q{seq}"), "content": "?" })
}

fn replay(mut frame: Value) -> Value {
    frame["replay"] = json!(true);
    frame
}

/// A turn in a new session.
fn a_turn() -> Vec<Value> {
    vec![
        welcome(0),
        live(0),
        accepted(1),
        thinking(),
        delta(0, "Grüße "),
        delta(6, "🦀!"),
        response(2, "Grüße 🦀!"),
    ]
}

fn broken_from(start: Start, frames: &[Value]) -> Vec<Rule> {
    let (mut witness, mut notes) = (Witness::new(start), Notes::default());
    for frame in frames {
        witness.saw(&Frame::read(&frame.to_string()).unwrap(), &mut notes);
    }
    Rule::ALL
        .into_iter()
        .filter(|rule| notes.breaches_of(*rule).is_some())
        .collect()
}

/// The rules that a new session's frames break.
fn broken(frames: &[Value]) -> Vec<Rule> {
    broken_from(Start::default(), frames)
}

/// A turn in which something else happens.
fn turn_with(change: impl FnOnce(&mut Vec<Value>)) -> Vec<Rule> {
    let mut frames = a_turn();
    change(&mut frames);
    broken(&frames)
}

#[test]
fn a_turn_and_a_resume_break_no_rule() {
    assert_eq!(broken(&a_turn()), []);
    let resumed = [
        welcome(3),
        replay(response(2, "Well")),
        replay(query(3)),
        replay(thinking()),
        replay(delta(0, "So far")),
        live(3),
        delta(6, ", so good"),
        response(4, "So far, so good"),
    ];
    assert_eq!(
        broken_from(Start { after: Some(1) }, &resumed),
        [Rule::Turn],
        "one run has two responses here"
    );
    let mut other_run = resumed.clone();
    other_run[1]["run_id"] = json!("r0");
    assert_eq!(broken_from(Start { after: Some(1) }, &other_run), []);
}

#[test]
fn what_is_harmless_is_no_breach() {
    assert_eq!(
        turn_with(|frames| frames.insert(5, frames[4].clone())),
        [],
        "a delta twice"
    );
    assert_eq!(
        turn_with(|frames| drop(frames.remove(5))),
        [],
        "the last delta is missing"
    );
    assert_eq!(
        turn_with(|frames| frames.push(json!({ "type": "status", "event": "surely_unknown" }))),
        [],
        "an event that is not known"
    );
    let late = json!({ "type": "notification", "event": "message", "replay": true });
    assert_eq!(
        turn_with(|frames| frames.push(late)),
        [],
        "a notification that did not fit before `live`"
    );
}

#[test]
fn frames_that_are_lost_doubled_or_swapped_break_the_rule_that_is_about_them() {
    let cases: [(&str, Vec<Rule>, &[Rule]); 9] = [
        (
            "no welcome",
            turn_with(|frames| drop(frames.remove(0))),
            &[Rule::Opening],
        ),
        (
            "two welcomes",
            turn_with(|frames| frames.insert(2, welcome(0))),
            &[Rule::Opening, Rule::CatchUp],
        ),
        (
            "accepted twice",
            turn_with(|frames| frames.insert(3, accepted(1))),
            &[Rule::Seq],
        ),
        (
            "accepted lost",
            turn_with(|frames| drop(frames.remove(2))),
            &[Rule::Seq, Rule::Turn],
        ),
        (
            "thinking lost",
            turn_with(|frames| drop(frames.remove(3))),
            &[Rule::Turn],
        ),
        (
            "a delta lost",
            turn_with(|frames| drop(frames.remove(4))),
            &[Rule::Offset],
        ),
        (
            "deltas swapped",
            turn_with(|frames| frames.swap(4, 5)),
            &[Rule::Offset],
        ),
        (
            "response early",
            turn_with(|frames| frames.swap(5, 6)),
            &[Rule::Turn],
        ),
        (
            "response twice",
            turn_with(|frames| frames.push(response(2, "Grüße 🦀!"))),
            &[Rule::Seq, Rule::Turn],
        ),
    ];
    for (what, broken, expected) in cases {
        for rule in expected {
            assert!(broken.contains(rule), "{what}: {broken:?}");
        }
    }
}

#[test]
fn text_that_is_not_what_it_says_breaks_the_rule_about_answers() {
    let changed = |field: &str, value: Value| turn_with(|frames| frames[6][field] = value);
    assert_eq!(
        changed("length", json!(11)),
        [Rule::Answer],
        "bytes instead of UTF-16"
    );
    assert_eq!(changed("sha256", json!("00")), [Rule::Answer]);
    assert_eq!(
        turn_with(|frames| frames[6] = response(2, "Other")),
        [Rule::Answer]
    );
    assert_eq!(
        turn_with(|frames| frames[5]["offset"] = json!(8)),
        [Rule::Offset],
        "bytes instead of UTF-16"
    );
    assert_eq!(
        turn_with(|frames| frames[5] = delta(3, "xx🦀!")),
        [Rule::Offset],
        "another text than before"
    );
}

#[test]
fn a_catch_up_out_of_its_order_is_seen() {
    let start = Start { after: Some(0) };
    let missing = [welcome(2), replay(query(1)), live(2)];
    assert_eq!(broken_from(start, &missing), [Rule::Head]);
    let gap = [welcome(2), replay(response(2, "x")), live(2)];
    assert_eq!(broken_from(start, &gap), [Rule::Seq]);
    let unmarked = [welcome(1), query(1), live(1)];
    assert_eq!(broken_from(start, &unmarked), [Rule::CatchUp]);
    let late = [welcome(1), replay(query(1)), live(1), replay(query(2))];
    assert_eq!(broken_from(start, &late), [Rule::CatchUp]);
    let swapped = [welcome(1), replay(thinking()), replay(query(1)), live(1)];
    assert!(broken_from(start, &swapped).contains(&Rule::CatchUp));
    let told = [
        json!({ "type": "notification", "event": "welcome", "head": 9, "gap": { "from": 1, "to": 7 } }),
        replay(query(8)),
        replay(response(9, "x")),
        live(9),
    ];
    assert_eq!(broken_from(start, &told), [], "a gap that is told is none");
}

#[test]
fn an_answer_that_nothing_asked_for_is_seen() {
    let (mut witness, mut notes) = (Witness::new(Start::default()), Notes::default());
    witness.sent(&json!({ "type": "command", "content": "ping", "id": "p" }));
    let answer = json!({ "type": "status", "event": "ping", "re": "p" });
    for frame in [welcome(0), live(0), answer.clone()] {
        witness.saw(&Frame::read(&frame.to_string()).unwrap(), &mut notes);
    }
    assert_eq!(notes.breaches_of(Rule::Replies), None);
    witness.saw(&Frame::read(&answer.to_string()).unwrap(), &mut notes);
    assert!(notes.breaches_of(Rule::Replies).is_some());
}
