//! Coming back: what was missed is sent, once, as it was.

use serde_json::{Value, json};

use super::super::bed::Bed;
use super::super::frame::Frame;
use super::super::line::Line;
use super::super::{Stop, must};
use super::sending::{history, is_repeat, run_of};

/// How much of an answer is read before the cut, in UTF-16 code units.
const BEFORE_THE_CUT: usize = 30;

pub(super) async fn run_goes_on(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let session = line.session.clone();
    let accepted = line.query(&bed.long).await?;
    let run = run_of(&accepted);
    line.text(&run, BEFORE_THE_CUT).await?;
    line.close().await?;
    let mut back = bed.resume(&session, Some(1)).await?;
    let response = back.response(&run).await?;
    must(response.text("state") == Some("complete"), || {
        format!("its run ended as {:?}: {response}", response.text("state"))
    })
}

pub(super) async fn in_mid_answer(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let session = line.session.clone();
    let accepted = line.query(&bed.long).await?;
    let run = run_of(&accepted);
    let before = line.text(&run, BEFORE_THE_CUT).await?;
    line.cut();

    let mut back = bed.resume(&session, Some(1)).await?;
    back.live().await?;
    let caught_up: Vec<&Frame> = back.heard.iter().filter(|frame| frame.flag("replay")).collect();
    if caught_up.iter().any(|frame| frame.kind() == "response") {
        return Err(Stop::Skipped(
            "the answer was complete before the connection was back: give a --long-question whose answer takes longer"
                .to_owned(),
        ));
    }
    let shape: Vec<&str> = caught_up.iter().map(|frame| frame.kind()).collect();
    must(shape == ["status", "delta"], || {
        format!("the catch-up of a run in progress is `thinking` and one `delta`, but was {shape:?}")
    })?;
    let so_far = caught_up
        .last()
        .and_then(|delta| delta.text("content"))
        .unwrap_or_default();
    must(so_far.starts_with(&before), || {
        format!(
            "the text so far ({so_far:.100?}) does not begin with what came before the cut ({before:.100?})"
        )
    })?;
    let so_far = so_far.to_owned();
    let response = back.response(&run).await?;
    back.settle().await?;
    let content = response.text("content").unwrap_or_default();
    must(content.starts_with(&so_far), || {
        format!("the answer does not begin with the text of the catch-up: {response}")
    })
}

/// The frames of a connection that are messages.
fn messages(line: &Line, replayed: bool) -> Vec<Frame> {
    let is_one = |frame: &&Frame| frame.has("seq") && frame.flag("replay") == replayed;
    line.heard.iter().filter(is_one).cloned().collect()
}

pub(super) async fn from_the_start(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let accepted = line.query(&bed.short).await?;
        let run = run_of(&accepted);
        line.response(&run).await?;
        runs.push(run);
    }
    let first_time = messages(&line, false);
    let mut back = bed.resume(&line.session, Some(0)).await?;
    back.live().await?;
    back.settle().await?;
    let replayed = messages(&back, true);
    let kinds: Vec<&str> = replayed.iter().map(Frame::kind).collect();
    must(kinds == ["query", "response", "query", "response"], || {
        format!("two turns were replayed as {kinds:?}")
    })?;
    for (was, is) in first_time.iter().zip(&replayed) {
        let mut fields = vec!["seq", "message_id", "timestamp", "session_id"];
        if is.kind() == "response" {
            fields.extend(["content", "sha256", "length", "state", "in_reply_to"]);
        }
        for field in fields {
            must(was.value().get(field) == is.value().get(field), || {
                format!("`{field}` was another when it was live: {was}, and now {is}")
            })?;
        }
    }
    let asked = replayed.first().and_then(|query| query.text("content"));
    must(asked == Some(&bed.short), || {
        format!("the query's text is another now: {asked:?}")
    })
}

pub(super) async fn from_the_head(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    line.response(&run_of(&accepted)).await?;
    let mut back = bed.resume(&line.session, Some(2)).await?;
    let caught_up = back.live().await?;
    let welcome = back.heard.first();
    must(
        caught_up.int("head") == Some(2) && welcome.is_some_and(|frame| frame.flag("resumed")),
        || format!("the head is 2, and `welcome` says `resumed`: {caught_up}"),
    )?;
    let seqs: Vec<_> = back.heard.iter().filter_map(|frame| frame.int("seq")).collect();
    must(seqs.is_empty(), || {
        format!("there was nothing to replay, but {seqs:?} came")
    })
}

pub(super) async fn beyond_the_head(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let accepted = line.query(&bed.short).await?;
    line.response(&run_of(&accepted)).await?;
    for after in [Some(1_000_000), None] {
        let mut back = bed.resume(&line.session, after).await?;
        back.live().await?;
        let seqs: Vec<_> = back.heard.iter().filter_map(|frame| frame.int("seq")).collect();
        must(seqs == [1, 2], || {
            format!("with `after` {after:?} the newest messages come: 1 and 2, but {seqs:?} came")
        })?;
    }
    Ok(())
}

pub(super) async fn cut_before_accepted(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let session = line.session.clone();
    let frame = json!({ "type": "query", "id": "unheard", "content": bed.short });
    line.send(&frame).await?;
    line.cut();
    let mut back = bed.resume(&session, Some(0)).await?;
    back.live().await?;
    let first = back.ask(frame.clone()).await?;
    must(first.is("status", "accepted"), || {
        format!("sent again, it was answered by {first}")
    })?;
    let again = back.ask(frame).await?;
    is_repeat(&first, &again)?;
    let messages = history(&mut back).await?;
    let is_ours = |message: &&Value| message.get("id").is_some_and(|id| id == "unheard");
    let count = messages.iter().filter(is_ours).count();
    must(count == 1, || {
        format!("the query is in the history {count} times")
    })
}
