//! Frames that are not as the contract says: each is answered by one error, and the conversation goes on.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::super::bed::Bed;
use super::super::{Stop, must};

pub(super) async fn no_json(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for text in ["", "hello", "42", "[]", "null", "{\"type\":", "{} {}"] {
        line.send_message(Message::text(text)).await?;
        let answer = line.until(&format!("the answer to {text:?}"), |_| true).await?;
        must(answer.text("code") == Some("invalid_json"), || {
            format!("{text:?} was answered by {answer}")
        })?;
        must(!answer.has("re") && answer.at("/retryable") == false, || {
            format!("it has no `re`, and `retryable` is false: {answer}")
        })?;
    }
    line.command("ping", json!(null)).await.map(|_| ())
}

pub(super) async fn unknown_field(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for frame in [
        json!({ "type": "query", "content": "Hello", "contnet": "Hello" }),
        json!({ "type": "command", "content": "ping", "arguments": {} }),
        json!({ "type": "command", "content": "ping", "args": { "loud": true } }),
        json!({ "type": "human_feedback", "message_id": super::connecting::NOBODYS, "stars": 5 }),
    ] {
        line.refused(frame, "invalid_message").await?;
    }
    Ok(())
}

pub(super) async fn wrong_field(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let long_id = "x".repeat(65);
    for frame in [
        json!({ "type": "query", "content": 42 }),
        json!({ "type": "query", "content": "Hello", "on_busy": "wait" }),
        json!({ "type": "query", "content": "Hello", "priority": 1 }),
        json!({ "type": "query", "content": "Hello", "metadata": [] }),
        json!({ "type": "query", "content": "Hello", "metadata": { "much": "x".repeat(4096) } }),
        json!({ "type": "command", "content": "history", "args": { "limit": 0 } }),
        json!({ "type": "command", "content": "history", "args": { "limit": 201 } }),
        json!({ "type": "command", "content": "resume", "args": {} }),
        json!({ "type": "human_feedback", "message_id": super::connecting::NOBODYS, "rating": 2 }),
    ] {
        line.refused(frame, "invalid_message").await?;
    }
    // An id that is none cannot be repeated.
    for id in ["", "two words", &long_id] {
        line.send_message(Message::text(
            json!({ "type": "command", "content": "ping", "id": id }).to_string(),
        ))
        .await?;
        let answer = line
            .until(&format!("the answer to the id {id:?}"), |_| true)
            .await?;
        must(answer.text("code") == Some("invalid_message"), || {
            format!("the id {id:?} was answered by {answer}")
        })?;
    }
    Ok(())
}

pub(super) async fn unknown_type(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for kind in ["surely_unknown", "response", "delta"] {
        line.refused(json!({ "type": kind, "content": "Hello" }), "unknown_type")
            .await?;
    }
    Ok(())
}

pub(super) async fn null_character(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for frame in [
        json!({ "type": "query", "content": "a\u{0}b" }),
        json!({ "type": "query", "content": "Hello", "metadata": { "a": "\u{0}" } }),
        json!({ "type": "query", "content": "Hello", "metadata": { "\u{0}": 1 } }),
        json!({ "type": "command", "content": "rename", "args": { "title": "a\u{0}b" } }),
    ] {
        line.refused(frame, "invalid_message").await?;
    }
    Ok(())
}

pub(super) async fn timestamp(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let frame = json!({ "type": "command", "content": "ping", "timestamp": "2001-01-01T00:00:00.000Z" });
    let answer = line.ask(frame).await?;
    must(answer.is("status", "ping"), || {
        format!("it was answered by {answer}")
    })?;
    let own = answer.text("timestamp").unwrap_or_default();
    must(!own.starts_with("2001"), || {
        format!("the server takes the client's time for its own: {answer}")
    })
}

pub(super) async fn blank_query(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    for content in ["", " \n\t", "\u{3000}"] {
        let frame = json!({ "type": "query", "content": content });
        let answer = line.refused(frame, "content_required").await?;
        must(
            answer.text("content") == Some("Message content is required"),
            || format!("its text is `Message content is required`: {answer}"),
        )?;
    }
    Ok(())
}

pub(super) async fn long_query(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    // 32,769 bytes of UTF-8, but fewer characters.
    let content = format!("{}x", "é".repeat(16 * 1024));
    line.refused(json!({ "type": "query", "content": content }), "too_large")
        .await
        .map(|_| ())
}

pub(super) async fn unknown_model(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let model = "conformance/no-such-model";
    line.refused(
        json!({ "type": "query", "content": "Hello", "model": model }),
        "model_unavailable",
    )
    .await?;
    let frame = json!({ "type": "command", "content": "model", "args": { "model": model } });
    line.refused(frame, "model_unavailable").await.map(|_| ())
}

pub(super) async fn not_stored(bed: &Bed) -> Result<(), Stop> {
    let mut line = bed.fresh().await?;
    let frame = json!({ "type": "query", "id": "refused", "content": " " });
    line.refused(frame, "content_required").await?;
    let history = line.command("history", json!({})).await?;
    must(
        history.at("/data/messages").as_array().is_some_and(Vec::is_empty),
        || format!("the history is not empty: {history}"),
    )
}
