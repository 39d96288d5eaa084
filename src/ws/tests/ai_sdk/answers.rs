//! From the server's frames to chunks.

use super::*;

/// A talk with one question that was stored.
fn asked() -> Talk {
    let mut talk = Talk::in_chat("c1");
    talk.says(&submit("r1", "c1", "m1", "Hello"));
    talk.asks();
    assert_eq!(talk.hears(&[accepted(1, "m1")]), [""; 0]);
    talk
}

/// The chunks with which every answer of turn 1 begins.
fn beginning() -> [String; 3] {
    [
        format!("start {}", answer(1)),
        "data-session".to_owned(),
        "start-step".to_owned(),
    ]
}

/// What is heard of an answer: its beginning, then these.
fn heard(rest: &[&str]) -> Vec<String> {
    let beginning = beginning();
    let all: Vec<&str> = beginning
        .iter()
        .map(String::as_str)
        .chain(rest.iter().copied())
        .collect();
    let mut heard = chunks("r1", 0, &all);
    heard.push("r1 end".to_owned());
    heard
}

/// Checks what is heard of these frames: the beginning of an answer, then these words between bars.
fn assert_heard(frames: &[ServerFrame<'_>], expected: &str) {
    let expected: Vec<&str> = expected.split('|').collect();
    assert_eq!(asked().hears(frames), heard(&expected), "{frames:?}");
}

#[test]
fn an_answer_becomes_the_chunks_of_one_message_with_the_logs_id() {
    for (frames, expected) in [
        (
            vec![
                thinking(1),
                delta(1, 1, 0, "Good "),
                delta(1, 1, 5, "day"),
                response(1, "complete", "Good day"),
            ],
            "text-start|text-delta Good |text-delta day|text-end|finish-step|finish stop",
        ),
        (
            // Text that comes again, and text behind a pair of surrogates.
            vec![
                thinking(1),
                delta(1, 1, 0, "a😀b"),
                delta(1, 1, 0, "a😀bc"),
                delta(1, 1, 3, "bcd"),
                response(1, "complete", "a😀bcd"),
            ],
            "text-start|text-delta a😀b|text-delta c|text-delta d|text-end|finish-step|finish stop",
        ),
        (
            // Nothing but the response, as after a catch-up.
            vec![response(1, "complete", "Good day")],
            "text-start|text-delta Good day|text-end|finish-step|finish stop",
        ),
        (
            // The end of the text comes with the response.
            vec![
                thinking(1),
                delta(1, 1, 0, "Good"),
                response(1, "complete", "Good day"),
            ],
            "text-start|text-delta Good|text-delta  day|text-end|finish-step|finish stop",
        ),
    ] {
        assert_heard(&frames, expected);
    }
}

#[test]
fn text_that_is_not_in_the_answer_is_taken_back() {
    let expected =
        "text-start|text-delta Bad|reset-step|text-start|text-delta Good|text-end|finish-step|finish stop";
    let second_try = vec![
        thinking(1),
        delta(1, 1, 0, "Bad"),
        thinking(1),
        delta(1, 2, 0, "Good"),
        delta(1, 1, 3, " luck"),
        response(1, "complete", "Good"),
    ];
    let another_text = vec![delta(1, 1, 0, "Bad"), response(1, "complete", "Good")];
    for frames in [second_try, another_text] {
        assert_heard(&frames, expected);
    }
}

#[test]
fn an_answer_that_did_not_become_whole_says_how_it_ended() {
    for (frames, expected) in [
        (
            vec![delta(1, 1, 0, "Go"), response(1, "cancelled", "Go")],
            "text-start|text-delta Go|text-end|finish-step|abort cancelled",
        ),
        (
            vec![
                delta(1, 1, 0, "Go"),
                failed(1, "It broke"),
                response(1, "incomplete", "Go"),
            ],
            "text-start|text-delta Go|text-end|finish-step|error It broke",
        ),
        (
            vec![response(1, "failed", "")],
            "finish-step|error Failed to generate response: the model took too long",
        ),
    ] {
        assert_heard(&frames, expected);
    }
}

#[test]
fn frames_of_other_runs_and_after_the_end_are_not_the_requests() {
    let mut talk = asked();
    assert_eq!(
        talk.hears(&[thinking(5), delta(5, 1, 0, "x"), response(5, "complete", "x")]),
        [""; 0]
    );
    assert_eq!(talk.hears(&[response(1, "complete", "")]).len(), 6);
    assert_eq!(
        talk.hears(&[delta(1, 1, 0, "x"), response(1, "complete", "x")]),
        [""; 0]
    );
}

#[test]
fn two_requests_have_their_answers_each_under_its_own_id() {
    let mut talk = asked();
    talk.says(&submit("r2", "c1", "m2", "More"));
    talk.asks();
    talk.hears(&[accepted(2, "m2")]);
    assert_eq!(
        talk.hears(&[response(1, "complete", "one")]).last().unwrap(),
        "r1 end"
    );
    assert_eq!(
        talk.hears(&[response(2, "complete", "two")]).last().unwrap(),
        "r2 end"
    );
}

#[test]
fn another_answer_is_shown_under_the_run_that_it_was_promised() {
    let mut talk = Talk::in_chat("c1");
    talk.says(&regenerate("r1", None, "m0"));
    talk.asks();
    assert_eq!(
        talk.hears(&[regenerated(1, "r1"), response(0, "complete", "old")]),
        [""; 0]
    );
    assert_eq!(
        talk.hears(&[response(1, "complete", "new")])[4],
        "r1 4 text-delta new"
    );
}

#[test]
fn a_resume_shows_the_answer_being_written_else_the_one_to_come_else_the_last() {
    let started = |rest: &[&str]| {
        let mut all = vec!["r1 start".to_owned()];
        all.extend(heard(rest));
        all
    };
    for (shown, then, expected) in [
        (
            vec![query(1, "m1"), thinking(1), delta(1, 1, 0, "Good ")],
            vec![delta(1, 1, 5, "day"), response(1, "complete", "Good day")],
            started(&[
                "text-start",
                "text-delta Good ",
                "text-delta day",
                "text-end",
                "finish-step",
                "finish stop",
            ]),
        ),
        (
            vec![query(0, "m0"), response(0, "complete", "x"), query(1, "m1")],
            vec![thinking(1), response(1, "complete", "Good")],
            started(&[
                "text-start",
                "text-delta Good",
                "text-end",
                "finish-step",
                "finish stop",
            ]),
        ),
        (
            vec![
                query(0, "m0"),
                response(0, "complete", "x"),
                query(1, "m1"),
                response(1, "complete", "Good"),
            ],
            vec![],
            started(&[
                "text-start",
                "text-delta Good",
                "text-end",
                "finish-step",
                "finish stop",
            ]),
        ),
        (vec![], vec![], vec!["r1 no-active".to_owned()]),
    ] {
        let mut talk = Talk::default();
        talk.says(&resume("r1", "c1"));
        assert_eq!(talk.asks(), [format!("open {}", chat("c1"))]);
        assert_eq!(talk.hears(&[welcome()]), [""; 0]);
        assert_eq!(
            talk.hears(&shown),
            [""; 0],
            "nothing before it is known what there is"
        );
        let mut heard = talk.hears(&[live()]);
        heard.extend(talk.hears(&then));
        assert_eq!(heard, expected);
    }
}

#[test]
fn where_there_is_no_session_there_is_nothing_to_resume_and_a_fault_is_an_error() {
    for (code, expected) in [
        (ErrorCode::NotFound, "r1 no-active"),
        (ErrorCode::Internal, "r1 error: Sorry"),
    ] {
        let mut talk = Talk::default();
        talk.says(&resume("r1", "c1"));
        talk.asks();
        assert_eq!(talk.hears(&[refused(Some("r1"), code, "Sorry")]), [expected]);
    }
}

#[test]
fn a_refused_message_is_an_error_of_its_request() {
    let mut talk = Talk::in_chat("c1");
    talk.says(&submit("r1", "c1", "m1", "Hello"));
    talk.asks();
    let refusal = refused(Some("m1"), ErrorCode::RateLimited, "Too many requests");
    assert_eq!(talk.hears(&[refusal]), ["r1 error: Too many requests"]);
    // What says why all is over is followed by the close, which the client can resume after.
    let mut talk = asked();
    assert_eq!(
        talk.hears(&[refused(None, ErrorCode::Unauthorized, "The token was revoked")]),
        [""; 0]
    );
}

#[test]
fn the_requests_of_a_chat_end_when_the_connection_goes_to_another() {
    let mut talk = asked();
    talk.says(&submit("r2", "c2", "m2", "Else"));
    talk.asks();
    assert_eq!(
        talk.hears(&[welcome(), live(), accepted(2, "m2")]),
        ["r1 error: This connection went to another chat; resume this one"]
    );
    assert_eq!(talk.hears(&[response(1, "complete", "x")]), [""; 0]);
    assert_eq!(
        talk.hears(&[response(2, "complete", "x")]).last().unwrap(),
        "r2 end"
    );
}

#[test]
fn a_catch_up_in_mid_answer_doubles_nothing() {
    let mut talk = asked();
    let first = talk.hears(&[thinking(1), delta(1, 1, 0, "Good ")]);
    talk.says(&resume("r2", "c1"));
    talk.asks();
    let second = talk.hears(&[
        welcome(),
        query(1, "m1"),
        thinking(1),
        delta(1, 1, 0, "Good day"),
        live(),
    ]);
    let all: Vec<&String> = first.iter().chain(&second).collect();
    let of = |request: &str| -> Vec<&str> {
        let mine = all.iter().filter(|words| words.starts_with(request));
        mine.filter_map(|words| words.split_once("text-delta "))
            .map(|(_, text)| text)
            .collect()
    };
    assert_eq!(of("r1"), ["Good ", "day"]);
    assert_eq!(of("r2"), ["Good day"]);
}

#[test]
fn a_notification_is_shown_in_passing_while_an_answer_is_awaited() {
    assert_eq!(asked().hears(&[notified("Built")]), ["r1 0 data-notification"]);
    let mut idle = Talk::in_chat("c1");
    assert_eq!(
        idle.hears(&[notified("Built")]),
        [""; 0],
        "there is nothing that could carry it"
    );
    idle.says(&resume("r2", "c1"));
    idle.asks();
    assert_eq!(idle.hears(&[welcome(), notified("Built")]), [""; 0]);
}
