//! A command's result as lines for a person.
//!
//! Pure, and forgiving: a field that is missing is left out, and a result that is unknown shows the server's own sentence.
//! [`super::talk`] writes what it returns.

use serde_json::Value;

use crate::client::frames::{Done, Notification};
use crate::ids::SessionId;

/// The result in lines.
pub(super) fn lines(done: &Done) -> Vec<String> {
    let data = &done.data;
    match done.event.as_str() {
        "sessions" => list(data, "sessions", session),
        "history" => list(data, "messages", |_, item| message(item)),
        "search" => list(data, "matches", |_, item| message(item)),
        "queue" => list(data, "queue", |_, item| message(item)),
        "inbox" => list(data, "notifications", |_, item| {
            let (kind, title) = (text(item, "kind"), item.get("title").and_then(Value::as_str));
            notice(kind, title, text(item, "content"))
        }),
        "ack" => {
            let count = data
                .get("notification_ids")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            vec![format!("acknowledged: {count}")]
        }
        "model" => vec![model(data)],
        "cancel" => vec![format!("cancel: {}", text(data, "state"))],
        _ => vec![done.content.clone()],
    }
}

/// The sessions that a list of them names, in its order.
pub(super) fn sessions(done: &Done) -> Vec<SessionId> {
    done.data
        .get("sessions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|item| Some(SessionId(item.get("session_id")?.as_str()?.parse().ok()?)))
        .collect()
}

/// A notification in one line.
pub(super) fn notified(notification: &Notification) -> String {
    notice(
        &notification.kind,
        notification.title.as_deref(),
        &notification.content,
    )
}

fn notice(kind: &str, title: Option<&str>, content: &str) -> String {
    let kind = if kind.is_empty() {
        String::new()
    } else {
        format!(" ({kind})")
    };
    let title = title.map(|title| format!(" {title}:")).unwrap_or_default();
    format!("notification{kind}:{title} {content}")
}

fn list(data: &Value, name: &str, item: fn(usize, &Value) -> String) -> Vec<String> {
    let items = data
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if items.is_empty() {
        return vec![format!("no {name}")];
    }
    items
        .iter()
        .enumerate()
        .map(|(at, value)| item(at + 1, value))
        .collect()
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn session(number: usize, item: &Value) -> String {
    // To the minute.
    let at: String = text(item, "last_activity_at").chars().take(16).collect();
    let title = item.get("title").and_then(Value::as_str).unwrap_or("(no title)");
    let messages = item.get("last_seq").and_then(Value::as_i64).unwrap_or_default();
    format!(
        "{number:>3}  {}  {}  {title} ({messages} messages)",
        text(item, "session_id"),
        at.replace('T', " ")
    )
}

fn message(item: &Value) -> String {
    let seq = item.get("seq").and_then(Value::as_i64).unwrap_or_default();
    // What waits is always the user's.
    let role = item.get("role").and_then(Value::as_str).unwrap_or("user");
    format!("#{seq} {role}: {}", text(item, "content"))
}

fn model(data: &Value) -> String {
    let chosen = data.get("model").and_then(Value::as_str).unwrap_or("the default");
    let allowed: Vec<&str> = data
        .get("allowed_models")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if allowed.is_empty() {
        format!("model: {chosen}")
    } else {
        format!("model: {chosen} (you may choose {})", allowed.join(", "))
    }
}
