use serde_json::{Value, json};
use uuid::Uuid;

use super::super::frames::read;
use super::super::news::{News, Shown, Start, Then};
use super::super::replica::Replica;
use super::super::says;
use crate::protocol::text::sha256_hex;

const AT: &str = "2026-11-20T22:39:50.494Z";

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn welcome(session: u128, head: i64) -> Value {
    json!({ "type": "notification", "event": "welcome", "content": "", "timestamp": AT, "session_id": id(session),
            "resumed": head > 0, "head": head, "user_id": "u" })
}

fn live() -> Value {
    json!({ "type": "status", "event": "live", "content": "", "timestamp": AT })
}

fn query(seq: i64, id_: &str) -> Value {
    json!({ "type": "query", "content": "Q", "timestamp": AT, "id": id_, "seq": seq, "message_id": id(100) })
}

fn accepted(re: &str, seq: i64, duplicate: bool) -> Value {
    json!({ "type": "status", "event": "accepted", "content": "", "timestamp": AT, "re": re, "seq": seq,
            "message_id": id(100), "run_id": id(200), "queue_position": 0, "duplicate": duplicate })
}

fn delta(attempt: u32, offset: u64, content: &str) -> Value {
    json!({ "type": "delta", "content": content, "timestamp": AT, "message_id": id(101), "run_id": id(200),
            "attempt": attempt, "offset": offset })
}

fn response(seq: i64, content: &str) -> Value {
    json!({ "type": "response", "content": content, "timestamp": AT, "seq": seq, "message_id": id(101),
            "state": "complete", "length": content.encode_utf16().count(), "sha256": sha256_hex(content) })
}

fn apply(replica: &mut Replica, frame: &Value) -> (Vec<News>, Then) {
    replica.apply(read(&frame.to_string()).unwrap())
}

/// What a person sees of an answer, put together from the news.
#[derive(Default)]
struct Screen {
    text: String,
    answers: u32,
}

