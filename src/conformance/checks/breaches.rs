//! What ends a connection, and what uses up a limit. The last checks, since a limit stays used up for a while.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::super::bed::Bed;
use super::super::line::Heard;
use super::super::{Stop, must};

/// Bad frames that are borne, and so many that no server bears them.
const BORNE: usize = 20;
const NOT_BORNE: usize = 60;

/// Queries at once, more than a person sends.
const MANY_QUERIES: usize = 40;

/// Frames at once, more than an interface sends.
const MANY_FRAMES: usize = 400;

pub(super) async fn binary(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    line.send_message(Message::binary(vec![1, 2, 3])).await?;
    line.closes_with(1003).await
}

pub(super) async fn too_long(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let most = line
        .heard
        .first()
        .and_then(|welcome| welcome.int("max_message_bytes"));
    let most = most
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or_default();
    must(most >= 256 * 1024, || {
        format!("`max_message_bytes` is at least 262144, but is {most}")
    })?;
    let frame = |length: usize| {
        let around = r#"{"type":"command","content":"ping"}"#;
        Message::text(format!("{around}{}", " ".repeat(length - around.len())))
    };
    line.send_message(frame(most)).await?;
    line.until("the answer to a frame of `max_message_bytes`", |answer| {
        answer.is("status", "ping")
    })
    .await?;
    // The server may close before it has taken all of it.
    let sent = line.send_message(frame(most + 1)).await;
    match line.closes_with(1009).await {
        Err(Stop::Failed(why)) if sent.is_err() => Err(Stop::Failed(format!(
            "{why}: it must read on until the client has seen the code"
        ))),
        outcome => outcome,
    }
}

/// A text frame that the library would not make by itself.
fn raw_text(payload: &'static [u8]) -> RawFrame {
    RawFrame::message(payload, OpCode::Data(Data::Text), true)
}

pub(super) async fn no_utf8(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    line.send_message(Message::Frame(raw_text(b"\"\xff\xfe\"")))
        .await?;
    line.closes_with(1007).await
}

pub(super) async fn no_websocket(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let mut frame = raw_text(b"{}");
    // A bit that means nothing unless both sides had agreed on it.
    frame.header_mut().rsv1 = true;
    line.send_message(Message::Frame(frame)).await?;
    line.closes_with(1002).await
}

pub(super) async fn client_closes(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    line.send_message(Message::Close(None)).await?;
    line.closed("the answer to the close").await.map(|_| ())
}

pub(super) async fn bad_frames(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for _ in 0..BORNE {
        line.send_message(Message::text("{")).await?;
        line.until("`invalid_json`", |frame| {
            frame.text("code") == Some("invalid_json")
        })
        .await?;
    }
    line.command("ping", json!(null)).await?;
    for _ in BORNE..NOT_BORNE {
        if line.send_message(Message::text("{")).await.is_err() {
            break;
        }
    }
    loop {
        match line.hear("the close with 4500").await? {
            Heard::Closed(4500) => return Ok(()),
            Heard::Closed(4429) => {
                return Err(Stop::Skipped(
                    "the limit of frames a second closed it first".to_owned(),
                ));
            }
            Heard::Closed(code) => return Err(Stop::Failed(format!("closed with {code} instead of 4500"))),
            Heard::Frame(_) => {}
        }
    }
}

pub(super) async fn rate_limit(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    // Repeats of one query: they count, and cost no answer.
    let frame = json!({ "type": "query", "id": "again", "content": bed.short });
    line.ask(frame.clone()).await?;
    for _ in 0..MANY_QUERIES {
        line.send(&frame).await?;
    }
    let mut refusal = None;
    for _ in 0..MANY_QUERIES {
        let answer = line
            .until("the answer to a repeat", |answer| {
                answer.text("re") == Some("again")
            })
            .await?;
        match answer.text("code") {
            Some("rate_limited") => refusal = Some(answer),
            Some(_) => return Err(Stop::Failed(format!("a repeat was answered by {answer}"))),
            None => {}
        }
    }
    let seen_before = bed.shared.notes.borrow().rate_limited.is_some();
    let Some(refusal) = refusal else {
        return Err(Stop::Skipped(format!(
            "{MANY_QUERIES} queries at once met no limit here{}",
            if seen_before {
                ", though other checks met one"
            } else {
                ""
            }
        )));
    };
    must(
        refusal.flag("retryable") && refusal.int("retry_after_ms").is_some_and(|ms| ms > 0),
        || format!("it is `retryable`, and says when: {refusal}"),
    )?;
    // Refused, it was not stored: after the wait the id is free.
    let accepted = line
        .query_with(json!({ "id": "later", "content": bed.short }))
        .await?;
    must(!accepted.flag("duplicate"), || {
        format!("a query that was refused was stored: {accepted}")
    })
}

pub(super) async fn flood(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let frame = json!({ "type": "command", "content": "ping" });
    let mut answered = 0;
    for _ in 0..MANY_FRAMES {
        if line.send(&frame).await.is_err() {
            break;
        }
    }
    loop {
        match line.hear("the close with 4429, or the answers").await {
            Ok(Heard::Closed(4429)) => return Ok(()),
            Ok(Heard::Closed(code)) => {
                return Err(Stop::Failed(format!("closed with {code} instead of 4429")));
            }
            Ok(Heard::Frame(_)) if answered + 1 == MANY_FRAMES => {
                return Err(Stop::Skipped(format!(
                    "{MANY_FRAMES} frames at once met no limit here"
                )));
            }
            Ok(Heard::Frame(_)) => answered += 1,
            Err(stop) => return Err(stop),
        }
    }
}
