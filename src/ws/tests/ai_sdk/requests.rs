//! From the client's frames to verbs.

use super::*;

#[test]
fn the_first_message_of_a_chat_opens_its_session_and_the_next_is_asked_in_it() {
    let mut talk = Talk::in_chat("c1");
    talk.says(&submit("r2", "c1", "m2", "More"));
    assert_eq!(talk.asks(), ["query m2 More"]);
    // Another chat is another session.
    talk.hears(&[accepted(2, "m2"), response(2, "complete", "x")]);
    talk.says(&submit("r3", "c2", "m3", "Else"));
    assert_eq!(
        talk.asks(),
        [format!("open or make {}", chat("c2")), "query m3 Else".to_owned()]
    );
}

#[test]
fn a_token_in_a_frame_is_shown_once_as_long_as_it_is_the_same() {
    let mut talk = Talk::default();
    talk.says(&with_token(submit("r1", "c1", "m1", "Hello"), "t1"));
    assert_eq!(talk.asks()[0], "auth t1");
    talk.hears(&[welcome(), live(), accepted(1, "m1"), response(1, "complete", "x")]);
    for (request, token, expected) in [
        ("r2", "t1", &["query r2 Hi"][..]),
        ("r3", "t2", &["auth t2", "query r3 Hi"]),
        ("r4", "t2", &["query r4 Hi"]),
    ] {
        talk.says(&with_token(submit(request, "c1", request, "Hi"), token));
        assert_eq!(talk.asks(), expected, "{request}");
    }
    // One that was not accepted is shown again.
    talk.says(&with_token(submit("r5", "c1", "m5", "Hi"), "t3"));
    assert_eq!(talk.asks_next().unwrap(), "auth t3");
    let refusal = refused(Some("r5"), ErrorCode::Unauthorized, "The token has expired");
    assert_eq!(talk.hears(&[refusal]), ["r5 error: The token has expired"]);
    assert_eq!(
        talk.asks(),
        [""; 0],
        "what was left of the request is not asked under the token before"
    );
    talk.says(&with_token(submit("r6", "c1", "m6", "Hi"), "t3"));
    assert_eq!(talk.asks()[0], "auth t3");
}

#[test]
fn another_answer_is_asked_to_what_the_log_knows_under_any_of_its_names() {
    for (named, last, expected) in [
        (None, "m0", format!("regenerate {}", message(0))),
        (Some("m0"), "m0", format!("regenerate {}", message(0))),
        (
            Some(&answer(0).to_string()[..]),
            "m0",
            format!("regenerate {}", answer(0)),
        ),
        // The client's own id of an answer, from before it knew ours.
        (Some("a-local"), "m0", format!("regenerate {}", message(0))),
        // What never arrived is asked.
        (None, "m9", "query m9 Again?".to_owned()),
        (Some("a-local"), "m9", "query m9 Again?".to_owned()),
    ] {
        let mut talk = Talk::in_chat("c1");
        talk.says(&regenerate("r2", named, last));
        assert_eq!(talk.asks(), [expected], "{named:?} {last}");
    }
}

#[test]
fn another_answer_to_what_is_being_answered_is_that_answer() {
    let mut talk = Talk::default();
    talk.says(&regenerate("r1", None, "m1"));
    assert_eq!(talk.asks_next().unwrap(), format!("open or make {}", chat("c1")));
    talk.hears(&[
        welcome(),
        query(1, "m1"),
        thinking(1),
        delta(1, 1, 0, "Hel"),
        live(),
    ]);
    assert_eq!(
        talk.asks(),
        [format!("open {}", chat("c1"))],
        "it is shown again, from the beginning"
    );
    let heard = talk.hears(&[
        welcome(),
        query(1, "m1"),
        thinking(1),
        delta(1, 1, 0, "Hell"),
        live(),
    ]);
    assert_eq!(heard[4], "r1 4 text-delta Hell");
}

#[test]
fn an_abort_cancels_the_run_that_the_request_shows_and_nothing_else() {
    let mut talk = Talk::in_chat("c1");
    talk.says(&abort("unknown"));
    assert_eq!(talk.asks(), [""; 0]);
    talk.says(&submit("r2", "c1", "m2", "More"));
    talk.asks();
    talk.hears(&[accepted(2, "m2"), thinking(2)]);
    talk.says(&abort("r2"));
    assert_eq!(talk.asks(), [format!("cancel {}", run(2))]);
    assert_eq!(
        talk.hears(&[response(2, "cancelled", "Hel")]),
        [""; 0],
        "the client listens no more"
    );
    // One that only looks what there is.
    talk.says(&resume("r3", "c1"));
    talk.asks();
    talk.says(&abort("r3"));
    assert_eq!(talk.asks(), [""; 0]);
    assert_eq!(talk.hears(&[welcome(), live()]), [""; 0]);
}

#[test]
fn a_message_that_was_asked_before_has_its_answer_shown() {
    let mut talk = Talk::in_chat("c1");
    talk.says(&submit("r2", "c1", "m0", "Hello"));
    assert_eq!(talk.asks(), ["query m0 Hello"]);
    assert_eq!(talk.hears(&[duplicate(0, "m0")]), [""; 0]);
    assert_eq!(talk.asks(), [format!("open {}", chat("c1"))]);
    let heard = talk.hears(&[welcome(), query(0, "m0"), response(0, "complete", "Hi"), live()]);
    assert_eq!(heard.last().unwrap(), "r2 end");

    // So long ago that the catch-up does not reach it.
    talk.says(&submit("r3", "c1", "m-old", "Hello"));
    talk.asks();
    talk.hears(&[duplicate(9, "m-old")]);
    assert_eq!(talk.asks(), [format!("open {}", chat("c1"))]);
    let heard = talk.hears(&[welcome(), query(0, "m0"), response(0, "complete", "Hi"), live()]);
    assert_eq!(heard, ["r3 error: This message was answered before"]);
}

#[test]
fn a_bad_frame_is_answered_under_its_request_and_harms_no_other() {
    let mut talk = Talk::in_chat("c1");
    talk.says(&submit("r2", "c1", "m2", "More"));
    talk.asks();
    talk.hears(&[accepted(2, "m2")]);
    let blank = submit("r3", "c1", "m3", " ");
    assert_eq!(talk.is_refused(&blank), ["r3 error: Message content is required"]);
    assert_eq!(
        talk.is_refused(&submit("r2", "c1", "m3", "x")),
        [""; 0],
        "its id is another's"
    );
    assert_eq!(
        talk.is_refused(&json!({ "type": "send" })),
        [""; 0],
        "it has no id"
    );
    assert_eq!(talk.asks(), [""; 0]);
    assert_eq!(
        talk.hears(&[delta(2, 1, 0, "x")]).last().unwrap(),
        "r2 4 text-delta x"
    );
}

#[test]
fn no_more_than_sixteen_requests_are_open() {
    let mut talk = Talk::in_chat("c1");
    for index in 0..16 {
        let id = format!("q{index}");
        talk.says(&submit(&id, "c1", &id, "More"));
        talk.asks();
    }
    let heard = talk.is_refused(&submit("one", "c1", "m", "more"));
    assert_eq!(heard, ["one error: Too many requests are open"]);
    talk.says(&abort("q3"));
    talk.says(&submit("two", "c1", "m", "more"));
}
