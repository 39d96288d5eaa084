//! Every verb of the wire and of HTTP, said with somebody else's id; complete, or a test here fails.

use std::collections::BTreeSet;

use agent_websocket::protocol::client::COMMANDS;

/// Stands in a verb for the id that is asked for.
pub(super) const ID: &str = "ASKED_ID";
/// Stands for words to be searched for.
pub(super) const WORDS: &str = "ASKED_WORDS";
/// Stands for a place in a session.
pub(super) const PLACE: &str = "\"ASKED_PLACE\"";
/// Stands for the session of the one who asks.
pub(super) const OWN: &str = "OWN_SESSION";
/// Stands for the token of the one who asks.
pub(super) const TOKEN: &str = "OWN_TOKEN";

/// How something is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    /// A command by its name and arguments.
    Command(&'static str, &'static str),
    /// Another frame.
    Frame(&'static str),
    /// The first frame of a socket without a token: arguments of `auth`.
    Opening(&'static str),
    /// An upgrade with these parameters.
    Upgrade(Offer, &'static str),
    /// A request: method, route, parameters, headers, body.
    Http(
        &'static str,
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    ),
}

/// How an upgrade offers its token, which decides how a refusal looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// In the header: refused by a status.
    Program,
    /// As a sub-protocol: refused by a close code.
    Browser,
}

impl Verb {
    /// Its words, in which placeholders may stand.
    fn text(&self) -> String {
        match self {
            Self::Command(name, args) => format!("{name} {args}"),
            Self::Frame(text) | Self::Opening(text) | Self::Upgrade(_, text) => (*text).to_owned(),
            Self::Http(method, route, query, headers, body) => {
                format!("{method} {route} {query} {headers:?} {body}").replace("{id}", ID)
            }
        }
    }

    /// Whether it names anything of which somebody else's could be named.
    pub(super) fn asks(&self) -> bool {
        let text = self.text();
        text.contains(ID) || text.contains(WORDS)
    }
}

use Offer::{Browser, Program};
use Verb::{Command, Frame, Http, Opening, Upgrade};

pub(super) const VERBS: [Verb; 65] = [
    Command("auth", r#"{"token":"OWN_TOKEN"}"#),
    Command(
        "auth",
        r#"{"token":"OWN_TOKEN","session_id":"ASKED_ID","after":"ASKED_PLACE"}"#,
    ),
    Command("ping", "{}"),
    Command("help", "{}"),
    Command("sessions", "{}"),
    Command("sessions", r#"{"before":"ASKED_ID","limit":5}"#),
    Command("new", "{}"),
    Command("resume", r#"{"session_id":"ASKED_ID"}"#),
    Command("resume", r#"{"session_id":"ASKED_ID","after":"ASKED_PLACE"}"#),
    Command("resume", r#"{"session_id":"latest"}"#),
    Command("history", r#"{"before":"ASKED_PLACE","limit":200}"#),
    Command("rename", r#"{"title":"ASKED_ID"}"#),
    Command("clear", "{}"),
    Command("delete", r#"{"session_id":"ASKED_ID"}"#),
    Command("cancel", "{}"),
    Command("cancel", r#"{"run_id":"ASKED_ID"}"#),
    Command("model", r#"{"model":"test/other"}"#),
    Command("search", r#"{"q":"ASKED_WORDS","limit":50}"#),
    Command("search", r#"{"q":"ASKED_ID"}"#),
    Command("regenerate", "{}"),
    Command("regenerate", r#"{"message_id":"ASKED_ID"}"#),
    Command("queue", "{}"),
    Command("unqueue", r#"{"message_id":"ASKED_ID"}"#),
    Command("inbox", "{}"),
    Command("ack", r#"{"notification_ids":["ASKED_ID"]}"#),
    Command("ack", r#"{"all":true}"#),
    Frame(r#"{"type":"query","id":"ASKED_ID","content":"Hello?"}"#),
    Frame(
        r#"{"type":"query","id":"q1","content":"Hello?","metadata":{"session_id":"ASKED_ID","run_id":"ASKED_ID"}}"#,
    ),
    Frame(
        r#"{"type":"query","id":"probe","content":"About ASKED_ID","on_busy":"interrupt","priority":"high"}"#,
    ),
    Frame(r#"{"type":"human_feedback","id":"probe","message_id":"ASKED_ID","rating":1,"content":"good"}"#),
    Frame(
        r#"{"type":"human_feedback","id":"probe","request_id":"ASKED_ID","content":"yes","approved":true}"#,
    ),
    Opening(r#"{"token":"OWN_TOKEN","session_id":"ASKED_ID"}"#),
    Opening(r#"{"token":"OWN_TOKEN","session_id":"ASKED_ID","after":"ASKED_PLACE"}"#),
    Opening(r#"{"token":"OWN_TOKEN","session_id":"latest"}"#),
    Upgrade(Program, "?device_id=phone"),
    Upgrade(
        Program,
        "?session_id=latest&device_id=phone&after=\"ASKED_PLACE\"",
    ),
    Upgrade(Program, "?session_id=ASKED_ID"),
    Upgrade(
        Program,
        "?session_id=ASKED_ID&after=\"ASKED_PLACE\"&device_id=phone",
    ),
    Upgrade(Program, "?session_id=x-ASKED_ID"),
    Upgrade(Browser, "?session_id=latest"),
    Upgrade(Browser, "?session_id=ASKED_ID"),
    Upgrade(
        Browser,
        "?session_id=ASKED_ID&after=\"ASKED_PLACE\"&device_id=phone",
    ),
    Http("GET", "/v1/sessions", "", &[], ""),
    Http("GET", "/v1/sessions", "?before=ASKED_ID&limit=3", &[], ""),
    Http(
        "POST",
        "/v1/sessions",
        "",
        &[],
        r#"{"title":"t","metadata":{"session_id":"ASKED_ID"}}"#,
    ),
    Http("GET", "/v1/sessions/{id}", "", &[], ""),
    Http(
        "PATCH",
        "/v1/sessions/{id}",
        "",
        &[],
        r#"{"title":"mine","model":"test/other","metadata":{}}"#,
    ),
    Http("DELETE", "/v1/sessions/{id}", "", &[], ""),
    Http(
        "GET",
        "/v1/sessions/{id}/messages",
        "?after=\"ASKED_PLACE\"&limit=200",
        &[],
        "",
    ),
    Http(
        "GET",
        "/v1/sessions/{id}/messages",
        "?before=\"ASKED_PLACE\"",
        &[],
        "",
    ),
    Http(
        "POST",
        "/v1/sessions/{id}/messages",
        "",
        &[("idempotency-key", "q1")],
        r#"{"content":"Hello?"}"#,
    ),
    Http("GET", "/v1/sessions/{id}/export", "", &[], ""),
    Http(
        "GET",
        "/v1/sessions/{id}/export",
        "?format=markdown",
        &[("accept", "text/markdown")],
        "",
    ),
    Http("GET", "/v1/search", "?q=ASKED_WORDS&limit=50", &[], ""),
    Http("GET", "/v1/models", "?session_id=ASKED_ID", &[], ""),
    Http("GET", "/v1/usage", "?days=366", &[], ""),
    Http("POST", "/v1/tickets", "", &[], ""),
    Http("GET", "/v1/notifications", "?limit=200", &[], ""),
    Http(
        "POST",
        "/v1/notifications",
        "",
        &[],
        r#"{"user_id":"alice","content":"x","session_id":"ASKED_ID"}"#,
    ),
    Http(
        "POST",
        "/v1/notifications/ack",
        "",
        &[],
        r#"{"notification_ids":["ASKED_ID"]}"#,
    ),
    Http("POST", "/v1/notifications/ack", "", &[], r#"{"all":true}"#),
    Http(
        "POST",
        "/functions/v1/notify_websocket",
        "",
        &[],
        r#"{"sessionId":"ASKED_ID","message":"x"}"#,
    ),
    Http("GET", "/healthz", "", &[], ""),
    Http("GET", "/readyz", "?session_id=ASKED_ID", &[], ""),
    Http("GET", "/v1/ws", "?session_id=ASKED_ID", &[], ""),
];

/// What is said last, since it ends all that went before.
pub(super) const LAST: Verb = Http("DELETE", "/v1/users/me", "", &[], "");

/// The routes that users reach, as the router names them: method and path. `ANY` is the upgrade's.
fn routes() -> BTreeSet<(String, String)> {
    let source = crate::tidy::read("src/http.rs");
    let (users, _) = source.split_once("pub fn admin_router").unwrap();
    assert!(
        !users.contains(".nest("),
        "a nested router has routes that are not seen here"
    );
    let mut found = BTreeSet::new();
    for route in users.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        let end = route.find("\n        .").unwrap_or(route.len());
        let handlers = &route[..end];
        for method in ["get", "post", "patch", "put", "delete", "head", "options", "any"] {
            if handlers.contains(&format!("{method}(")) {
                found.insert((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    found
}

#[test]
fn no_verb_of_http_is_forgotten() {
    let mut said: BTreeSet<(String, String)> = VERBS
        .iter()
        .chain([&LAST])
        .filter_map(|verb| match verb {
            Http(method, route, ..) if *route != "/v1/ws" => {
                Some(((*method).to_owned(), (*route).to_owned()))
            }
            _ => None,
        })
        .collect();
    // What the second dialect's frames may name, `ai_sdk::wire` tries with somebody else's.
    for path in ["/v1/ws", "/v1/ai-sdk", "/functions/v1/agent_websocket"] {
        said.insert(("ANY".to_owned(), path.to_owned()));
    }
    assert_eq!(said, routes(), "a route that is new belongs into VERBS");
}

#[test]
fn no_verb_of_the_wire_is_forgotten() {
    let said: BTreeSet<&str> = VERBS
        .iter()
        .filter_map(|verb| match verb {
            Command(name, _) => Some(*name),
            _ => None,
        })
        .collect();
    let known: BTreeSet<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(said, known, "a command that is new belongs into VERBS");
    // The other types are in the parser, where nothing lists them.
    let source = crate::tidy::read("src/protocol/client.rs");
    let kinds: BTreeSet<&str> = source
        .split("match kind.as_str() {")
        .nth(1)
        .unwrap()
        .lines()
        .filter(|line| line.contains(" => "))
        .filter_map(|line| line.strip_prefix("            \"")?.split('"').next())
        .collect();
    let said: BTreeSet<&str> = ["query", "human_feedback"]
        .into_iter()
        .filter(|kind| {
            VERBS
                .iter()
                .any(|verb| verb.text().contains(&format!(r#""type":"{kind}""#)))
        })
        .chain(["command"])
        .collect();
    assert_eq!(said, kinds, "a type that is new belongs into VERBS");
}
