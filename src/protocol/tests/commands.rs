//! Commands: what each becomes, which arguments it requires, and where they end.

use serde_json::{Value, json};

use super::client::{ID, accepted, command, refused_as, text, uuid};
use crate::ids::{ClientName, MessageId, NotificationId, RunId, Seq, SessionId};
use crate::protocol::client::{
    Ack, Auth, COMMANDS, ClientFrame, Command, History, Page, Resume, Search, SessionRef, check_title, parse,
};
use crate::protocol::error::ErrorCode;

type Row = (&'static str, Value, Command);

fn commands_about_sessions() -> Vec<Row> {
    let session = SessionId(uuid());
    vec![
        ("ping", json!({}), Command::Ping),
        ("help", json!({}), Command::Help),
        ("new", json!({}), Command::New),
        ("clear", json!({}), Command::Clear),
        ("queue", json!({}), Command::Queue),
        (
            "auth",
            json!({ "token": "t" }),
            Command::Auth(Auth {
                token: text("t"),
                session_id: None,
                after: None,
            }),
        ),
        (
            "auth",
            json!({ "token": "t", "session_id": "latest", "after": 7 }),
            Command::Auth(Auth {
                token: text("t"),
                session_id: Some(SessionRef::Latest),
                after: Some(7),
            }),
        ),
        ("sessions", json!({}), Command::Sessions(Page::default())),
        (
            "sessions",
            json!({ "limit": 200, "before": ID }),
            Command::Sessions(Page {
                limit: Some(200),
                before: Some(session),
            }),
        ),
        (
            "resume",
            json!({ "session_id": ID, "after": 0 }),
            Command::Resume(Resume {
                session_id: SessionRef::Id(session),
                after: Some(0),
            }),
        ),
        ("history", json!({}), Command::History(History::default())),
        (
            "history",
            json!({ "before": 9, "limit": 1 }),
            Command::History(History {
                before: Some(Seq(9)),
                limit: Some(1),
            }),
        ),
    ]
}

fn commands_within_a_session() -> Vec<Row> {
    let session = SessionId(uuid());
    vec![
        (
            "rename",
            json!({ "title": " A title " }),
            Command::Rename(text("A title")),
        ),
        ("delete", json!({ "session_id": ID }), Command::Delete(session)),
        ("cancel", json!({}), Command::Cancel(None)),
        (
            "cancel",
            json!({ "run_id": ID }),
            Command::Cancel(Some(RunId(uuid()))),
        ),
        ("regenerate", json!({}), Command::Regenerate(None)),
        (
            "regenerate",
            json!({ "message_id": ID }),
            Command::Regenerate(Some(MessageId(uuid()))),
        ),
        (
            "model",
            json!({ "model": "some/model" }),
            Command::Model(Some(text("some/model"))),
        ),
        ("model", json!({ "model": null }), Command::Model(None)),
        (
            "unqueue",
            json!({ "message_id": ID }),
            Command::Unqueue(MessageId(uuid())),
        ),
        (
            "search",
            json!({ "q": "words", "limit": 20 }),
            Command::Search(Search {
                q: text("words"),
                limit: Some(20),
            }),
        ),
        ("inbox", json!({}), Command::Inbox(None)),
        ("inbox", json!({ "limit": 5 }), Command::Inbox(Some(5))),
        ("ack", json!({ "all": true }), Command::Ack(Ack::All)),
        (
            "ack",
            json!({ "notification_ids": [ID] }),
            Command::Ack(Ack::Ids(vec![NotificationId(uuid())])),
        ),
    ]
}

#[test]
fn every_command_becomes_what_it_says() {
    let table = [commands_about_sessions(), commands_within_a_session()].concat();
    for (name, args, expected) in &table {
        let mut frame = command(name, args);
        frame["id"] = "c".into();
        let id = Some(ClientName::new("c").unwrap());
        assert_eq!(
            accepted(&frame),
            ClientFrame::Command(id, expected.clone()),
            "{frame}"
        );
        refused_as(ErrorCode::InvalidMessage, {
            frame["args"]["surplus"] = 1.into();
            frame
        });
    }
    for (name, explanation) in COMMANDS {
        assert!(
            table.iter().any(|(tried, ..)| *tried == name),
            "{name} is not in the table"
        );
        assert!(!explanation.is_empty());
    }
    for (name, ..) in &table {
        assert!(
            COMMANDS.iter().any(|(listed, _)| listed == name),
            "help leaves out {name}"
        );
    }
}

#[test]
fn a_command_may_leave_out_its_args_where_none_is_required() {
    let without: Vec<&str> = COMMANDS
        .iter()
        .filter(|(name, _)| parse(&json!({ "type": "command", "content": name }).to_string()).is_ok())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(
        without,
        [
            "ping",
            "help",
            "sessions",
            "new",
            "history",
            "clear",
            "cancel",
            "regenerate",
            "queue",
            "inbox"
        ]
    );
}

#[test]
fn arguments_beyond_their_limits_are_refused() {
    let many: Vec<&str> = vec![ID; 1001];
    accepted(&command("ack", &json!({ "notification_ids": many[1..] })));
    accepted(&command("search", &json!({ "q": "x".repeat(500) })));
    for (name, args) in [
        ("auth", json!({ "token": null })),
        ("auth", json!({ "token": "t", "session_id": "newest" })),
        ("auth", json!({ "token": "t", "after": "7" })),
        ("auth", json!({ "token": "t", "after": 7.5 })),
        ("sessions", json!({ "limit": 0 })),
        ("sessions", json!({ "limit": 201 })),
        ("sessions", json!({ "limit": -1 })),
        ("sessions", json!({ "before": "x" })),
        ("resume", json!({ "session_id": null })),
        ("resume", json!({ "session_id": "x" })),
        ("history", json!({ "limit": 201 })),
        ("history", json!({ "before": "9" })),
        ("rename", json!({ "title": null })),
        ("rename", json!({ "title": " " })),
        ("rename", json!({ "title": "two\nlines" })),
        ("rename", json!({ "title": "x".repeat(201) })),
        ("delete", json!({ "session_id": "latest" })),
        ("cancel", json!({ "run_id": "x" })),
        ("model", json!({ "model": 1 })),
        ("search", json!({ "q": "" })),
        ("search", json!({ "q": "  " })),
        ("search", json!({ "q": "x".repeat(501) })),
        ("search", json!({ "q": "x", "limit": 201 })),
        ("regenerate", json!({ "message_id": 1 })),
        ("unqueue", json!({ "message_id": null })),
        ("inbox", json!({ "limit": 0 })),
        ("inbox", json!({ "limit": 201 })),
        ("ack", json!({})),
        ("ack", json!({ "all": false })),
        ("ack", json!({ "all": "true" })),
        ("ack", json!({ "all": true, "notification_ids": [ID] })),
        ("ack", json!({ "notification_ids": ["x"] })),
        ("ack", json!({ "notification_ids": many })),
    ] {
        refused_as(ErrorCode::InvalidMessage, command(name, &args));
    }
    for name in ["Ping", "pong", "reset", "ping!"] {
        refused_as(ErrorCode::UnknownCommand, command(name, &json!({})));
    }
}

#[test]
fn a_title_is_one_line_of_up_to_200_characters() {
    let longest = "é".repeat(200);
    for (title, kept) in [(" a ", "a"), (longest.as_str(), longest.as_str())] {
        assert_eq!(check_title(&text(title)).unwrap().as_str(), kept);
    }
    for title in ["", "\u{7f}", "a\tb"] {
        assert_eq!(
            check_title(&text(title)).unwrap_err().code,
            ErrorCode::InvalidMessage
        );
    }
}
