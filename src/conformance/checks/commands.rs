//! Commands, each by what it answers and what others see of it.

use serde_json::json;

use super::super::bed::Bed;
use super::super::{Stop, must};
use super::connecting::NOBODYS;

pub(super) async fn unknown(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let frame = json!({ "type": "command", "content": "surely_unknown" });
    line.refused(frame, "unknown_command").await?;
    let frame = json!({ "type": "command", "content": " " });
    line.refused(frame, "content_required").await.map(|_| ())
}

pub(super) async fn answers(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for (name, arguments, list) in [
        ("ping", json!(null), None),
        ("help", json!(null), Some("commands")),
        ("sessions", json!({ "limit": 2 }), Some("sessions")),
        ("history", json!({}), Some("messages")),
        ("queue", json!({}), Some("queue")),
        ("inbox", json!({ "limit": 1 }), Some("notifications")),
        (
            "search",
            json!({ "q": "conformance", "limit": 1 }),
            Some("matches"),
        ),
        ("model", json!({ "model": null }), Some("allowed_models")),
        (
            "ack",
            json!({ "notification_ids": [NOBODYS] }),
            Some("notification_ids"),
        ),
    ] {
        let answer = line.command(name, arguments).await?;
        if let Some(list) = list {
            must(answer.at(&format!("/data/{list}")).is_array(), || {
                format!("`data.{list}` is a list: {answer}")
            })?;
        }
    }
    Ok(())
}

pub(super) async fn in_order(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let names: Vec<String> = (0..8).map(|number| format!("order-{number}")).collect();
    for (name, command) in names
        .iter()
        .zip(["ping", "history", "help", "queue"].iter().cycle())
    {
        line.send(&json!({ "type": "command", "content": command, "id": name }))
            .await?;
    }
    for name in &names {
        let answer = line
            .until(&format!("the answer to {name}"), |frame| frame.has("re"))
            .await?;
        must(answer.text("re") == Some(name), || {
            format!("the answer to {name} was to come, and this came: {answer}")
        })?;
    }
    Ok(())
}

pub(super) async fn new_and_resume(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    line.response(accepted.text("run_id").unwrap_or_default()).await?;
    let first = line.session.clone();
    line.command("new", json!({})).await?;
    line.live().await?;
    bed.keep_in_mind(&line);
    must(line.session != first, || "`new` stayed in its session".to_owned())?;
    let before = line.heard.len();
    line.command("resume", json!({ "session_id": first, "after": 1 }))
        .await?;
    line.live().await?;
    let replayed: Vec<i64> = line
        .heard
        .iter()
        .skip(before)
        .filter_map(|frame| frame.int("seq"))
        .collect();
    must(line.session == first && replayed == [2], || {
        format!(
            "after `resume` with `after` 1 the session was {} and it replayed {replayed:?}",
            line.session
        )
    })?;
    let frame = json!({ "type": "command", "content": "resume", "args": { "session_id": NOBODYS } });
    line.refused(frame, "not_found").await?;
    // And it is where it was.
    let history = line.command("history", json!({})).await?;
    must(history.at("/data/messages/0/session_id") == &json!(first), || {
        format!("after a `resume` that was refused the connection stays in its session: {history}")
    })
}

pub(super) async fn rename(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let mut other = bed.resume(&line.session, None).await?;
    other.live().await?;
    line.command("rename", json!({ "title": "Conformance" })).await?;
    let told = other
        .until("the new title", |frame| frame.is("status", "session"))
        .await?;
    must(
        told.text("title") == Some("Conformance") && !told.flag("deleted"),
        || format!("the other connection was told {told}"),
    )?;
    let sessions = line.command("sessions", json!({ "limit": 200 })).await?;
    let is_listed = sessions
        .at("/data/sessions")
        .as_array()
        .into_iter()
        .flatten()
        .any(|session| {
            session.get("session_id") == Some(&json!(line.session))
                && session.get("title") == Some(&json!("Conformance"))
        });
    must(is_listed, || "`sessions` does not have the new title".to_owned())
}

pub(super) async fn history(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for _ in 0..2 {
        let accepted = line.query(&bed.short).await?;
        line.response(accepted.text("run_id").unwrap_or_default()).await?;
    }
    for (arguments, expected) in [
        (json!({}), vec![1, 2, 3, 4]),
        (json!({ "limit": 1 }), vec![4]),
        (json!({ "before": 3 }), vec![1, 2]),
        (json!({ "before": 4, "limit": 2 }), vec![2, 3]),
        (json!({ "before": 1 }), vec![]),
    ] {
        let answer = line.command("history", arguments.clone()).await?;
        let messages = answer
            .at("/data/messages")
            .as_array()
            .cloned()
            .unwrap_or_default();
        let seqs: Vec<i64> = messages
            .iter()
            .filter_map(|message| message.get("seq")?.as_i64())
            .collect();
        must(seqs == expected, || {
            format!("with {arguments} it has the messages {seqs:?} instead of {expected:?}")
        })?;
    }
    Ok(())
}

pub(super) async fn clear(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    line.response(accepted.text("run_id").unwrap_or_default()).await?;
    let answer = line.command("clear", json!({})).await?;
    must(answer.at("/data/context_after_seq") == 2, || {
        format!("the context begins after `seq` 2: {answer}")
    })?;
    let history = line.command("history", json!({})).await?;
    must(
        history.at("/data/messages").as_array().map(Vec::len) == Some(2),
        || format!("both messages stay in the history: {history}"),
    )
}

pub(super) async fn renew(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let before = line.heard.len();
    let answer = line
        .command("auth", json!({ "token": bed.token.expose() }))
        .await?;
    must(answer.has("expires_at"), || {
        format!("it says until when: {answer}")
    })?;
    let frame = json!({ "type": "command", "content": "auth", "args": { "token": "no token" } });
    line.refused(frame, "unauthorized").await?;
    line.command("ping", json!(null)).await?;
    must(line.heard.len() == before + 3, || {
        "a renewal changes nothing, but other frames came".to_owned()
    })
}

pub(super) async fn delete(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let mut other = bed.fresh().await?;
    let session = other.session.clone();
    line.command("delete", json!({ "session_id": session })).await?;
    other.closes_with(4509).await?;
    let mut again = bed.resume(&session, None).await?;
    again.closes_with(4504).await?;
    // Its own: answered, then closed.
    let own = line.session.clone();
    line.command("delete", json!({ "session_id": own })).await?;
    line.closes_with(4509).await?;
    bed.made
        .borrow_mut()
        .retain(|made| *made != session && *made != own);
    Ok(())
}

pub(super) async fn nobodys(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for frame in [
        json!({ "type": "command", "content": "resume", "args": { "session_id": NOBODYS } }),
        json!({ "type": "command", "content": "delete", "args": { "session_id": NOBODYS } }),
        json!({ "type": "command", "content": "unqueue", "args": { "message_id": NOBODYS } }),
        json!({ "type": "command", "content": "cancel", "args": { "run_id": NOBODYS } }),
        json!({ "type": "command", "content": "regenerate", "args": { "message_id": NOBODYS } }),
        json!({ "type": "human_feedback", "message_id": NOBODYS, "rating": 1 }),
    ] {
        line.refused(frame, "not_found").await?;
    }
    Ok(())
}
