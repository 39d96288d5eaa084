//! What time does to a socket: heartbeats, silence, idleness, the end of a token.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{bearer, browser, open_as_browser, protocols};
use crate::support::PATIENCE;
use crate::support::client::TestClient;
use crate::support::node::{TestNode, token, token_with};
use crate::support::provider::{Script, ScriptedProvider};
use crate::support::raw::{CLOSE, PING, RawClient, TEXT};

#[tokio::test]
async fn a_silent_socket_hears_heartbeats_with_the_head_if_it_speaks_the_contract() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("HEARTBEAT_MS", "500")]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    client.ask("q1", "Hello?").await;
    for _ in 0..3 {
        let frame = client.next().await.unwrap();
        assert_eq!(
            (&frame["type"], &frame["event"], &frame["head"]),
            (&json!("status"), &json!("heartbeat"), &json!(2)),
            "{frame}"
        );
    }
    client.ask("q2", "Still there?").await;
    node.shut_down().await;
}

#[tokio::test]
async fn every_client_gets_pings_and_only_those_of_the_contract_get_heartbeats() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("HEARTBEAT_MS", "200")]).await;
    let authorization = bearer(&token("alice"));
    let offered = protocols(&token("alice"));
    let kinds = [
        (("authorization", authorization.as_str()), 0),
        (("sec-websocket-protocol", offered.as_str()), 1),
    ];
    for (header, least_heartbeats) in kinds {
        let (mut raw, _) = RawClient::upgrade(&node.base, "/v1/ws", &[header]).await;
        let (mut pings, mut heartbeats, mut closed) = (0, 0, None);
        while let Some((opcode, payload)) = raw.next().await {
            match opcode {
                PING => pings += 1,
                TEXT => {
                    let frame: Value = serde_json::from_slice(&payload).unwrap();
                    heartbeats += usize::from(frame["event"] == "heartbeat");
                }
                CLOSE => {
                    closed = Some(u16::from_be_bytes([payload[0], payload[1]]));
                    break;
                }
                other => panic!("opcode {other}"),
            }
        }
        assert_eq!(closed, Some(4408), "it answered nothing for two heartbeats");
        assert!(pings >= 1, "it was asked for a sign of life");
        assert_eq!(heartbeats.min(1), least_heartbeats);
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_client_that_answers_pings_lives_on() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("HEARTBEAT_MS", "300")]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    // Reading answers the pings. Ten heartbeats are five times the silence that would end it.
    for _ in 0..10 {
        client.until(|frame| frame["event"] == "heartbeat").await;
    }
    client.ask("q1", "Hello?").await;
    node.shut_down().await;
}

#[tokio::test]
async fn an_idle_session_says_so_and_closes_and_stays_to_be_resumed() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("SESSION_TIMEOUT", "0.02"), ("HEARTBEAT_MS", "300")]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    client.ask("q1", "Hello?").await;
    let (code, reason) = client.closed().await;
    assert_eq!((code, reason.as_str()), (1000, "Session timeout"));
    let last = client.frames.last().unwrap();
    assert_eq!(
        (&last["type"], &last["event"], &last["content"]),
        (
            &json!("notification"),
            &json!("timeout"),
            &json!("Session closed due to inactivity")
        )
    );
    let mut again = node.resume("alice", &client.session, 0).await;
    again.live().await;
    let seqs: Vec<&Value> = again.frames.iter().filter_map(|frame| frame.get("seq")).collect();
    assert_eq!(seqs, [1, 2]);
    node.shut_down().await;
}

/// Sends a command over and over until the socket closes; says after how long it did.
async fn pester(client: &mut TestClient, command: &str, most: usize) -> Option<Duration> {
    let began = Instant::now();
    for _ in 0..most {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client
            .send(&json!({ "type": "command", "content": command, "id": "again" }))
            .await;
        loop {
            match client.next().await {
                Ok(frame) if frame["re"] == "again" => break,
                Ok(_) => {}
                Err(close) => {
                    assert_eq!(close.map(|close| close.code.into()), Some(1000));
                    return Some(began.elapsed());
                }
            }
        }
    }
    None
}

#[tokio::test]
async fn pings_do_not_keep_a_session_alive_but_other_commands_do() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("SESSION_TIMEOUT", "0.015")]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    // Thirty commands take three times the timeout of 0.9 s.
    assert_eq!(
        pester(&mut client, "help", 30).await,
        None,
        "any other frame counts"
    );
    let lasted = pester(&mut client, "ping", 1000).await;
    assert!(lasted.is_some_and(|lasted| lasted < PATIENCE), "{lasted:?}");
    node.shut_down().await;
}

#[tokio::test]
async fn a_run_in_progress_keeps_its_session_alive() {
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Hel")
            .wait_for("more")
            .text("lo")
            .finish("stop")
            .done(),
    );
    let mut node = TestNode::start(&provider, &[("SESSION_TIMEOUT", "0.01")]).await;
    let mut client = browser(&node, "alice").await;
    let accepted = client.query("q1", "Hello?").await;
    client.until(|frame| frame["type"] == "delta").await;
    provider.pause(Duration::from_millis(1800)).await;
    provider.open("more");
    let response = client.until(|frame| frame["type"] == "response").await;
    assert_eq!(response["in_reply_to"], accepted["message_id"]);
    assert_eq!(client.closed().await, (1000, "Session timeout".to_owned()));
    node.shut_down().await;
}

#[tokio::test]
async fn a_token_that_ends_is_announced_and_then_ends_the_socket() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let short = token_with("alice", Duration::from_secs(3), None);
    let mut client = open_as_browser(&node, "", &short).await.unwrap();
    let welcome = client.welcome().await;
    let warning = client.until(|frame| frame["event"] == "token_expiring").await;
    assert_eq!(warning["type"], "status");
    assert_eq!(warning["expires_at"], welcome["token_expires_at"]);
    assert_eq!(client.closed().await.0, 4401);
    let last = client.frames.last().unwrap();
    assert_eq!(
        (&last["type"], &last["code"]),
        (&json!("error"), &json!("unauthorized"))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_renewed_token_keeps_the_socket_beyond_the_first_ones_end() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let short = token_with("alice", Duration::from_secs(2), None);
    let mut client = open_as_browser(&node, "", &short).await.unwrap();
    client.welcome().await;
    client.until(|frame| frame["event"] == "token_expiring").await;
    let renewed = client.command("auth", json!({ "token": token("alice") })).await;
    assert_eq!(renewed["event"], "auth");
    provider.pause(Duration::from_millis(2500)).await;
    let pong = client.command("ping", json!({})).await;
    assert_eq!(pong["event"], "ping");
    node.shut_down().await;
}
