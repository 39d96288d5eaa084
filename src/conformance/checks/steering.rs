//! Runs under way and in the queue: stopped, refused, put first, taken out, done again. And what people think of answers.

use serde_json::json;

use super::super::bed::Bed;
use super::super::frame::Frame;
use super::super::line::Line;
use super::super::{Stop, must};
use super::sending::run_of;

/// A connection with an answer being written, of which some text came, and its run.
async fn writing(bed: &Bed) -> Result<(Line, String), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.long).await?;
    let run = run_of(&accepted);
    line.text(&run, 1).await?;
    Ok((line, run))
}

/// The response of a run must have this state.
async fn ends_as(line: &mut Line, run: &str, state: &str) -> Result<Frame, Stop> {
    let response = line.response(run).await?;
    must(response.text("state") == Some(state), || {
        format!("its state is `{state}`: {response}")
    })?;
    Ok(response)
}

/// A command's answer must have this state in its data.
async fn answers_state(
    line: &mut Line,
    name: &str,
    arguments: serde_json::Value,
    state: &str,
) -> Result<(), Stop> {
    let answer = line.command(name, arguments).await?;
    must(answer.at("/data/state") == &json!(state), || {
        format!("`data.state` is `{state}`: {answer}")
    })
}

pub(super) async fn cancel_nothing(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    answers_state(&mut line, "cancel", json!({}), "none").await
}

pub(super) async fn cancel(bed: &Bed) -> Result<(), Stop> {
    let (mut line, run) = writing(bed).await?;
    answers_state(&mut line, "cancel", json!({}), "cancelling").await?;
    let response = ends_as(&mut line, &run, "cancelled").await?;
    line.settle().await?;
    must(!response.text("content").unwrap_or_default().is_empty(), || {
        format!("the text that had come is in the answer: {response}")
    })
}

pub(super) async fn cancel_late(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    let run = run_of(&accepted);
    ends_as(&mut line, &run, "complete").await?;
    answers_state(&mut line, "cancel", json!({ "run_id": run }), "complete").await
}

pub(super) async fn busy(bed: &Bed) -> Result<(), Stop> {
    let (mut line, run) = writing(bed).await?;
    let frame = json!({ "type": "query", "id": "free", "content": bed.short, "on_busy": "reject" });
    let refusal = line.refused(frame.clone(), "busy").await?;
    must(refusal.flag("retryable"), || {
        format!("it is `retryable`: {refusal}")
    })?;
    line.command("cancel", json!({})).await?;
    line.response(&run).await?;
    let accepted = line.ask(frame).await?;
    must(
        accepted.is("status", "accepted") && !accepted.flag("duplicate"),
        || format!("the `id` stayed free, but the query was answered by {accepted}"),
    )?;
    must(accepted.int("seq") == Some(3), || {
        format!("nothing was stored in between: {accepted}")
    })
}

pub(super) async fn interrupt(bed: &Bed) -> Result<(), Stop> {
    let (mut line, run) = writing(bed).await?;
    let waiting = line.query(&bed.short).await?;
    let first = line
        .query_with(json!({ "content": bed.short, "on_busy": "interrupt" }))
        .await?;
    ends_as(&mut line, &run, "cancelled").await?;
    let is_next = |frame: &Frame| frame.is("status", "thinking");
    let next = line
        .until("`thinking` of the query that interrupted", is_next)
        .await?;
    must(next.text("run_id") == first.text("run_id"), || {
        format!("the query that interrupts runs next, before those that wait: {next}")
    })?;
    line.response(&run_of(&first)).await?;
    ends_as(&mut line, &run_of(&waiting), "complete")
        .await
        .map(|_| ())
}

pub(super) async fn queue(bed: &Bed) -> Result<(), Stop> {
    let (mut line, run) = writing(bed).await?;
    let low = line
        .query_with(json!({ "content": bed.short, "priority": "low" }))
        .await?;
    let high = line
        .query_with(json!({ "content": bed.short, "priority": "high" }))
        .await?;
    must(low.int("queue_position") == Some(1), || {
        format!("one run is before it: {low}")
    })?;
    let listed = line.command("queue", json!({})).await?;
    let order: Vec<_> = (0..2)
        .map(|at| listed.at(&format!("/data/queue/{at}/run_id")).clone())
        .collect();
    must(order == [json!(run_of(&high)), json!(run_of(&low))], || {
        format!("the one with the high priority runs first: {listed}")
    })?;
    line.command("cancel", json!({ "run_id": run })).await?;
    line.response(&run).await?;
    let next = line
        .until("the next `thinking`", |frame| frame.is("status", "thinking"))
        .await?;
    must(next.text("run_id") == high.text("run_id"), || {
        format!("the one with the high priority runs first, but this ran: {next}")
    })
}

pub(super) async fn unqueue(bed: &Bed) -> Result<(), Stop> {
    let (mut line, run) = writing(bed).await?;
    let waiting = line.query(&bed.short).await?;
    let message = waiting.text("message_id").unwrap_or_default().to_owned();
    line.command("unqueue", json!({ "message_id": message })).await?;
    let response = ends_as(&mut line, &run_of(&waiting), "cancelled").await?;
    must(response.text("content") == Some(""), || {
        format!("a run that never ran has no text: {response}")
    })?;
    line.command("cancel", json!({})).await?;
    line.response(&run).await?;
    let stays = super::sending::history(&mut line)
        .await?
        .iter()
        .any(|stored| stored.get("message_id") == Some(&json!(message)));
    must(stays, || "the query is not in the history any more".to_owned())
}

pub(super) async fn regenerate(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    let first = line.response(&run_of(&accepted)).await?;
    let query = accepted.text("message_id").unwrap_or_default().to_owned();
    let frame = json!({ "type": "command", "content": "regenerate", "id": "once-more", "args": { "message_id": query } });
    let answer = line.ask(frame.clone()).await?;
    let run = answer.at("/data/run_id").as_str().unwrap_or_default().to_owned();
    must(answer.is("status", "regenerate") && !run.is_empty(), || {
        format!("`regenerate` was answered by {answer}")
    })?;
    let second = line.response(&run).await?;
    must(
        second.text("in_reply_to") == Some(&query)
            && second.int("seq") == Some(3)
            && second.text("message_id") != first.text("message_id"),
        || format!("a new answer to the same query, with `seq` 3: {second}"),
    )?;
    let again = line.ask(frame).await?;
    must(
        again.at("/data/duplicate") == true && again.at("/data/run_id") == &json!(run),
        || format!("its `id` is idempotent like a query's: {again}"),
    )
}

pub(super) async fn feedback(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    let response = line.response(&run_of(&accepted)).await?;
    let message = response.text("message_id").unwrap_or_default().to_owned();
    for rating in [1, -1] {
        let frame = json!({
            "type": "human_feedback", "message_id": message, "rating": rating, "content": "Conformance", "tags": ["a"],
        });
        let answer = line.ask(frame).await?;
        must(
            answer.is("status", "feedback") && answer.text("message_id") == Some(&message),
            || format!("feedback was answered by {answer}"),
        )?;
    }
    Ok(())
}
