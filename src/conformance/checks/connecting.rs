//! Getting in, and not getting in.

use serde_json::json;

use super::super::bed::{Bed, Door, Refused};
use super::super::line::Line;
use super::super::{Stop, must};
use crate::secret::Secret;

/// A session that nobody has.
pub(super) const NOBODYS: &str = "00000000-0000-4000-8000-000000000000";

/// A token that no key has signed: its parts are in order.
const BAD_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJub2JvZHkiLCJleHAiOjQxMDI0NDQ4MDB9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn bad_token() -> Secret {
    Secret::new(BAD_TOKEN)
}

/// Reads `welcome` and `live` of a new session.
async fn is_new(bed: &Bed, line: &mut Line) -> Result<(), Stop> {
    let welcome = line
        .until("`welcome`", |frame| frame.is("notification", "welcome"))
        .await?;
    bed.keep_in_mind(line);
    must(!welcome.flag("resumed") && welcome.int("head") == Some(0), || {
        format!("a new session has `resumed` false and `head` 0: {welcome}")
    })?;
    let text = format!("Connected to Agent WebSocket. Session ID: {}", line.session);
    must(welcome.text("content") == Some(&text), || {
        format!("its content is {text:?}: {welcome}")
    })?;
    must(welcome.int("protocol") == Some(1), || {
        format!("its `protocol` is 1: {welcome}")
    })?;
    line.live().await?;
    must(line.heard.iter().all(|frame| !frame.has("seq")), || {
        "a new session has no messages, but some came".to_owned()
    })
}

pub(super) async fn header(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.open(&bed.door()).await?;
    is_new(bed, &mut line).await
}

pub(super) async fn protocol(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.open(&Door::plain().bearer_protocol(&bed.token)).await?;
    is_new(bed, &mut line).await
}

pub(super) async fn no_protocol(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.open(&bed.door().no_protocol()).await?;
    is_new(bed, &mut line).await
}

pub(super) async fn first_frame(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.open(&Door::plain().no_protocol()).await?;
    let answer = line
        .command("auth", json!({ "token": bed.token.expose() }))
        .await?;
    must(line.heard.len() == 1, || {
        format!("before the answer to `auth` came something else: {answer}")
    })?;
    is_new(bed, &mut line).await?;
    // Its session wins over the URL's.
    let session = line.session.clone();
    let mut line = bed
        .open(&Door::plain().query(&format!("session_id={NOBODYS}")))
        .await?;
    line.command(
        "auth",
        json!({ "token": bed.token.expose(), "session_id": session, "after": 0 }),
    )
    .await?;
    line.live().await?;
    must(line.session == session, || {
        format!(
            "the `session_id` of `auth` wins over the URL's, but {} was opened",
            line.session
        )
    })
}

pub(super) async fn ticket(bed: &Bed) -> Result<(), Stop> {
    let reply = bed.http("/v1/tickets", Some(&json!({}))).await?;
    let body = reply.body.unwrap_or_default();
    let ticket = body
        .get("ticket")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    must(reply.status == 201 && !ticket.is_empty(), || {
        format!("POST /v1/tickets was answered with {}", reply.status)
    })?;
    let door = Door::plain().query(&format!("ticket={ticket}"));
    let mut line = bed.open(&door).await?;
    is_new(bed, &mut line).await?;
    is_unauthorized(bed.open(&door).await?).await
}

/// The connection must end as one with a bad token does.
async fn is_unauthorized(mut line: Line) -> Result<(), Stop> {
    line.closes_with(4501).await?;
    tells(&line, "unauthorized")
}

/// The last frame must be an error with this code.
fn tells(line: &Line, code: &str) -> Result<(), Stop> {
    let told = line.heard.last().and_then(|frame| frame.text("code"));
    must(told == Some(code), || {
        format!("before the close no `error` told of `{code}`")
    })
}

/// The upgrade must have been refused with this status.
fn is_refused(outcome: Result<Line, Refused>, status: u16) -> Result<(), Stop> {
    match outcome {
        Ok(_) => Err(Stop::Failed(format!("the upgrade was not refused with {status}"))),
        Err(refused) => must(refused.status == status, || {
            format!(
                "refused with {} instead of {status}: {}",
                refused.status, refused.body
            )
        }),
    }
}

pub(super) async fn bad_token_by_status(bed: &Bed) -> Result<(), Stop> {
    let door = Door::plain().no_protocol().bearer(&bad_token());
    is_refused(bed.knock(&door).await?, 401)
}

pub(super) async fn bad_token_by_close(bed: &Bed) -> Result<(), Stop> {
    is_unauthorized(bed.open(&Door::plain().bearer_protocol(&bad_token())).await?).await
}

pub(super) async fn bad_token_in_first_frame(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.open(&Door::plain()).await?;
    line.send(&json!({ "type": "command", "content": "auth", "id": "a", "args": { "token": BAD_TOKEN } }))
        .await?;
    is_unauthorized(line).await
}

pub(super) async fn something_before_auth(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.open(&Door::plain()).await?;
    line.send(&json!({ "type": "query", "content": "Hello" })).await?;
    is_unauthorized(line).await
}

pub(super) async fn no_session_by_status(bed: &Bed) -> Result<(), Stop> {
    let door = bed.door().no_protocol().query(&format!("session_id={NOBODYS}"));
    is_refused(bed.knock(&door).await?, 404)
}

pub(super) async fn no_session_by_close(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.resume(NOBODYS, None).await?;
    line.closes_with(4504).await?;
    tells(&line, "not_found")
}

pub(super) async fn no_upgrade(bed: &Bed) -> Result<(), Stop> {
    let reply = bed.http("/v1/ws", None).await?;
    let body = reply.body.unwrap_or_default();
    let says_so = body.to_string().contains("Expected WebSocket request");
    must(reply.status == 400 && says_so, || {
        format!("answered with {} and {body}", reply.status)
    })
}

pub(super) async fn foreign_origin(bed: &Bed) -> Result<(), Stop> {
    let door = Door {
        origin: Some("https://conformance.invalid"),
        ..bed.door()
    };
    is_refused(bed.knock(&door).await?, 403)
}

pub(super) async fn latest(bed: &Bed) -> Result<(), Stop> {
    let mut first = bed.fresh().await?;
    let accepted = first.query(&bed.short).await?;
    first
        .response(accepted.text("run_id").unwrap_or_default())
        .await?;
    let mut line = bed.open(&bed.door().query("session_id=latest")).await?;
    line.live().await?;
    must(line.session == first.session, || {
        format!(
            "{} was active last, but {} was opened",
            first.session, line.session
        )
    })?;
    must(
        line.heard.first().is_some_and(|welcome| welcome.flag("resumed")),
        || "`welcome` of a resumed session has `resumed` true".to_owned(),
    )
}

pub(super) async fn empty_parameters(bed: &Bed) -> Result<(), Stop> {
    let query = "session_id=&after=&device_id=&surely_unknown=1";
    let mut line = bed.open(&bed.door().query(query)).await?;
    is_new(bed, &mut line).await
}
