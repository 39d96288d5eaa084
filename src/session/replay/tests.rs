//! The merge of stored and live: single cases here, random plans in `properties`, every plan within small bounds in
//! `exhaustive`. All three judge by the same reference client.

mod client;
mod exhaustive;
mod properties;

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Answer, Cursor, MAX_DELTA_BYTES, Part, Step, Tail};
use crate::ids::{MessageId, RunId, Seq, SessionId};
use crate::log::{AnswerState, Message, Role};
use crate::protocol::text::Timestamp;
use client::Client;

const MOMENT: Timestamp = Timestamp(OffsetDateTime::UNIX_EPOCH);

/// The id of the message at a place.
fn message_id(seq: i64) -> MessageId {
    MessageId(Uuid::from_u128(seq.unsigned_abs().into()))
}

/// The run that answers the question at a place.
fn run_id(query_seq: i64) -> RunId {
    RunId(Uuid::from_u128((1000 + query_seq.unsigned_abs()).into()))
}

fn message(seq: i64, role: Role, run_id: Option<RunId>, content: &str) -> Message {
    Message {
        session_id: SessionId(Uuid::nil()),
        seq: Seq(seq),
        message_id: message_id(seq),
        client_id: None,
        role,
        content: content.into(),
        state: AnswerState::Complete,
        in_reply_to: None,
        run_id,
        notification_id: None,
        model: None,
        finish_reason: None,
        error: None,
        usage: None,
        metadata: None,
        created_at: MOMENT,
    }
}

fn query(seq: i64) -> Message {
    message(seq, Role::User, Some(run_id(seq)), &format!("question {seq}"))
}

/// The answer at `seq` to the question at `query_seq`.
fn reply(seq: i64, query_seq: i64, content: &str) -> Message {
    Message {
        in_reply_to: Some(message_id(query_seq)),
        ..message(seq, Role::Assistant, Some(run_id(query_seq)), content)
    }
}

/// The answer that will stand at `seq`, being written.
fn writing(seq: i64, query_seq: i64, attempt: u32, text: &str) -> Answer {
    Answer {
        run_id: run_id(query_seq),
        attempt,
        in_reply_to: message_id(query_seq),
        query_seq: Seq(query_seq),
        message_id: message_id(seq),
        started_at: MOMENT,
        text: text.to_owned(),
    }
}

fn tail_of(messages: &[Message]) -> Tail {
    let mut tail = Tail::default();
    for message in messages {
        tail.offer(Arc::new(message.clone()));
    }
    tail
}

/// Lets a client take all steps that there are.
fn drain(tail: &Tail, cursor: &mut Cursor, client: &mut Client, store: &[Message]) {
    while client.take_step(tail, cursor, store) {}
}

#[test]
fn a_tail_takes_messages_in_any_order_and_each_once() {
    let mut tail = Tail::at(Seq(3));
    for seq in [6, 5, 6, 2, 3] {
        tail.offer(Arc::new(query(seq)));
    }
    assert_eq!((tail.head(), tail.has_gap()), (Seq(3), true));

    tail.offer(Arc::new(query(4)));
    assert_eq!(
        (tail.base(), tail.head(), tail.has_gap()),
        (Seq(3), Seq(6), false)
    );
}

#[test]
fn an_answer_being_written_ends_when_its_message_takes_its_place_and_not_before() {
    let mut tail = tail_of(&[query(1), query(2)]);
    tail.answer = Some(writing(5, 1, 1, "a"));
    tail.offer(Arc::new(reply(4, 2, "of another run")));
    tail.offer(Arc::new(reply(5, 1, "a")));
    assert!(tail.answer.is_some(), "a message before it is missing");

    tail.offer(Arc::new(query(3)));
    assert_eq!((tail.answer.as_ref(), tail.head()), (None, Seq(5)));
}

#[test]
fn a_restart_keeps_what_came_early_and_the_answer_unless_its_message_is_among_it() {
    let early = |head| {
        let mut tail = Tail::at(Seq(1));
        tail.offer(Arc::new(query(4)));
        tail.offer(Arc::new(reply(5, 2, "a")));
        tail.answer = Some(writing(5, 2, 1, "a"));
        tail.restart_at(Seq(head))
    };
    let behind = early(2);
    assert_eq!(
        (behind.head(), behind.has_gap(), behind.answer.is_some()),
        (Seq(2), true, true)
    );
    for head in [3, 4, 5, 6] {
        let tail = early(head);
        assert_eq!((tail.head(), tail.has_gap()), (Seq(head.max(5)), false));
        assert_eq!(tail.answer, None, "restarted at {head}");
    }
}

