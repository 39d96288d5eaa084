//! Other connections of the same user, other ways in, and other services.

use serde_json::{Value, json};

use super::super::bed::Bed;
use super::super::frame::Frame;
use super::super::line::Line;
use super::super::{Stop, must};
use super::connecting::NOBODYS;
use super::sending::run_of;

pub(super) async fn same_frames(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let mut other = bed.resume(&line.session, None).await?;
    other.live().await?;
    let accepted = line
        .query_with(json!({ "id": "theirs", "content": bed.short }))
        .await?;
    let query = other.until("the `query`", |frame| frame.has("seq")).await?;
    must(
        query.kind() == "query"
            && query.text("content") == Some(&bed.short)
            && query.text("id") == Some("theirs")
            && query.text("message_id") == accepted.text("message_id")
            && query.int("seq") == accepted.int("seq")
            && !query.flag("replay"),
        || format!("the other connection saw {query} of {accepted}"),
    )?;
    let run = run_of(&accepted);
    let mine = line.response(&run).await?;
    let theirs = other.response(&run).await?;
    must(mine == theirs, || {
        format!("the one saw {mine}, the other {theirs}")
    })?;
    must(
        other.heard.iter().any(|frame| frame.is("status", "thinking")),
        || "the other connection saw no `thinking`".to_owned(),
    )
}

pub(super) async fn device(bed: &Bed) -> Result<(), Stop> {
    let mut first = bed.fresh().await?;
    let query = format!("session_id={}&device_id=conformance", first.session);
    let mut old = bed.open(&bed.door().query(&query)).await?;
    old.live().await?;
    let mut new = bed.open(&bed.door().query(&query)).await?;
    new.live().await?;
    old.closes_with(4409).await?;
    for line in [&mut new, &mut first] {
        line.command("ping", json!(null)).await?;
    }
    Ok(())
}

/// Waits for a notification.
async fn told(line: &mut Line, id: &str) -> Result<Frame, Stop> {
    line.until("the notification", |frame| {
        frame.is("notification", "message") && frame.text("notification_id") == Some(id)
    })
    .await
}

pub(super) async fn notification(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let mut device = bed.fresh().await?;
    let user = line
        .heard
        .first()
        .and_then(|welcome| welcome.text("user_id"))
        .unwrap_or_default()
        .to_owned();
    let body =
        json!({ "user_id": user, "content": "Conformance", "kind": "conformance", "data": { "a": 1 } });
    let reply = bed.http("/v1/notifications", Some(&body)).await?;
    let id = reply
        .body
        .as_ref()
        .and_then(|body| body.get("notification_id")?.as_str());
    let id = match (reply.status, id) {
        (201, Some(id)) => id.to_owned(),
        (403, _) => {
            return Err(Stop::Skipped(
                "the token's `scope` does not hold agent:notify: give one whose does".to_owned(),
            ));
        }
        (status, _) => {
            return Err(Stop::Failed(format!(
                "POST /v1/notifications was answered with {status}"
            )));
        }
    };
    for line in [&mut line, &mut device] {
        let frame = told(line, &id).await?;
        must(
            frame.text("content") == Some("Conformance")
                && frame.text("kind") == Some("conformance")
                && frame.at("/data/a") == 1,
            || format!("it came as {frame}"),
        )?;
    }
    let mut back = bed.resume(&line.session, None).await?;
    back.live().await?;
    let waits = |frame: &Frame| frame.text("notification_id") == Some(&id) && frame.flag("replay");
    must(back.heard.iter().any(waits), || {
        "it was not acknowledged, but did not come at the next connect".to_owned()
    })?;
    let answer = line.command("ack", json!({ "notification_ids": [id] })).await?;
    must(answer.at("/data/notification_ids") == &json!([id]), || {
        format!("`ack` was answered by {answer}")
    })?;
    let is_cleared = |frame: &Frame| frame.is("notification", "cleared");
    let cleared = device.until("`cleared` on the other device", is_cleared).await?;
    must(cleared.at("/notification_ids") == &json!([id]), || {
        format!("cleared: {cleared}")
    })?;
    let mut again = bed.resume(&line.session, None).await?;
    again.live().await?;
    must(!again.heard.iter().any(waits), || {
        "it came again after it was acknowledged".to_owned()
    })
}

pub(super) async fn http_history(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    let response = line.response(&run_of(&accepted)).await?;
    let reply = bed
        .http(&format!("/v1/sessions/{}/messages", line.session), None)
        .await?;
    let page = reply.body.unwrap_or_default();
    let field = |at: usize, field: &str| page.pointer(&format!("/messages/{at}/{field}")).cloned();
    must(
        reply.status == 200
            && field(0, "content") == Some(json!(bed.short))
            && field(1, "content") == response.value().get("content").cloned()
            && field(1, "message_id") == response.value().get("message_id").cloned()
            && field(1, "seq") == Some(json!(2))
            && page.get("head") == Some(&json!(2)),
        || format!("{}: {page:.300}", reply.status),
    )?;
    let reply = bed
        .http(&format!("/v1/sessions/{}/messages?after=1", line.session), None)
        .await?;
    let count = reply
        .body
        .as_ref()
        .and_then(|page| page.get("messages")?.as_array())
        .map(Vec::len);
    must(count == Some(1), || {
        format!("after `seq` 1 there is one message, but it has {count:?}")
    })
}

pub(super) async fn http_query(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let path = format!("/v1/sessions/{}/messages", line.session);
    let body = json!({ "content": bed.short, "id": "by-http" });
    let queued = bed.http(&path, Some(&body)).await?;
    let again = bed.http(&path, Some(&body)).await?;
    let (first, second) = (queued.body.unwrap_or_default(), again.body.unwrap_or_default());
    must(
        queued.status == 202 && first.get("seq") == Some(&json!(1)),
        || format!("answered with {} and {first}", queued.status),
    )?;
    must(
        again.status == 202
            && second.get("duplicate") == Some(&Value::Bool(true))
            && second.get("message_id") == first.get("message_id"),
        || format!("sent again, it was answered with {} and {second}", again.status),
    )?;
    let run = first
        .get("run_id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    line.response(&run).await?;
    let query = line.heard.iter().find(|frame| frame.kind() == "query");
    must(
        query.is_some_and(|query| query.text("id") == Some("by-http")),
        || "the socket did not show the query".to_owned(),
    )
}

pub(super) async fn http_problem(bed: &Bed) -> Result<(), Stop> {
    let nothing = bed.http(&format!("/v1/sessions/{NOBODYS}"), None).await?;
    let nobody = bed
        .web
        .ask("/v1/sessions", None, None)
        .await
        .map_err(Stop::Failed)?;
    for (reply, status, code) in [(nothing, 404, "not_found"), (nobody, 401, "unauthorized")] {
        let body = reply.body.unwrap_or_default();
        let says = |field: &str| body.get(field).cloned().unwrap_or_default();
        must(
            reply.status == status
                && says("status") == json!(status)
                && says("code") == json!(code)
                && says("title").is_string()
                && says("detail").is_string(),
            || {
                format!(
                    "{} and {body} instead of {status} with the code `{code}`",
                    reply.status
                )
            },
        )?;
    }
    Ok(())
}
