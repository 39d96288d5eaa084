//! Frames that are not as the contract says: each is answered by one error, and the conversation goes on.

use serde_json::{Value, json};

use crate::support::client::TestClient;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

/// A frame, the code that answers it, and the `re` of the answer.
type Case = (String, &'static str, Option<&'static str>);

fn case(frame: impl Into<String>, code: &'static str, re: Option<&'static str>) -> Case {
    (frame.into(), code, re)
}

/// A query with other fields than it should have.
fn query_with(fields: &str) -> String {
    format!(r#"{{"type":"query","id":"f","content":"Hello?",{fields}}}"#)
}

/// A command with these arguments.
fn command(name: &str, args: &str) -> String {
    format!(r#"{{"type":"command","id":"f","content":"{name}","args":{args}}}"#)
}

/// Feedback with these fields.
fn feedback(fields: &str) -> String {
    format!(r#"{{"type":"human_feedback","id":"f",{fields}}}"#)
}

/// Sends each frame and checks its one answer, then that a query works as ever.
async fn assert_refused(cases: Vec<Case>) {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    // A socket takes so many bad frames a minute, and not more.
    for some in cases.chunks(20) {
        let mut client = node.connect("alice").await;
        client.live().await;
        for (frame, code, re) in some {
            client.send_text(frame).await;
            let answer = client.next().await.unwrap();
            let shown: String = frame.chars().take(200).collect();
            assert_eq!(answer["type"], "error", "{shown} got {answer}");
            assert_eq!(answer["code"], *code, "{shown} got {answer}");
            assert_eq!(
                answer.get("re").and_then(Value::as_str),
                *re,
                "{shown} got {answer}"
            );
            assert_eq!(answer["retryable"], false, "{shown} got {answer}");
        }
        let response = client.ask("q1", "Still there?").await;
        assert_eq!(
            response["seq"], 2,
            "nothing that was refused is in the log: {response}"
        );
    }
    node.shut_down().await;
}

#[tokio::test]
async fn what_is_no_json_object_is_invalid_json() {
    assert_refused(vec![
        case("", "invalid_json", None),
        case("hello", "invalid_json", None),
        case("42", "invalid_json", None),
        case("null", "invalid_json", None),
        case("[]", "invalid_json", None),
        case(r#"[{"type":"query","content":"x"}]"#, "invalid_json", None),
        case(r#""query""#, "invalid_json", None),
        case("{", "invalid_json", None),
        case(r#"{"type":"query","content":"x""#, "invalid_json", None),
        case(r#"{"type":"query","content":"x"} {}"#, "invalid_json", None),
        case(r#"{"type":"query","content":"x",}"#, "invalid_json", None),
        case(r"{'type':'query','content':'x'}", "invalid_json", None),
        case("\u{feff}{}", "invalid_json", None),
        case("{\"type\":\"query\",\"content\":\"\u{1}\"}", "invalid_json", None),
    ])
    .await;
}

#[tokio::test]
async fn a_lone_surrogate_is_refused() {
    let f = Some("f");
    assert_refused(vec![
        case(
            r#"{"type":"query","id":"f","content":"\ud83d"}"#,
            "invalid_message",
            f,
        ),
        case(
            r#"{"type":"query","id":"f","content":"\ude00\ud83d"}"#,
            "invalid_message",
            f,
        ),
        case(query_with(r#""metadata":{"\ud83d":1}"#), "invalid_message", f),
    ])
    .await;
}

#[tokio::test]
async fn json_that_nests_without_end_is_refused() {
    let braces = |n: usize| r#"{"a":"#.repeat(n) + "1" + &"}".repeat(n);
    let brackets = "[".repeat(2000) + &"]".repeat(2000);
    let f = Some("f");
    assert_refused(vec![
        case(
            query_with(&format!(r#""metadata":{}"#, braces(2000))),
            "invalid_message",
            f,
        ),
        case(
            query_with(&format!(r#""metadata":{{"a":{brackets}}}"#)),
            "invalid_message",
            f,
        ),
        case(command("ping", &braces(2000)), "invalid_message", f),
        case("[".repeat(100_000), "invalid_json", None),
    ])
    .await;
}

#[tokio::test]
async fn a_frame_without_a_known_type_is_refused() {
    assert_refused(vec![
        case("{}", "invalid_message", None),
        case(r#"{"id":"f"}"#, "invalid_message", Some("f")),
        case(r#"{"type":null,"id":"f"}"#, "invalid_message", Some("f")),
        case(r#"{"type":7,"id":"f"}"#, "invalid_message", Some("f")),
        case(r#"{"type":"","id":"f"}"#, "unknown_type", Some("f")),
        case(
            r#"{"type":"Query","id":"f","content":"x"}"#,
            "unknown_type",
            Some("f"),
        ),
        case(
            r#"{"type":"response","id":"f","content":"x"}"#,
            "unknown_type",
            Some("f"),
        ),
        case(
            r#"{"type":"query","type":"query","content":"x","id":"f"}"#,
            "invalid_message",
            None,
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_id_that_is_no_name_is_refused_and_not_repeated() {
    let long = "x".repeat(65);
    let query = |id: &str| format!(r#"{{"type":"query","content":"x","id":{id}}}"#);
    assert_refused(vec![
        case(query("7"), "invalid_message", None),
        case(query("{}"), "invalid_message", None),
        case(query(r#""""#), "invalid_message", None),
        case(query(r#""a b""#), "invalid_message", None),
        case(query(r#""ä""#), "invalid_message", None),
        case(query(r#""a\u0000b""#), "invalid_message", None),
        case(query(&format!("\"{long}\"")), "invalid_message", None),
    ])
    .await;
}

#[tokio::test]
async fn a_query_that_is_not_as_it_should_be_is_refused() {
    let too_long = "ä".repeat(16 * 1024) + "x";
    let deep = format!(r#""metadata":{}1{}"#, r#"{"a":"#.repeat(9), "}".repeat(9));
    let large = format!(r#""metadata":{{"a":"{}"}}"#, "x".repeat(4096));
    let f = Some("f");
    assert_refused(vec![
        case(r#"{"type":"query","id":"f"}"#, "content_required", f),
        case(
            r#"{"type":"query","id":"f","content":null}"#,
            "content_required",
            f,
        ),
        case(r#"{"type":"query","id":"f","content":""}"#, "content_required", f),
        case(
            r#"{"type":"query","id":"f","content":" \n\t\u00a0"}"#,
            "content_required",
            f,
        ),
        case(r#"{"type":"query","id":"f","content":7}"#, "invalid_message", f),
        case(
            r#"{"type":"query","id":"f","content":["x"]}"#,
            "invalid_message",
            f,
        ),
        case(
            r#"{"type":"query","id":"f","content":"a\u0000b"}"#,
            "invalid_message",
            f,
        ),
        case(
            format!(r#"{{"type":"query","id":"f","content":"{too_long}"}}"#),
            "too_large",
            f,
        ),
        case(query_with(r#""priority":"urgent""#), "invalid_message", f),
        case(query_with(r#""on_busy":"wait""#), "invalid_message", f),
        case(query_with(r#""model":7"#), "invalid_message", f),
        case(query_with(r#""model":"gpt\u0000""#), "invalid_message", f),
        case(query_with(r#""model":"not/allowed""#), "model_unavailable", f),
        case(query_with(r#""metadata":[]"#), "invalid_message", f),
        case(query_with(r#""metadata":{"a":"\u0000"}"#), "invalid_message", f),
        case(
            query_with(r#""metadata":{"a":[{"\u0000":1}]}"#),
            "invalid_message",
            f,
        ),
        case(query_with(&deep), "invalid_message", f),
        case(query_with(&large), "invalid_message", f),
        case(query_with(r#""colour":"red""#), "invalid_message", f),
        case(query_with(r#""args":{}"#), "invalid_message", f),
        case(query_with(r#""content":"again""#), "invalid_message", f),
    ])
    .await;
}

/// Commands with arguments that they do not take.
const WRONG_ARGS: [(&str, &str); 37] = [
    ("ping", r#"{"now":true}"#),
    ("help", r#"{"x":1}"#),
    ("sessions", r#"{"limit":0}"#),
    ("sessions", r#"{"limit":201}"#),
    ("sessions", r#"{"limit":-1}"#),
    ("sessions", r#"{"before":7}"#),
    ("new", r#"{"title":"x"}"#),
    ("resume", "{}"),
    ("resume", r#"{"session_id":"first"}"#),
    ("resume", r#"{"session_id":7}"#),
    ("history", r#"{"limit":201}"#),
    ("history", r#"{"limit":0}"#),
    ("history", r#"{"before":"x"}"#),
    ("rename", "{}"),
    ("rename", r#"{"title":""}"#),
    ("rename", r#"{"title":" "}"#),
    ("rename", r#"{"title":"a\nb"}"#),
    ("rename", r#"{"title":"a\u0000b"}"#),
    ("clear", r#"{"all":true}"#),
    ("delete", "{}"),
    ("delete", r#"{"session_id":"x"}"#),
    ("cancel", r#"{"run_id":"x"}"#),
    ("regenerate", r#"{"message_id":"x"}"#),
    ("model", r#"{"model":7}"#),
    ("queue", r#"{"limit":1}"#),
    ("unqueue", "{}"),
    ("search", "{}"),
    ("search", r#"{"q":" "}"#),
    ("search", r#"{"q":"a\u0000"}"#),
    ("search", r#"{"q":"a","limit":201}"#),
    ("inbox", r#"{"limit":0}"#),
    ("ack", "{}"),
    ("ack", r#"{"all":false}"#),
    ("ack", r#"{"notification_ids":["x"]}"#),
    ("auth", "{}"),
    ("auth", r#"{"token":7}"#),
    ("auth", r#"{"token":"x.y.z","who":"me"}"#),
];

#[tokio::test]
async fn a_command_that_is_not_as_it_should_be_is_refused() {
    let f = Some("f");
    let mut cases: Vec<Case> = WRONG_ARGS
        .iter()
        .map(|(name, args)| case(command(name, args), "invalid_message", f))
        .collect();
    cases.extend([
        case(r#"{"type":"command","id":"f"}"#, "content_required", f),
        case(command("", "{}"), "content_required", f),
        case(command("dance", "{}"), "unknown_command", f),
        case(command("PING", "{}"), "unknown_command", f),
        case(command("ping", "[]"), "invalid_message", f),
        case(command("ping", "7"), "invalid_message", f),
        case(
            r#"{"type":"command","id":"f","content":"ping","extra":1}"#,
            "invalid_message",
            f,
        ),
        case(
            command("model", r#"{"model":"not/allowed"}"#),
            "model_unavailable",
            f,
        ),
    ]);
    assert_refused(cases).await;
}

#[tokio::test]
async fn feedback_that_is_not_as_it_should_be_is_refused() {
    let id = uuid::Uuid::new_v4();
    let about = |fields: &str| feedback(&format!(r#""message_id":"{id}",{fields}"#));
    let f = Some("f");
    assert_refused(vec![
        case(feedback(r#""rating":1"#), "invalid_message", f),
        case(feedback(r#""message_id":"x","rating":1"#), "invalid_message", f),
        case(feedback(&format!(r#""message_id":"{id}""#)), "invalid_message", f),
        case(about(r#""rating":2"#), "invalid_message", f),
        case(about(r#""rating":0.5"#), "invalid_message", f),
        case(about(r#""rating":"good""#), "invalid_message", f),
        case(about(r#""content":"a\u0000b""#), "invalid_message", f),
        case(about(r#""correction":"a\u0000b""#), "invalid_message", f),
        case(about(r#""tags":["a\u0000"]"#), "invalid_message", f),
        case(about(r#""tags":"fine""#), "invalid_message", f),
        case(about(r#""rating":1,"stars":5"#), "invalid_message", f),
        case(about(r#""rating":1"#), "not_found", f),
        case(
            feedback(&format!(r#""request_id":"{id}","approved":true"#)),
            "not_found",
            f,
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_the_contract_accepts_and_ignores_is_accepted() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    let frames = [
        json!({ "type": "query", "id": "with-time", "content": "x", "timestamp": "2020-01-01T00:00:00.000Z" }),
        json!({ "type": "query", "id": "odd-time", "content": "x", "timestamp": 12 }),
        json!({ "type": "query", "id": "nulls", "content": "x", "model": null, "metadata": null }),
        json!({ "type": "query", "id": "max_-64".to_owned() + &"x".repeat(57), "content": "x" }),
        json!({ "type": "query", "id": "fields", "content": "x", "priority": "high", "on_busy": "enqueue",
            "model": "test/other", "metadata": { "a": { "b": [1] } } }),
        json!({ "type": "query", "id": "longest", "content": "ä".repeat(16 * 1024) }),
    ];
    for frame in frames {
        client.send(&frame).await;
        let accepted = client
            .until(|answer| answer["event"] == "accepted" || answer["type"] == "error")
            .await;
        assert_eq!(accepted["re"], frame["id"], "{accepted}");
        answered(&mut client, &accepted).await;
    }
    // The original client sends no id, and gets the same frames without `re`.
    client.send(&json!({ "type": "query", "content": "plain" })).await;
    let accepted = client.until(|frame| frame["event"] == "accepted").await;
    assert!(accepted.get("re").is_none(), "{accepted}");
    answered(&mut client, &accepted).await;
    client
        .send(&json!({ "type": "command", "content": "ping" }))
        .await;
    let pong = client.until(|frame| frame["event"] == "ping").await;
    assert!(pong.get("re").is_none(), "{pong}");
    node.shut_down().await;
}

async fn answered(client: &mut TestClient, accepted: &Value) {
    client
        .until(|frame| frame["type"] == "response" && frame["in_reply_to"] == accepted["message_id"])
        .await;
}
