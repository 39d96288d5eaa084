//! Frames of the server, letter by letter: clients of other languages read these bytes.

use std::time::Duration;

use serde_json::json;
use time::macros::datetime;
use uuid::Uuid;

use crate::ids::{ClientName, ConnectionId, MessageId, NotificationId, RunId, Seq, SessionId, UserId};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{
    Accepted, AuthDone, Authenticated, Cleared, Delta, Done, Draining, ErrorFrame, FeedbackStored, Gap, Live,
    Nothing, Notification, Outcome, Plain, Pushed, Query, Reconnect, Response, RunChanged, RunError,
    ServerFrame, SessionChanged, Status, Thinking, TokenExpiring, Usage, Welcome,
};
use crate::protocol::text::Timestamp;

const NOW: Timestamp = Timestamp(datetime!(2026-11-20 08:05:09.007 UTC));
const SESSION: SessionId = SessionId(Uuid::from_u128(1));
const MESSAGE: MessageId = MessageId(Uuid::from_u128(2));
const RUN: RunId = RunId(Uuid::from_u128(3));
const NOTIFICATION: NotificationId = NotificationId(Uuid::from_u128(4));

fn name() -> ClientName {
    ClientName::new("q1").unwrap()
}

/// The text of a frame, with names in place of what is the same in all of them.
fn encoded(frame: &ServerFrame<'_>) -> String {
    let uuid = "00000000-0000-0000-0000-00000000000";
    frame
        .encode()
        .replace("2026-11-20T08:05:09.007Z", "<now>")
        .replace(&format!("{uuid}1"), "<session>")
        .replace(&format!("{uuid}2"), "<message>")
        .replace(&format!("{uuid}3"), "<run>")
        .replace(&format!("{uuid}4"), "<notification>")
}

#[track_caller]
fn status(status: Status<'_>, expected: &str) {
    assert_eq!(encoded(&ServerFrame::Status(status)), expected);
}

#[track_caller]
fn notification(notification: Notification<'_>, expected: &str) {
    assert_eq!(encoded(&ServerFrame::Notification(notification)), expected);
}

