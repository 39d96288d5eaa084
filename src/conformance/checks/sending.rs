//! Queries: accepted once, in one order.

use serde_json::{Value, json};

use super::super::bed::Bed;
use super::super::frame::Frame;
use super::super::line::Line;
use super::super::{Stop, must};

/// The history's messages.
pub(super) async fn history(line: &mut Line) -> Result<Vec<Value>, Stop> {
    let answer = line.command("history", json!({ "limit": 200 })).await?;
    Ok(answer
        .at("/data/messages")
        .as_array()
        .cloned()
        .unwrap_or_default())
}

/// How many messages of the history are queries.
async fn queries(line: &mut Line) -> Result<usize, Stop> {
    let messages = history(line).await?;
    let is_query = |message: &&Value| message.get("role").is_some_and(|role| role == "user");
    Ok(messages.iter().filter(is_query).count())
}

pub(super) fn run_of(frame: &Frame) -> String {
    frame.text("run_id").unwrap_or_default().to_owned()
}

pub(super) async fn turn(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    must(
        accepted.int("seq") == Some(1) && accepted.int("queue_position") == Some(0),
        || format!("the first query has `seq` 1 and `queue_position` 0: {accepted}"),
    )?;
    must(!accepted.flag("duplicate"), || {
        format!("it was not sent before: {accepted}")
    })?;
    let run = run_of(&accepted);
    let thinking = line
        .until("`thinking`", |frame| {
            frame.is("status", "thinking") || frame.kind() == "response"
        })
        .await?;
    must(
        thinking.text("content") == Some("Thinking...")
            && thinking.text("in_reply_to") == accepted.text("message_id")
            && thinking.text("run_id") == Some(&run),
        || format!("it names the run and the query, and its content is `Thinking...`: {thinking}"),
    )?;
    let response = line.response(&run).await?;
    must(
        response.int("seq") == Some(2)
            && response.text("in_reply_to") == accepted.text("message_id")
            && response.text("message_id") == thinking.text("message_id"),
        || format!("it has `seq` 2, and the ids that `thinking` and `accepted` announced: {response}"),
    )?;
    line.settle().await
}

pub(super) async fn same_id(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let frame = json!({ "type": "query", "id": "same", "content": bed.short });
    let first = line.ask(frame.clone()).await?;
    let again = line.ask(frame.clone()).await?;
    is_repeat(&first, &again)?;
    line.response(&run_of(&first)).await?;
    let late = line.ask(frame).await?;
    is_repeat(&first, &late)?;
    let count = queries(&mut line).await?;
    must(count == 1, || {
        format!("the query is in the history {count} times")
    })
}

/// Whether an answer repeats another.
pub(super) fn is_repeat(first: &Frame, again: &Frame) -> Result<(), Stop> {
    let is_same = ["seq", "message_id", "run_id", "session_id"]
        .iter()
        .all(|field| first.value().get(field) == again.value().get(field));
    must(
        again.is("status", "accepted") && again.flag("duplicate") && is_same,
        || format!("sent again, it gets the first answer ({first}) with `duplicate` true, but got {again}"),
    )
}

pub(super) async fn id_conflict(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let first = line
        .query_with(json!({ "id": "taken", "content": bed.short }))
        .await?;
    let frame = json!({ "type": "query", "id": "taken", "content": "Something else" });
    line.refused(frame, "id_conflict").await?;
    line.response(&run_of(&first)).await?;
    let count = queries(&mut line).await?;
    must(count == 1, || {
        format!("the history has {count} queries instead of one")
    })
}

pub(super) async fn same_id_elsewhere(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let mut other = bed.resume(&line.session, None).await?;
    other.live().await?;
    let frame = json!({ "type": "query", "id": "mine", "content": bed.short });
    let first = line.ask(frame.clone()).await?;
    let again = other.ask(frame.clone()).await?;
    is_repeat(&first, &again)?;
    // In another session the same id is another query's.
    let mut elsewhere = bed.fresh().await?;
    let accepted = elsewhere.ask(frame).await?;
    must(
        accepted.is("status", "accepted") && !accepted.flag("duplicate"),
        || format!("an `id` of one session means nothing in another: {accepted}"),
    )
}

pub(super) async fn many_at_once(bed: &Bed) -> Result<(), Stop> {
    let mut left = bed.fresh().await?;
    let mut right = bed.resume(&left.session, None).await?;
    right.live().await?;
    let mut runs = Vec::new();
    for number in 0..2 {
        let query =
            |side: &str| json!({ "type": "query", "id": format!("{side}-{number}"), "content": bed.short });
        let (one, two) = futures_util::future::join(left.ask(query("left")), right.ask(query("right"))).await;
        for accepted in [one?, two?] {
            must(accepted.is("status", "accepted"), || {
                format!("answered by {accepted}")
            })?;
            runs.push(run_of(&accepted));
        }
    }
    for line in [&mut left, &mut right] {
        for run in &runs {
            line.response(run).await?;
        }
        line.settle().await?;
    }
    let order = |line: &Line| -> Vec<(i64, String)> {
        line.heard
            .iter()
            .filter_map(|frame| Some((frame.int("seq")?, frame.text("message_id")?.to_owned())))
            .collect()
    };
    must(order(&left) == order(&right), || {
        format!("the one saw {:?}, the other {:?}", order(&left), order(&right))
    })?;
    must(order(&left).len() == 2 * runs.len(), || {
        format!(
            "of {} queries with answers {} messages were seen",
            runs.len(),
            order(&left).len()
        )
    })
}
