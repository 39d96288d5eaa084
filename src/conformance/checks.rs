//! The checks, in the order in which they run: each provokes what one sentence of PROTOCOL.md is about.
//!
//! Each makes sessions of its own, so that none depends on another. Those that use up a limit come last.

mod breaches;
mod commands;
mod connecting;
mod others;
mod refusals;
mod resume;
mod sending;
mod steering;

use std::pin::Pin;

use super::Stop;
use super::bed::Bed;

/// What a check is while it runs.
type Work<'a> = Pin<Box<dyn Future<Output = Result<(), Stop>> + 'a>>;

/// One check.
pub(super) struct Check {
    pub(super) name: &'static str,
    /// The heading in PROTOCOL.md under which it is demanded.
    pub(super) section: &'static str,
    pub(super) must: &'static str,
    pub(super) run: for<'a> fn(&'a Bed) -> Work<'a>,
}

macro_rules! checks {
    ($($section:literal { $($name:literal: $run:path, $must:literal;)* })*) => {
        vec![$($(Check { name: $name, section: $section, must: $must, run: |bed| Box::pin($run(bed)) }),*),*]
    };
}

/// All of them.
pub(super) fn checks() -> Vec<Check> {
    let mut all = first();
    all.extend(conversation());
    all.extend(last());
    all
}

fn first() -> Vec<Check> {
    checks! {
        "Connecting" {
            "token-in-header": connecting::header, "A token in the header opens a new session: `welcome` with `head` 0, then `live`";
            "token-in-protocol": connecting::protocol, "A token in the sub-protocol opens a socket; the reply selects agentws.v1";
            "token-in-first-frame": connecting::first_frame, "Without a token the command `auth` opens the connection, and is answered before `welcome`";
            "no-sub-protocol": connecting::no_protocol, "A client that offers no sub-protocol is let in, and none is selected";
            "ticket": connecting::ticket, "A ticket opens one socket, and no second one";
            "bad-token-status": connecting::bad_token_by_status, "Without agentws.v1 a bad token is refused with 401 before the upgrade";
            "bad-token-close": connecting::bad_token_by_close, "With agentws.v1 a bad token is told by an `error` `unauthorized`, then 4501";
            "bad-token-first-frame": connecting::bad_token_in_first_frame, "A bad token in the first frame is an `error`, then 4501";
            "something-before-auth": connecting::something_before_auth, "What is not `auth` as the first frame ends the connection with 4501";
            "no-session-status": connecting::no_session_by_status, "Without agentws.v1 a session that does not exist is 404";
            "no-session-close": connecting::no_session_by_close, "With agentws.v1 a session that does not exist is told by an `error` `not_found`, then 4504";
            "no-upgrade": connecting::no_upgrade, "A request that is no upgrade gets 400 `Expected WebSocket request`";
            "foreign-origin": connecting::foreign_origin, "An `Origin` that is not allowed is refused with 403";
            "latest": connecting::latest, "`session_id=latest` is the session that was active most recently";
            "empty-parameters": connecting::empty_parameters, "An empty parameter counts as absent, and an unknown one is ignored";
        }
        "Frames" {
            "no-json": refusals::no_json, "What is no JSON object is answered by `invalid_json`, and the connection goes on";
            "unknown-field": refusals::unknown_field, "A field that is not in the contract is refused with `invalid_message`";
            "wrong-field": refusals::wrong_field, "A field of another form is refused with `invalid_message`";
            "unknown-type": refusals::unknown_type, "A type that is not in the contract is refused with `unknown_type`";
            "null-character": refusals::null_character, "U+0000 is refused wherever it stands";
            "timestamp-ignored": refusals::timestamp, "A `timestamp` from a client is accepted and ignored";
            "blank-query": refusals::blank_query, "A blank query is `content_required`, with the text `Message content is required`";
            "long-query": refusals::long_query, "A query of more than 32 KiB is `too_large`";
            "unknown-model": refusals::unknown_model, "A model that the operator does not allow is `model_unavailable`";
            "refused-not-stored": refusals::not_stored, "What is refused is not in the history";
        }
        "Commands" {
            "unknown-command": commands::unknown, "A command that there is not is `unknown_command`; one without a name `content_required`";
            "command-answers": commands::answers, "Each command is answered by one `status` with its name as `event`, `re` and the result in `data`";
            "in-order": commands::in_order, "Frames are carried out one after the other, in the order in which they were sent";
            "new-and-resume": commands::new_and_resume, "`new` and `resume` are answered first; then follows the connect sequence";
            "rename": commands::rename, "`rename` is seen on the session's other connections";
            "history": commands::history, "`history` has the messages in the order of `seq`, and the newest without `before`";
            "clear": commands::clear, "`clear` says after which `seq` the context begins, and removes nothing";
            "renew": commands::renew, "`auth` with a new token of the same user changes nothing else";
            "delete": commands::delete, "`delete` closes the session's other connections with 4509; it is gone then";
            "foreign-things": commands::nobodys, "What does not exist is `not_found`: sessions, messages, runs, answers";
        }
    }
}

