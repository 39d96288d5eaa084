//! Frames of clients: whatever is not refused is as the contract says, and a refusal repeats nothing that could hurt.

use agent_websocket::host::HostName;
use agent_websocket::protocol::client::{ClientFrame, Command, MAX_CONTENT_BYTES, Query, parse};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::fuzz;
use super::mutation::mutated_text;

const SAMPLES: [&str; 12] = [
    r#"{"type":"query","id":"q-1","content":"What is a durable log?"}"#,
    r#"{"type":"query","content":"x","on_busy":"interrupt","priority":"high","model":"a/b","metadata":{"a":[{"b":1}]}}"#,
    r#"{"type":"query","timestamp":"2026-11-20T22:39:50.446Z","content":"ünï \ud83d\ude00 \u0061\n"}"#,
    r#"{"type":"command","id":"c-1","content":"ping"}"#,
    r#"{"type":"command","content":"auth","args":{"token":"a.b.c","session_id":"latest","after":7}}"#,
    r#"{"type":"command","content":"history","args":{"before":9,"limit":200}}"#,
    r#"{"type":"command","content":"rename","args":{"title":"Greek travels"}}"#,
    r#"{"type":"command","content":"resume","args":{"session_id":"01a1fb1d-b05c-748a-9a92-48544a64a3e2","after":0}}"#,
    r#"{"type":"command","content":"ack","args":{"notification_ids":["bf947a8f-66e5-4f09-9314-46f2a404ae2c"]}}"#,
    r#"{"type":"command","content":"search","args":{"q":"log","limit":10}}"#,
    r#"{"type":"human_feedback","id":"f","message_id":"01a1fb1d-b08c-7285-9f9c-f2c760fd7513","rating":1,"tags":["a"]}"#,
    r#"{"type":"human_feedback","request_id":"01a1fb1d-b08c-7285-9f9c-f2c760fd7513","approved":true}"#,
];

fn is_plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control())
}

/// What every query must be that gets this far.
fn check_query(query: &Query, text: &str) {
    let content = query.content.as_str();
    assert!(
        !content.trim().is_empty() && content.len() <= MAX_CONTENT_BYTES,
        "{text:?}"
    );
    assert!(!content.contains('\0'), "{text:?}");
    let metadata = query.metadata.clone().map(Value::Object).unwrap_or_default();
    let metadata = metadata.to_string();
    assert!(
        metadata.len() <= 4096 && !metadata.contains("\\u0000"),
        "{text:?}"
    );
}

#[test]
fn no_text_of_a_client_gets_through_that_should_not() {
    let (mut accepted, mut refused) = (0_u32, 0_u32);
    fuzz("frames::no_text", |random| {
        let text = mutated_text(random, &SAMPLES);
        match parse(&text) {
            Ok(frame) => {
                accepted += 1;
                // A timestamp is not looked at: what its escapes stand for may be no characters.
                let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
                assert!(is_json && text.trim_start().starts_with('{'), "{text:?}");
                match frame {
                    ClientFrame::Query(query) => check_query(&query, &text),
                    ClientFrame::Command(_, Command::Rename(title)) => {
                        assert!(is_plain(title.as_str()), "{text:?}");
                    }
                    ClientFrame::Command(..) | ClientFrame::Feedback(_) => {}
                }
            }
            Err(bad) => {
                refused += 1;
                let words = &bad.refusal.content;
                assert!(words.len() <= 400 && is_plain(words), "{text:?} got {words:?}");
            }
        }
    });
    // Cases that are all refused early would test little.
    assert!(refused < 50 || accepted > refused / 100, "{accepted} accepted");
}

const HOSTS: [&str; 6] = [
    "agent.example.com",
    "agent.example.com:8443",
    "localhost:*",
    "[::1]:8080",
    "127.0.0.1",
    "user@agent.example.com",
];

#[test]
fn a_header_that_is_taken_for_a_host_is_that_host() {
    fuzz("frames::a_header", |random| {
        let header = mutated_text(random, &HOSTS);
        let known: HostName = "agent.example.com:8443".parse().unwrap();
        if known.is(&header) {
            // Only its case, and zeros before the port's digits, may differ.
            let lower = header.to_ascii_lowercase();
            let digits = lower.strip_prefix("agent.example.com:").unwrap();
            assert_eq!(digits.trim_start_matches('0'), "8443", "{header:?}");
        }
        if let Ok(host) = header.parse::<HostName>() {
            assert!(header.ends_with(":*") || host.is(&header), "{header:?}");
        }
    });
}
