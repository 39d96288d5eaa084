//! Every HTTP operation: its path, what it takes, and what it answers, by the types that the handlers read and write.
//!
//! A test holds this list against the router, both ways; `openapi` writes it down.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};

use crate::protocol::body::{
    Alive, Days, MessagePage, Models, NewQuery, Notified, NotifySession, Queued, Range, Readiness, Receipt,
    Seen, SessionChanges, SessionNotified, Size, Ticket, UsageList, Wanted,
};
use crate::protocol::client::{Page, Search};
use crate::protocol::item::SessionView;
use crate::protocol::notice::Notice;
use crate::protocol::server::{Acknowledged, MatchList, NotificationList, SessionList};
use crate::ws::Parameters;

/// How a generator is asked for a type's schema.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What any request may meet before its handler: another host (421).
const ANY: &[u16] = &[421];

/// What a request with a token may meet before its handler: no token, another origin, another host, too many, no database.
const WITH_TOKEN: &[u16] = &[401, 403, 421, 429, 503];

/// One method of one path.
#[derive(Clone)]
pub struct Operation {
    /// In capitals.
    pub method: &'static str,
    /// With `{id}` where an id stands.
    pub path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) has_token: bool,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<(SchemaOf, Need)>,
    pub(super) idempotency_key: Option<&'static str>,
    pub(super) starts_run: bool,
    pub(super) answers: Vec<(u16, Content)>,
    pub(super) problems: Vec<u16>,
}

/// Whether a body must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// What an answer holds.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Json(SchemaOf),
    /// A session as a file, in one of two formats.
    File,
    /// A document of its own kind.
    Document,
    Nothing,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let mut problems = WITH_TOKEN.to_vec();
        if path.contains("{id}") {
            problems.push(404);
        }
        Self {
            method,
            path,
            id,
            summary,
            has_token: true,
            query: None,
            body: None,
            idempotency_key: None,
            starts_run: false,
            answers: Vec::new(),
            problems,
        }
    }

    fn open_to_all(mut self) -> Self {
        self.has_token = false;
        self.problems = ANY.to_vec();
        self
    }

    fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(SchemaGenerator::subschema_for::<T>);
        self.problem(400)
    }

    fn body<T: JsonSchema>(mut self, need: Need) -> Self {
        self.body = Some((SchemaGenerator::subschema_for::<T>, need));
        self.problem(400).problem(413)
    }

    /// With what such a key must look like.
    fn idempotency_key(mut self, pattern: &'static str) -> Self {
        self.idempotency_key = Some(pattern);
        self
    }

    /// The run belongs to the trace that its request names.
    fn starts_run(mut self) -> Self {
        self.starts_run = true;
        self
    }

    fn answer<T: JsonSchema>(self, status: u16) -> Self {
        self.holds(status, Content::Json(SchemaGenerator::subschema_for::<T>))
    }

    fn holds(mut self, status: u16, content: Content) -> Self {
        self.answers.push((status, content));
        self
    }

    fn problem(mut self, status: u16) -> Self {
        self.problems.push(status);
        self
    }
}

/// All of them, in the order in which PROTOCOL.md tells of them.
pub fn operations() -> Vec<Operation> {
    let mut all = sessions();
    all.extend(of_the_user());
    all.extend(notifications());
    all.extend(sockets());
    all.extend(public());
    all
}

fn sessions() -> Vec<Operation> {
    let list = "/v1/sessions";
    let one = "/v1/sessions/{id}";
    let messages = "/v1/sessions/{id}/messages";
    vec![
        Operation::new("GET", list, "list_sessions", "The user's sessions, most recently active first.")
            .query::<Page>()
            .answer::<SessionList>(200),
        Operation::new("POST", list, "create_session", "A new session.")
            .body::<SessionChanges>(Need::Optional)
            .answer::<SessionView>(201),
        Operation::new("GET", one, "get_session", "A session.").answer::<SessionView>(200),
        Operation::new("PATCH", one, "change_session", "Changes a session's title, model or metadata.")
            .body::<SessionChanges>(Need::Optional)
            .answer::<SessionView>(200),
        Operation::new("DELETE", one, "delete_session", "Removes a session with everything in it.")
            .holds(204, Content::Nothing),
        Operation::new("GET", messages, "list_messages", "Messages in the order of `seq`; the newest where neither end is named.")
            .query::<Range>()
            .answer::<MessagePage>(200),
        Operation::new("POST", messages, "send_query", "Asks the agent; answered once the query is durable. The answer comes over a socket or by reading messages.")
            .body::<NewQuery>(Need::Required)
            .idempotency_key("^[A-Za-z0-9_-]{1,64}$")
            .starts_run()
            .answer::<Queued>(202)
            .problem(409),
        Operation::new("GET", "/v1/sessions/{id}/export", "export_session", "A session as a file, streamed.")
            .query::<Wanted>()
            .holds(200, Content::File),
    ]
}