impl Screen {
    fn show(&mut self, news: &[News]) {
        for news in news {
            match news {
                News::Text { anew, text, .. } => {
                    if *anew {
                        self.text.clear();
                    }
                    self.text.push_str(text);
                }
                News::Answered {
                    response,
                    shown,
                    intact,
                } => {
                    assert!(*intact);
                    self.answers += 1;
                    match shown {
                        Shown::Rest(rest) => self.text.push_str(rest),
                        Shown::TooMuch | Shown::Otherwise => self.text.clone_from(&response.content),
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_first_connection_names_the_session_that_was_chosen_and_later_ones_the_cursor() {
    assert_eq!(Replica::new(Start::New).resume_from(), "");
    let mut replica = Replica::new(Start::Latest);
    assert_eq!(replica.resume_from(), "?session_id=latest");
    apply(&mut replica, &welcome(1, 7));
    assert_eq!(replica.resume_from(), format!("?session_id={}", id(1)));
    apply(&mut replica, &query(7, "q"));
    assert_eq!(replica.resume_from(), format!("?session_id={}&after=7", id(1)));
}

#[test]
fn text_comes_out_once_wherever_the_connection_was_cut() {
    let pieces = ["Wise ", "🦉 owls ", "say ", "“hoo”."];
    let whole: String = pieces.concat();
    for cut_after in 0..=pieces.len() {
        let mut replica = Replica::new(Start::New);
        let mut screen = Screen::default();
        let mut show = |replica: &mut Replica, frame: &Value| {
            let (news, then) = apply(replica, frame);
            assert_eq!(then, Then::Continue, "cut after {cut_after}: {frame}");
            screen.show(&news);
        };
        show(&mut replica, &welcome(1, 0));
        show(&mut replica, &live());
        show(&mut replica, &accepted("q", 1, false));
        let mut written = String::new();
        for piece in &pieces[..cut_after] {
            let offset = written.encode_utf16().count() as u64;
            show(&mut replica, &delta(1, offset, piece));
            // Once more: applying one twice is harmless.
            show(&mut replica, &delta(1, offset, piece));
            written.push_str(piece);
        }
        replica.disconnected();
        show(&mut replica, &welcome(1, 1));
        // The server has gone on meanwhile, and sends everything from the beginning.
        let caught_up: String = pieces[..(cut_after + 1).min(pieces.len())].concat();
        show(&mut replica, &delta(1, 0, &caught_up));
        show(&mut replica, &live());
        show(&mut replica, &response(2, &whole));
        assert_eq!(screen.text, whole, "cut after {cut_after}");
        assert_eq!(screen.answers, 1);
    }
}

#[test]
fn another_attempt_starts_from_nothing_and_an_older_one_is_late() {
    let mut replica = Replica::new(Start::New);
    apply(&mut replica, &welcome(1, 0));
    apply(&mut replica, &delta(1, 0, "Hello"));
    let (news, _) = apply(&mut replica, &delta(2, 0, "Good day"));
    assert!(matches!(&news[..], [News::Text { anew: true, text, .. }] if text == "Good day"));
    assert_eq!(apply(&mut replica, &delta(1, 5, " you")).0, []);
}

#[test]
fn text_beyond_what_is_held_and_a_gap_in_the_order_ask_for_a_resume() {
    let mut replica = Replica::new(Start::New);
    apply(&mut replica, &welcome(1, 0));
    apply(&mut replica, &delta(1, 0, "Hel"));
    assert_eq!(apply(&mut replica, &delta(1, 4, "o")), (vec![], Then::Resume));
    assert_eq!(apply(&mut replica, &query(2, "q")), (vec![], Then::Resume));
    assert_eq!(
        apply(&mut replica, &accepted("q", 3, false)),
        (vec![], Then::Resume)
    );
    assert_eq!(apply(&mut replica, &response(2, "x")), (vec![], Then::Resume));
    assert!(replica.resume_from().ends_with("&after=0"));
}

#[test]
fn a_named_gap_is_no_fault() {
    let mut replica = Replica::new(Start::New);
    apply(&mut replica, &welcome(1, 0));
    let mut late = welcome(1, 2000);
    late["gap"] = json!({ "from": 1, "to": 1000 });
    let (news, then) = apply(&mut replica, &late);
    assert_eq!(then, Then::Continue);
    assert!(news.iter().any(|news| matches!(news, News::Gap(_))));
    assert_eq!(apply(&mut replica, &query(1001, "q")).1, Then::Continue);
}

#[test]
fn messages_that_were_applied_are_not_told_again() {
    let mut replica = Replica::new(Start::New);
    apply(&mut replica, &welcome(1, 0));
    assert_eq!(apply(&mut replica, &query(1, "q")).0.len(), 1);
    assert_eq!(apply(&mut replica, &query(1, "q")).0, []);
    let note = json!({ "type": "notification", "event": "message", "content": "n", "timestamp": AT, "notification_id": id(9) });
    assert_eq!(apply(&mut replica, &note).0.len(), 1);
    assert_eq!(apply(&mut replica, &note).0, []);
}

#[test]
fn how_an_answer_ended_is_compared_with_what_was_shown() {
    for (written, stored, expected) in [
        ("", "Hello", Shown::Rest("Hello".to_owned())),
        ("Hel", "Hello", Shown::Rest("lo".to_owned())),
        ("Hello", "Hello", Shown::Rest(String::new())),
        ("Hello", "Hel", Shown::TooMuch),
        ("Hello", "Help", Shown::Otherwise),
    ] {
        let mut replica = Replica::new(Start::New);
        apply(&mut replica, &welcome(1, 0));
        if !written.is_empty() {
            apply(&mut replica, &delta(1, 0, written));
        }
        let (news, _) = apply(&mut replica, &response(1, stored));
        let [
            News::Answered {
                shown, intact: true, ..
            },
        ] = &news[..]
        else {
            panic!("{news:?}")
        };
        assert_eq!(*shown, expected, "{written} → {stored}");
    }
}

#[test]
fn an_answer_that_does_not_fit_its_hash_is_said_to_be_damaged() {
    let mut replica = Replica::new(Start::New);
    apply(&mut replica, &welcome(1, 0));
    let mut damaged = response(1, "Hello");
    damaged["content"] = json!("Hullo");
    let (news, _) = apply(&mut replica, &damaged);
    assert!(
        matches!(&news[..], [News::Answered { intact: false, .. }]),
        "{news:?}"
    );
}

#[test]
fn what_was_not_answered_is_sent_again_under_its_id_and_not_before_the_catch_up_is_over() {
    let mut replica = Replica::new(Start::New);
    let (first, second) = (says::query("one"), says::query("two"));
    replica.submit(first.clone()).unwrap();
    replica.submit(second.clone()).unwrap();
    apply(&mut replica, &welcome(1, 0));
    assert_eq!(replica.unsent(), None);
    apply(&mut replica, &live());
    assert_eq!(replica.unsent(), Some(&first));
    replica.mark_sent();
    assert_eq!(replica.unsent(), Some(&second));
    replica.mark_sent();
    assert_eq!(replica.unsent(), None);
    replica.disconnected();
    // The first one was stored before the cut: the catch-up shows it.
    apply(&mut replica, &welcome(1, 1));
    apply(&mut replica, &query(1, &first.id));
    apply(&mut replica, &live());
    assert_eq!(replica.unsent(), Some(&second));
    replica.mark_sent();
    // It was stored too, and its receipt says so outside the order.
    apply(&mut replica, &accepted(&second.id, 9, true));
    replica.disconnected();
    apply(&mut replica, &welcome(1, 1));
    apply(&mut replica, &live());
    assert_eq!(replica.unsent(), None);
    assert!(
        replica.resume_from().ends_with("&after=1"),
        "a duplicate never moves the cursor"
    );
}

#[test]
fn a_refusal_answers_too() {
    let mut replica = Replica::new(Start::New);
    let frame = says::query("x");
    replica.submit(frame.clone()).unwrap();
    apply(&mut replica, &welcome(1, 0));
    apply(&mut replica, &live());
    replica.mark_sent();
    apply(
        &mut replica,
        &json!({ "type": "error", "content": "busy", "timestamp": AT, "re": frame.id, "code": "busy", "retryable": true }),
    );
    replica.disconnected();
    apply(&mut replica, &welcome(1, 0));
    apply(&mut replica, &live());
    assert_eq!(replica.unsent(), None);
}

#[test]
fn no_more_than_a_few_frames_wait() {
    let mut replica = Replica::new(Start::New);
    let taken = (0..1000)
        .take_while(|_| replica.submit(says::query("x")).is_ok())
        .count();
    assert_eq!(taken, 64);
}

#[test]
fn another_session_on_the_connection_is_the_one_to_come_back_to() {
    let mut replica = Replica::new(Start::New);
    apply(&mut replica, &welcome(1, 0));
    apply(&mut replica, &query(1, "q"));
    apply(
        &mut replica,
        &json!({ "type": "status", "event": "resume", "content": "", "timestamp": AT, "re": "c", "data": { "session_id": id(2) } }),
    );
    // Cut before the new session's `welcome`.
    replica.disconnected();
    assert_eq!(replica.resume_from(), format!("?session_id={}", id(2)));
    let (news, _) = apply(&mut replica, &welcome(2, 50));
    assert!(matches!(&news[..], [News::Opened { switched: true, .. }]));
    assert_eq!(apply(&mut replica, &query(17, "q")).1, Then::Continue);
}

#[test]
fn a_cursor_beyond_the_head_drops_the_copy() {
    let mut replica = Replica::new(Start::New);
    apply(&mut replica, &welcome(1, 5));
    apply(&mut replica, &query(5, "q"));
    apply(&mut replica, &welcome(1, 3));
    assert_eq!(apply(&mut replica, &query(1, "q")).1, Then::Continue);
}

#[test]
fn what_the_server_asks_of_a_client_is_handed_on() {
    let mut replica = Replica::new(Start::New);
    let status = |event: &str| json!({ "type": "status", "event": event, "content": "", "timestamp": AT, "retry_after_ms": 2228 });
    assert_eq!(apply(&mut replica, &status("draining")).1, Then::Leave(2228));
    assert_eq!(apply(&mut replica, &status("token_expiring")).1, Then::Renew);
    assert_eq!(
        apply(&mut replica, &status("heartbeat")),
        (vec![], Then::Continue)
    );
    let overloaded = json!({ "type": "error", "content": "", "timestamp": AT, "code": "rate_limited", "retryable": true, "retry_after_ms": 9 });
    assert_eq!(apply(&mut replica, &overloaded).1, Then::Leave(9));
}