#[test]
fn a_tail_gives_the_newest_or_says_that_it_does_not_hold_them() {
    let seqs = |found: Option<Vec<Arc<Message>>>| {
        found.map(|messages| messages.iter().map(|message| message.seq.0).collect::<Vec<_>>())
    };
    let tail = tail_of(&[query(1), query(2), query(3)]);
    assert_eq!(seqs(tail.newest(2, Seq(1))), Some(vec![2, 3]));
    assert_eq!(seqs(tail.newest(9, Seq(1))), Some(vec![1, 2, 3]), "all there are");

    let mut tail = Tail::at(Seq(3));
    assert_eq!(seqs(tail.newest(1, Seq(1))), None);
    assert_eq!(
        seqs(tail.newest(1, Seq(4))),
        Some(vec![]),
        "the log begins after them"
    );
    tail.offer(Arc::new(query(4)));
    assert_eq!(seqs(tail.newest(1, Seq(1))), Some(vec![4]));
    assert_eq!(seqs(tail.newest(2, Seq(1))), None);
}

#[test]
fn a_tail_takes_older_messages_as_far_as_they_join_its_own() {
    let mut tail = Tail::at(Seq(4));
    tail.offer(Arc::new(query(5)));
    let older: Vec<_> = [1, 3, 4, 5, 6].map(query).map(Arc::new).into();
    tail.remember(&older);
    assert_eq!((tail.base(), tail.head()), (Seq(2), Seq(5)));
    tail.trim(3, usize::MAX);
    assert_eq!(
        (tail.base(), tail.bytes),
        (Seq(2), older[1..4].iter().map(|m| m.size_bytes()).sum())
    );
}

#[test]
fn a_trimmed_tail_holds_the_newest_within_both_bounds() {
    let full = || tail_of(&(1..=5).map(query).collect::<Vec<_>>());
    let size = query(1).size_bytes();
    for (max_messages, max_bytes, base) in [
        (5, usize::MAX, 0),
        (2, usize::MAX, 3),
        (5, 3 * size, 2),
        (5, 3 * size - 1, 3),
        (0, usize::MAX, 5),
        (5, 0, 5),
    ] {
        let mut tail = full();
        tail.trim(max_messages, max_bytes);
        assert_eq!(
            (tail.base(), tail.head()),
            (Seq(base), Seq(5)),
            "{max_messages} {max_bytes}"
        );
    }
}

#[test]
fn what_memory_does_not_hold_is_read_from_the_store_and_the_rest_is_not() {
    let mut tail = tail_of(&[query(1), query(2), query(3)]);
    tail.trim(1, usize::MAX);
    let mut cursor = Cursor::new(Seq(0), Seq(3));
    assert_eq!(
        cursor.next(&tail),
        Step::Read {
            after: Seq(0),
            upto: Seq(2)
        }
    );
    cursor.entry(&query(1));
    cursor.entry(&query(2));
    assert_eq!(cursor.next(&tail), Step::Message(Arc::new(query(3))));
}

#[test]
fn a_catch_up_reads_no_further_than_was_promised() {
    let mut tail = tail_of(&[query(1), query(2), query(3)]);
    let mut cursor = Cursor::new(Seq(0), Seq(2));
    tail.trim(0, 0);
    assert_eq!(
        cursor.next(&tail),
        Step::Read {
            after: Seq(0),
            upto: Seq(2)
        }
    );
}

#[test]
fn a_run_is_announced_only_to_those_who_know_its_question() {
    let mut tail = tail_of(&[query(1)]);
    let mut cursor = Cursor::new(Seq(1), Seq(1));
    tail.answer = Some(writing(3, 2, 1, "a"));
    assert_eq!(cursor.next(&tail), Step::CaughtUp, "its question is not here yet");
    cursor.set_live();
    assert_eq!(cursor.next(&tail), Step::Idle);

    tail.offer(Arc::new(query(2)));
    assert_eq!(cursor.next(&tail), Step::Message(Arc::new(query(2))));
    cursor.entry(&query(2));
    assert!(matches!(cursor.next(&tail), Step::Thinking { .. }));
}

#[test]
fn a_catch_up_sends_the_text_so_far_in_one_part_however_long() {
    let text = "é".repeat(MAX_DELTA_BYTES);
    let mut tail = tail_of(&[query(1)]);
    tail.answer = Some(writing(2, 1, 1, &text));
    let mut cursor = Cursor::new(Seq(1), Seq(1));
    assert!(matches!(cursor.next(&tail), Step::Thinking { .. }));
    let Step::Delta(part) = cursor.next(&tail) else {
        panic!("the text so far should follow");
    };
    assert_eq!((part.offset, part.text.len()), (0, text.len()));

    tail.answer.as_mut().unwrap().text.push('x');
    assert_eq!(cursor.next(&tail), Step::CaughtUp, "what comes now is live");
}