fn of_the_user() -> Vec<Operation> {
    vec![
        Operation::new(
            "POST",
            "/v1/tickets",
            "make_ticket",
            "What stands in for the token in a socket's URL, once.",
        )
        .answer::<Ticket<'static>>(201),
        Operation::new(
            "GET",
            "/v1/search",
            "search_messages",
            "The user's messages that hold these words, newest first.",
        )
        .query::<Search>()
        .answer::<MatchList>(200),
        Operation::new(
            "GET",
            "/v1/models",
            "list_models",
            "The models that may be named, and the one that answers otherwise.",
        )
        .answer::<Models<'static>>(200),
        Operation::new(
            "GET",
            "/v1/usage",
            "get_usage",
            "Tokens and money by day and model, newest first.",
        )
        .query::<Days>()
        .answer::<UsageList>(200),
        Operation::new(
            "DELETE",
            "/v1/users/me",
            "erase_user",
            "Removes every trace of the user.",
        )
        .answer::<Receipt>(200),
    ]
}

fn notifications() -> Vec<Operation> {
    let all = "/v1/notifications";
    vec![
        Operation::new("POST", all, "notify_user", "Notifies a user; for services, with `agent:notify` in the token's `scope`. 200: the key was used before.")
            .body::<Notice>(Need::Required)
            .idempotency_key("^[ -~]{1,255}$")
            .answer::<Notified>(201)
            .answer::<Notified>(200)
            .problem(404),
        Operation::new("POST", "/functions/v1/notify_websocket", "notify_session", "Notifies a session's owner, in the words of the original function.")
            .body::<NotifySession>(Need::Required)
            .idempotency_key("^[ -~]{1,255}$")
            .answer::<SessionNotified>(200)
            .problem(404),
        Operation::new("GET", all, "list_notifications", "What the user has not acknowledged.")
            .query::<Size>()
            .answer::<NotificationList>(200),
        Operation::new("POST", "/v1/notifications/ack", "acknowledge", "The user has seen these, or all.")
            .body::<Seen>(Need::Required)
            .answer::<Acknowledged>(200),
    ]
}

fn sockets() -> Vec<Operation> {
    let of = |path, id, summary| {
        Operation::new("GET", path, id, summary)
            .query::<Parameters>()
            .holds(101, Content::Nothing)
            .problem(404)
    };
    vec![
        of(
            "/v1/ws",
            "open_socket",
            "Upgrades to a WebSocket; /asyncapi.json says what follows.",
        ),
        of(
            "/functions/v1/agent_websocket",
            "open_socket_as_before",
            "The same by its original path.",
        ),
        of(
            "/v1/ai-sdk",
            "open_ai_sdk_socket",
            "Upgrades to a WebSocket that speaks the frames of the AI SDK's transport.",
        ),
    ]
}

fn public() -> Vec<Operation> {
    vec![
        Operation::new("GET", "/openapi.json", "get_openapi", "This document.")
            .open_to_all()
            .holds(200, Content::Document),
        Operation::new(
            "GET",
            "/asyncapi.json",
            "get_asyncapi",
            "What is said on a socket, as AsyncAPI.",
        )
        .open_to_all()
        .holds(200, Content::Document),
        Operation::new("GET", "/healthz", "is_alive", "Whether the process lives.")
            .open_to_all()
            .answer::<Alive>(200),
        Operation::new(
            "GET",
            "/readyz",
            "is_ready",
            "Whether it can serve; 503 when it cannot, or is about to stop.",
        )
        .open_to_all()
        .answer::<Readiness>(200)
        .answer::<Readiness>(503),
    ]
}
