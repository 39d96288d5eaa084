//! What a client does that ends its socket, and that it sees why.

use futures_util::SinkExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{bearer, browser, open_as_browser, open_without_token};
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;
use crate::support::raw::{CLOSE, CONTINUATION, Part, RawClient, TEXT};

const MAX_MESSAGE_BYTES: usize = 262_144;

#[tokio::test]
async fn the_same_device_replaces_its_old_socket_and_another_does_not() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut old = open_as_browser(&node, "?device_id=phone", &token("alice"))
        .await
        .unwrap();
    old.welcome().await;
    let session = old.session.clone();
    let mut tablet = open_as_browser(
        &node,
        &format!("?session_id={session}&device_id=tablet"),
        &token("alice"),
    )
    .await
    .unwrap();
    tablet.live().await;
    let mut new = open_as_browser(
        &node,
        &format!("?session_id={session}&device_id=phone"),
        &token("alice"),
    )
    .await
    .unwrap();
    new.live().await;
    assert_eq!(old.closed().await.0, 4409);
    let response = new.ask("q1", "Hello?").await;
    let seen = tablet.until(|frame| frame["type"] == "response").await;
    assert_eq!(
        seen["message_id"], response["message_id"],
        "the other device stays"
    );

    // The same name elsewhere is another place.
    let mut elsewhere = open_as_browser(&node, "?device_id=phone", &token("alice"))
        .await
        .unwrap();
    elsewhere.live().await;
    new.ask("q2", "Still there?").await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_binary_frame_ends_the_socket_with_1003() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = browser(&node, "alice").await;
    let frame = json!({ "type": "query", "content": "Hello?" }).to_string();
    client
        .socket
        .send(Message::binary(frame.into_bytes()))
        .await
        .unwrap();
    assert_eq!(client.closed().await.0, 1003);
    assert_eq!(
        node.database.count("SELECT count(*) FROM agent.messages").await,
        0
    );
    node.shut_down().await;
}

/// An upgraded connection that answers nothing by itself.
async fn raw(node: &TestNode) -> RawClient {
    let authorization = bearer(&token("alice"));
    let (raw, head) = RawClient::upgrade(&node.base, "/v1/ws", &[("authorization", &authorization)]).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    raw
}

#[tokio::test]
async fn a_client_that_closes_is_answered_with_its_own_code() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    for (sent, answered) in [
        (1000_u16, 1000),
        (1001, 1001),
        (4000, 4000),
        (999, 1002),
        (1005, 1002),
    ] {
        let mut client = raw(&node).await;
        let payload = [&sent.to_be_bytes()[..], b"bye"].concat();
        client.frame(CLOSE, Part::Last, &payload).await.unwrap();
        let (code, _) = client.closed().await.expect("a close is answered");
        assert_eq!(code, answered, "{sent}");
        client.ended().await;
    }
    node.shut_down().await;
}

#[tokio::test]
async fn text_that_is_no_utf8_ends_the_socket_with_1007() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut whole = raw(&node).await;
    whole
        .frame(TEXT, Part::Last, b"{\"type\":\"query\",\"content\":\"\xff\"}")
        .await
        .unwrap();
    assert_eq!(whole.closed().await.unwrap().0, 1007);
    let mut halves = raw(&node).await;
    halves
        .frame(TEXT, Part::More, b"{\"type\":\"query\",\"content\":\"\xe2")
        .await
        .unwrap();
    halves.frame(CONTINUATION, Part::Last, b"\"}").await.unwrap();
    assert_eq!(halves.closed().await.unwrap().0, 1007);
    node.shut_down().await;
}

#[tokio::test]
async fn a_character_cut_in_two_by_fragments_arrives_whole() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut halves = raw(&node).await;
    let text = r#"{"type":"query","id":"q1","content":"wörld"}"#.as_bytes();
    let cut = text.iter().position(|byte| *byte >= 0x80).unwrap() + 1;
    halves.frame(TEXT, Part::More, &text[..cut]).await.unwrap();
    halves
        .frame(CONTINUATION, Part::Last, &text[cut..])
        .await
        .unwrap();
    crate::support::eventually("the query is stored", || async {
        node.database
            .count("SELECT count(*) FROM agent.messages WHERE content = 'wörld' AND role = 'user'")
            .await
            == 1
    })
    .await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_broken_frame_ends_the_socket_with_1002() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut reserved = raw(&node).await;
    reserved.frame(0x40 | TEXT, Part::Last, b"{}").await.unwrap();
    assert_eq!(reserved.closed().await.unwrap().0, 1002);
    let mut unmasked = raw(&node).await;
    unmasked.send(&[0x81, 2, b'{', b'}']).await.unwrap();
    assert_eq!(unmasked.closed().await.unwrap().0, 1002);
    node.shut_down().await;
}