#[test]
fn a_welcome_is_written_with_a_gap_only_where_there_is_one() {
    let mut welcome = Welcome {
        content: "Connected".into(),
        timestamp: NOW,
        session_id: SESSION,
        resumed: true,
        head: Seq(9),
        first_available: Seq(1),
        connection_id: ConnectionId(Uuid::nil()),
        user_id: "u_42".into(),
        protocol: 1,
        heartbeat_ms: 30_000,
        max_message_bytes: 262_144,
        token_expires_at: NOW,
        reconnect: Reconnect {
            base_ms: 500,
            max_ms: 30_000,
            jitter_ms: 500,
        },
        gap: None,
    };
    let fields = r#"{"type":"notification","event":"welcome","content":"Connected","timestamp":"<now>","session_id":"<session>","resumed":true,"head":9,"first_available":1,"connection_id":"00000000-0000-0000-0000-000000000000","user_id":"u_42","protocol":1,"heartbeat_ms":30000,"max_message_bytes":262144,"token_expires_at":"<now>","reconnect":{"base_ms":500,"max_ms":30000,"jitter_ms":500}"#;
    notification(
        Notification::Welcome(Box::new(welcome.clone())),
        &format!("{fields}}}"),
    );
    welcome.gap = Some(Gap {
        from: Seq(1),
        to: Seq(8),
    });
    notification(
        Notification::Welcome(Box::new(welcome)),
        &format!(r#"{fields},"gap":{{"from":1,"to":8}}}}"#),
    );
}

#[test]
fn a_pushed_notification_is_written_with_what_it_has() {
    let plain = Pushed {
        content: "Build finished".into(),
        timestamp: NOW,
        notification_id: NOTIFICATION,
        kind: "message".into(),
        title: None,
        data: None,
        priority: "normal".into(),
        created_at: NOW,
        session_id: None,
        seq: None,
        message_id: None,
        replay: false,
    };
    notification(
        Notification::Message(Box::new(plain.clone())),
        r#"{"type":"notification","event":"message","content":"Build finished","timestamp":"<now>","notification_id":"<notification>","kind":"message","priority":"normal","created_at":"<now>","session_id":null}"#,
    );
    let full = Pushed {
        title: Some("CI".into()),
        data: Some(std::borrow::Cow::Owned(json!({ "build": 7 }))),
        session_id: Some(SESSION),
        seq: Some(Seq(3)),
        message_id: Some(MESSAGE),
        replay: true,
        ..plain
    };
    notification(
        Notification::Message(Box::new(full)),
        r#"{"type":"notification","event":"message","content":"Build finished","timestamp":"<now>","notification_id":"<notification>","kind":"message","title":"CI","data":{"build":7},"priority":"normal","created_at":"<now>","session_id":"<session>","seq":3,"message_id":"<message>","replay":true}"#,
    );
}

#[test]
fn cleared_and_timeout_are_written_as_agreed() {
    notification(
        Notification::Cleared(Cleared {
            content: "Acknowledged".into(),
            timestamp: NOW,
            notification_ids: vec![NOTIFICATION],
        }),
        r#"{"type":"notification","event":"cleared","content":"Acknowledged","timestamp":"<now>","notification_ids":["<notification>"]}"#,
    );
    notification(
        Notification::Timeout(Plain {
            content: "Session closed due to inactivity".into(),
            timestamp: NOW,
        }),
        r#"{"type":"notification","event":"timeout","content":"Session closed due to inactivity","timestamp":"<now>"}"#,
    );
}

#[test]
fn accepted_is_written_with_re_only_where_the_query_had_an_id() {
    let accepted = Accepted {
        content: "Accepted".into(),
        timestamp: NOW,
        re: Some(name()),
        session_id: SESSION,
        seq: Seq(1),
        message_id: MESSAGE,
        run_id: RUN,
        queue_position: 0,
        duplicate: false,
    };
    status(
        Status::Accepted(accepted.clone()),
        r#"{"type":"status","event":"accepted","content":"Accepted","timestamp":"<now>","re":"q1","session_id":"<session>","seq":1,"message_id":"<message>","run_id":"<run>","queue_position":0,"duplicate":false}"#,
    );
    status(
        Status::Accepted(Accepted { re: None, ..accepted }),
        r#"{"type":"status","event":"accepted","content":"Accepted","timestamp":"<now>","session_id":"<session>","seq":1,"message_id":"<message>","run_id":"<run>","queue_position":0,"duplicate":false}"#,
    );
}

#[test]
fn thinking_and_delta_are_written_as_agreed() {
    status(
        Status::Thinking(Thinking {
            content: "Thinking...".into(),
            timestamp: NOW,
            session_id: SESSION,
            run_id: RUN,
            in_reply_to: MESSAGE,
            message_id: MESSAGE,
            replay: false,
        }),
        r#"{"type":"status","event":"thinking","content":"Thinking...","timestamp":"<now>","session_id":"<session>","run_id":"<run>","in_reply_to":"<message>","message_id":"<message>"}"#,
    );
    let delta = Delta {
        content: "é\"\n🦀\u{1}".into(),
        timestamp: NOW,
        session_id: SESSION,
        message_id: MESSAGE,
        run_id: RUN,
        attempt: 2,
        offset: 7,
        replay: true,
    };
    assert_eq!(
        encoded(&ServerFrame::Delta(delta)),
        r#"{"type":"delta","content":"é\"\n🦀\u0001","timestamp":"<now>","session_id":"<session>","message_id":"<message>","run_id":"<run>","attempt":2,"offset":7,"replay":true}"#
    );
}

#[test]
fn live_and_heartbeat_are_written_as_agreed() {
    let live = Live {
        content: "Live".into(),
        timestamp: NOW,
        session_id: SESSION,
        head: Seq(0),
    };
    let fields = r#""content":"Live","timestamp":"<now>","session_id":"<session>","head":0}"#;
    status(
        Status::Live(live.clone()),
        &format!(r#"{{"type":"status","event":"live",{fields}"#),
    );
    status(
        Status::Heartbeat(live),
        &format!(r#"{{"type":"status","event":"heartbeat",{fields}"#),
    );
}

#[test]
fn changes_of_runs_and_sessions_are_written_as_agreed() {
    status(
        Status::Run(RunChanged {
            content: "The run is queued".into(),
            timestamp: NOW,
            session_id: SESSION,
            run_id: RUN,
            state: "queued".into(),
            attempt: 1,
        }),
        r#"{"type":"status","event":"run","content":"The run is queued","timestamp":"<now>","session_id":"<session>","run_id":"<run>","state":"queued","attempt":1}"#,
    );
    status(
        Status::Session(SessionChanged {
            content: "The session was renamed".into(),
            timestamp: NOW,
            session_id: SESSION,
            title: Some("A title".into()),
            deleted: false,
        }),
        r#"{"type":"status","event":"session","content":"The session was renamed","timestamp":"<now>","session_id":"<session>","title":"A title","deleted":false}"#,
    );
}

#[test]
fn warnings_of_the_end_are_written_as_agreed() {
    status(
        Status::TokenExpiring(TokenExpiring {
            content: "Soon".into(),
            timestamp: NOW,
            expires_at: NOW,
        }),
        r#"{"type":"status","event":"token_expiring","content":"Soon","timestamp":"<now>","expires_at":"<now>"}"#,
    );
    status(
        Status::Draining(Draining {
            content: "Restarting".into(),
            timestamp: NOW,
            retry_after_ms: 1500,
        }),
        r#"{"type":"status","event":"draining","content":"Restarting","timestamp":"<now>","retry_after_ms":1500}"#,
    );
}

#[test]
fn the_answer_to_a_command_names_it_as_its_event() {
    status(
        Status::Done(Done {
            outcome: Outcome::Ping(Nothing {}),
            content: "pong".into(),
            timestamp: NOW,
            re: Some(name()),
        }),
        r#"{"type":"status","event":"ping","data":{},"content":"pong","timestamp":"<now>","re":"q1"}"#,
    );
    status(
        Status::Auth(AuthDone {
            content: "Authenticated".into(),
            timestamp: NOW,
            re: None,
            expires_at: NOW,
            data: Authenticated {
                user_id: UserId::new("demo").unwrap(),
                expires_at: NOW,
            },
        }),
        r#"{"type":"status","event":"auth","content":"Authenticated","timestamp":"<now>","expires_at":"<now>","data":{"user_id":"demo","expires_at":"<now>"}}"#,
    );
    status(
        Status::Feedback(FeedbackStored {
            content: "Thank you".into(),
            timestamp: NOW,
            re: Some(name()),
            message_id: MESSAGE,
        }),
        r#"{"type":"status","event":"feedback","content":"Thank you","timestamp":"<now>","re":"q1","message_id":"<message>"}"#,
    );
}

#[test]
fn a_query_is_written_with_what_it_has() {
    let query = Query {
        content: "hello".into(),
        timestamp: NOW,
        id: Some("q1".into()),
        session_id: SESSION,
        seq: Seq(1),
        message_id: MESSAGE,
        run_id: Some(RUN),
        replay: true,
    };
    assert_eq!(
        encoded(&ServerFrame::Query(query.clone())),
        r#"{"type":"query","content":"hello","timestamp":"<now>","id":"q1","session_id":"<session>","seq":1,"message_id":"<message>","run_id":"<run>","replay":true}"#
    );
    let bare = Query {
        id: None,
        run_id: None,
        replay: false,
        ..query
    };
    assert_eq!(
        encoded(&ServerFrame::Query(bare)),
        r#"{"type":"query","content":"hello","timestamp":"<now>","session_id":"<session>","seq":1,"message_id":"<message>"}"#
    );
}

#[test]
fn a_response_is_written_without_what_is_not_known() {
    let complete = Response {
        content: "hi".into(),
        timestamp: NOW,
        session_id: SESSION,
        seq: Seq(2),
        message_id: MESSAGE,
        in_reply_to: Some(MESSAGE),
        run_id: Some(RUN),
        state: "complete".into(),
        error: None,
        finish_reason: Some("stop".into()),
        model: Some("some/model".into()),
        usage: Some(Usage {
            input_tokens: Some(10),
            output_tokens: Some(2),
            cost_usd: Some(0.25),
        }),
        length: 2,
        sha256: "8f43".to_owned(),
        replay: false,
    };
    assert_eq!(
        encoded(&ServerFrame::Response(Box::new(complete.clone()))),
        r#"{"type":"response","content":"hi","timestamp":"<now>","session_id":"<session>","seq":2,"message_id":"<message>","in_reply_to":"<message>","run_id":"<run>","state":"complete","finish_reason":"stop","model":"some/model","usage":{"input_tokens":10,"output_tokens":2,"cost_usd":0.25},"length":2,"sha256":"8f43"}"#
    );
    let failed = Response {
        content: "".into(),
        in_reply_to: None,
        run_id: None,
        state: "failed".into(),
        error: Some(RunError {
            code: ErrorCode::ProviderBusy,
            retryable: true,
        }),
        finish_reason: None,
        model: None,
        usage: Some(Usage {
            input_tokens: Some(10),
            output_tokens: None,
            cost_usd: None,
        }),
        length: 0,
        replay: true,
        ..complete
    };
    assert_eq!(
        encoded(&ServerFrame::Response(Box::new(failed))),
        r#"{"type":"response","content":"","timestamp":"<now>","session_id":"<session>","seq":2,"message_id":"<message>","state":"failed","error":{"code":"provider_busy","retryable":true},"usage":{"input_tokens":10},"length":0,"sha256":"8f43","replay":true}"#
    );
}

#[test]
fn an_error_is_written_with_what_it_answers_and_when_to_come_back() {
    let refusal = Refusal::new(ErrorCode::RateLimited, "Too many").after(Duration::from_millis(1500));
    assert_eq!(
        encoded(&ServerFrame::Error(ErrorFrame::of(refusal, Some(name()), NOW))),
        r#"{"type":"error","content":"Too many","timestamp":"<now>","re":"q1","code":"rate_limited","retryable":true,"retry_after_ms":1500}"#
    );
    assert_eq!(
        encoded(&ServerFrame::Error(ErrorFrame {
            run_id: Some(RUN),
            ..ErrorFrame::of(Refusal::not_found("message"), None, NOW)
        })),
        r#"{"type":"error","content":"No such message","timestamp":"<now>","run_id":"<run>","code":"not_found","retryable":false}"#
    );
}