fn conversation() -> Vec<Check> {
    checks! {
        "Order and resume" {
            "turn": sending::turn, "A query is accepted, thought about, written and answered: `seq` 1, then 2";
            "same-id": sending::same_id, "The same `id` with the same content gets the first answer again, and is in the history once";
            "id-conflict": sending::id_conflict, "The same `id` with other content is `id_conflict`";
            "same-id-elsewhere": sending::same_id_elsewhere, "An `id` is good for its session on any connection";
            "many-at-once": sending::many_at_once, "What two connections send at once is in one order, the same for both";
            "run-outlives-socket": resume::run_goes_on, "Closing the socket does not stop a run";
            "resume-mid-answer": resume::in_mid_answer, "A cut in mid-answer: `thinking` and one `delta` at 0 with all text so far, then the rest, then the response";
            "resume-from-0": resume::from_the_start, "`after=0` replays everything as it was: `seq`, ids, text and time";
            "resume-from-head": resume::from_the_head, "`after` at the head replays nothing";
            "resume-beyond-head": resume::beyond_the_head, "`after` beyond the head is the newest messages, as if it was absent";
            "closed-during-query": resume::cut_before_accepted, "A query that was sent before a cut, and again after it, is in the history once";
        }
        "cancel, regenerate, queue, unqueue" {
            "cancel-nothing": steering::cancel_nothing, "`cancel` with nothing running answers `none`";
            "cancel": steering::cancel, "`cancel` ends the run: one `response` with the state `cancelled`";
            "cancel-late": steering::cancel_late, "A late `cancel` changes nothing, and answers the state in which the run had ended";
            "busy": steering::busy, "`on_busy` `reject` while an answer is written is `busy`; nothing is stored and the `id` stays free";
            "interrupt": steering::interrupt, "`on_busy` `interrupt` cancels the answer being written and runs next";
            "queue": steering::queue, "A query that waits says its `queue_position`, and stands in `queue`";
            "unqueue": steering::unqueue, "`unqueue` ends a waiting run as `cancelled`; the message stays";
            "regenerate": steering::regenerate, "`regenerate` gives a new `response` with a new `seq` to the same query";
        }
        "From the client" {
            "feedback": steering::feedback, "`human_feedback` about an answer is answered by a `status` with the event `feedback`";
        }
        "From the server" {
            "other-connection": others::same_frames, "Another connection sees the `query`, and the same frames of its run";
            "device": others::device, "A second socket with the same `device_id` closes the first with 4409";
            "notification": others::notification, "A notification reaches every connection, and again at each connect, until it is acknowledged";
        }
        "HTTP" {
            "http-history": others::http_history, "`GET /v1/sessions/{id}/messages` has what the socket told";
            "http-query": others::http_query, "A query by HTTP is 202 once durable, and is seen on the socket";
            "http-problem": others::http_problem, "A problem is application/problem+json's fields with the socket's code: 401 and 404";
        }
    }
}

fn last() -> Vec<Check> {
    checks! {
        "Close codes" {
            "binary": breaches::binary, "A binary frame closes with 1003";
            "too-long": breaches::too_long, "A frame above `max_message_bytes` closes with 1009";
            "no-utf8": breaches::no_utf8, "Text that is not UTF-8 closes with 1007";
            "no-websocket": breaches::no_websocket, "What breaks RFC 6455 closes with 1002";
            "bad-frames": breaches::bad_frames, "20 frames that cannot be understood are borne; many more in a minute close with 4500";
            "client-closes": breaches::client_closes, "A client's close is answered";
        }
        "Errors" {
            "rate-limit": breaches::rate_limit, "Too many queries are `rate_limited`, with `retryable` and `retry_after_ms`, and are not stored";
        }
        "Close codes" {
            "flood": breaches::flood, "Far too many frames a second close with 4429";
        }
    }
}