#[tokio::test]
async fn a_message_of_the_largest_size_is_read() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    // Every character of the longest content, escaped as wastefully as JSON allows, then padded to the last byte.
    let escaped = "\\u0061".repeat(32 * 1024);
    let mut text = format!(r#"{{"type":"query","id":"q1","content":"{escaped}"}}"#);
    text.insert_str(1, &" ".repeat(MAX_MESSAGE_BYTES - text.len()));
    client.send_text(&text).await;
    client
        .until(|frame| frame["event"] == "accepted" && frame["re"] == "q1")
        .await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_message_too_large_ends_the_socket_with_1009_that_the_client_sees() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    // The last one is more than the kernel's buffers hold: it is still being sent when the server has closed.
    for size in [
        MAX_MESSAGE_BYTES + 1,
        MAX_MESSAGE_BYTES + 64 * 1024,
        1024 * 1024,
        16 * 1024 * 1024,
    ] {
        // Several times each: a close that is lost, is lost only now and then.
        for _ in 0..5 {
            let mut client = browser(&node, "alice").await;
            client.live().await;
            let sent = client.socket.send(Message::text("x".repeat(size))).await;
            assert!(sent.is_ok(), "{size} bytes: {sent:?}");
            assert_eq!(client.closed().await.0, 1009, "{size} bytes");
        }
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_message_too_large_in_fragments_ends_the_socket_with_1009_that_the_client_sees() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let piece = vec![b'x'; 64 * 1024];
    let mut client = raw(&node).await;
    client.frame(TEXT, Part::More, &piece).await.unwrap();
    for _ in 0..15 {
        client.frame(CONTINUATION, Part::More, &piece).await.unwrap();
    }
    assert_eq!(client.closed().await.unwrap().0, 1009);
    node.shut_down().await;
}

#[tokio::test]
async fn bad_frames_are_answered_and_end_the_socket_only_beyond_their_budget() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    let before = client.frames.len();
    for _ in 0..20 {
        client.send_text("this is no JSON").await;
    }
    client.ask("q1", "Hello?").await;
    let errors = client.frames[before..]
        .iter()
        .filter(|frame| frame["code"] == "invalid_json")
        .count();
    assert_eq!(errors, 20, "twenty a minute are never too many");
    for _ in 0..80 {
        // The server may have closed by now.
        let _ = client.socket.send(Message::text("this is no JSON")).await;
    }
    assert_eq!(client.closed().await.0, 4500);
    assert_eq!(client.frames.last().unwrap()["code"], "invalid_json");
    node.shut_down().await;
}

#[tokio::test]
async fn flooding_ends_the_socket_with_4429() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("FRAMES_PER_SECOND", "10")]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    let ping = json!({ "type": "command", "content": "ping" }).to_string();
    for _ in 0..500 {
        if client.socket.send(Message::text(ping.as_str())).await.is_err() {
            break;
        }
    }
    assert_eq!(client.closed().await.0, 4429);
    let last = client.frames.last().unwrap();
    assert_eq!(last["code"], "rate_limited");
    assert!(last["retry_after_ms"].is_u64(), "{last}");
    node.shut_down().await;
}

#[tokio::test]
async fn a_flood_of_pings_counts_too() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("FRAMES_PER_SECOND", "10")]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    for _ in 0..500 {
        if client.socket.send(Message::Ping("x".into())).await.is_err() {
            break;
        }
    }
    assert_eq!(client.closed().await.0, 4429);
    node.shut_down().await;
}

#[tokio::test]
async fn a_flood_before_the_token_ends_the_socket() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("FRAMES_PER_SECOND", "10")]).await;
    let mut client = open_without_token(&node, "").await;
    for _ in 0..500 {
        if client.socket.send(Message::Ping("x".into())).await.is_err() {
            break;
        }
    }
    assert_eq!(client.closed().await.0, 4429);
    node.shut_down().await;
}