#[test]
fn live_text_comes_in_parts_that_fit_a_frame_cut_between_characters() {
    // The limit falls into the middle of a character of four bytes.
    let text = format!("ab{}", "🦀".repeat(MAX_DELTA_BYTES / 4));
    let mut tail = tail_of(&[query(1)]);
    let mut cursor = Cursor::new(Seq(1), Seq(1));
    cursor.set_live();
    tail.answer = Some(writing(2, 1, 1, &text));
    assert!(matches!(cursor.next(&tail), Step::Thinking { .. }));
    let mut parts = Vec::new();
    while let Step::Delta(part) = cursor.next(&tail) {
        parts.push(part);
    }
    let crabs_in_front = u64::try_from(MAX_DELTA_BYTES / 4 - 1).unwrap();
    assert_eq!(
        parts.iter().map(|part| part.offset).collect::<Vec<_>>(),
        [0, 2 + 2 * crabs_in_front]
    );
    assert!(parts.iter().all(|part| part.text.len() <= MAX_DELTA_BYTES));
    assert_eq!(
        parts.iter().map(|part| part.text.as_str()).collect::<String>(),
        text
    );
}

/// What precedes a response on a live connection that has been sent so much of the run.
fn before_response(sent: Option<(u32, &str)>, answer: &Message) -> (bool, Option<Part>) {
    let mut tail = tail_of(&[query(1)]);
    let mut cursor = Cursor::new(Seq(1), Seq(1));
    cursor.set_live();
    if let Some((attempt, text)) = sent {
        tail.answer = Some(writing(2, 1, attempt, text));
        while cursor.next(&tail) != Step::Idle {}
    }
    let entry = cursor.entry(answer);
    assert!(!entry.replay);
    (entry.thinking, entry.rest)
}

#[test]
fn a_response_is_preceded_by_what_was_not_sent_of_it() {
    let part = |attempt, offset, text: &str| {
        Some(Part {
            run_id: run_id(1),
            message_id: message_id(2),
            attempt,
            offset,
            text: text.to_owned(),
        })
    };
    let whole = reply(2, 1, "é🦀z");
    for (sent, expected) in [
        (None, (true, part(1, 0, "é🦀z"))),
        (Some((1, "")), (false, part(1, 0, "é🦀z"))),
        (Some((2, "")), (false, part(2, 0, "é🦀z"))),
        (Some((1, "é")), (false, part(1, 1, "🦀z"))),
        (Some((3, "é🦀")), (false, part(3, 3, "z"))),
        (Some((1, "é🦀z")), (false, None)),
        // What was sent is another attempt's text: of the same length, within a character, longer than the whole.
        (Some((1, "ab")), (false, part(2, 0, "é🦀z"))),
        (Some((1, "a")), (false, part(2, 0, "é🦀z"))),
        (Some((2, "another text")), (false, part(3, 0, "é🦀z"))),
    ] {
        assert_eq!(before_response(sent, &whole), expected, "after {sent:?}");
    }
}

#[test]
fn a_run_that_never_began_is_not_announced_and_one_without_text_is() {
    let ended = |state| Message {
        state,
        ..reply(2, 1, "")
    };
    assert_eq!(
        before_response(None, &ended(AnswerState::Cancelled)),
        (false, None)
    );
    assert_eq!(before_response(None, &ended(AnswerState::Failed)), (true, None));
    assert_eq!(
        before_response(Some((1, "")), &ended(AnswerState::Cancelled)),
        (false, None)
    );
}

#[test]
fn nothing_precedes_a_replayed_response() {
    let answer = reply(2, 1, "a");
    let entry = Cursor::new(Seq(1), Seq(2)).entry(&answer);
    assert_eq!((entry.replay, entry.thinking, entry.rest), (true, false, None));
}

#[test]
fn a_run_that_began_before_the_answer_before_it_arrived_is_announced_once() {
    let answers = [query(1), query(2), reply(3, 1, "first"), reply(4, 2, "second")];
    let mut tail = tail_of(&answers[..2]);
    let mut cursor = Cursor::new(Seq(2), Seq(2));
    let mut client = Client::connected(Seq(2), Seq(2));
    tail.answer = Some(writing(4, 2, 1, "sec"));
    drain(&tail, &mut cursor, &mut client, &answers);
    tail.offer(Arc::new(answers[2].clone()));
    drain(&tail, &mut cursor, &mut client, &answers);
    tail.answer.as_mut().unwrap().text.push_str("ond");
    drain(&tail, &mut cursor, &mut client, &answers);
    tail.offer(Arc::new(answers[3].clone()));
    drain(&tail, &mut cursor, &mut client, &answers);
    client.check_at_rest(&answers);
    assert_eq!(client.announcements(), [run_id(2), run_id(1)]);
}
