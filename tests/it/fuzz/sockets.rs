//! Whole conversations at random, whole and broken, each left in its own way: nothing that a connection takes outlives it.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::mutation::mutated;
use super::{Case, seeds};
use crate::support::eventually;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};
use crate::support::raw::{CLOSE, CONTINUATION, PING, PONG, Part, RawClient, TEXT, frame};

/// Conversations at a time: more than their users may have connections.
const AT_ONCE: usize = 8;

/// Connections that a user may have.
const PLACES: usize = 3;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

const FRAMES: [&str; 14] = [
    r#"{"type":"query","id":"q1","content":"Hello"}"#,
    r#"{"type":"query","id":"q1","content":"Hello again"}"#,
    r#"{"type":"query","content":"slow"}"#,
    r#"{"type":"query","content":"slow","on_busy":"interrupt"}"#,
    r#"{"type":"query","content":"Hello","on_busy":"reject"}"#,
    r#"{"type":"command","content":"ping"}"#,
    r#"{"type":"command","content":"new"}"#,
    r#"{"type":"command","content":"resume","args":{"session_id":"latest"}}"#,
    r#"{"type":"command","content":"history"}"#,
    r#"{"type":"command","content":"cancel"}"#,
    r#"{"type":"command","content":"clear"}"#,
    r#"{"type":"command","content":"sessions"}"#,
    r#"{"type":"command","content":"ack","args":{"all":true}}"#,
    r#"{"type":"command","content":"regenerate"}"#,
];

/// One thing that a client does, as bytes.
fn step(random: &mut StdRng) -> Vec<u8> {
    let samples: Vec<&[u8]> = FRAMES.iter().map(|text| text.as_bytes()).collect();
    let other = token(USERS.choose(random).unwrap());
    let auth = format!(r#"{{"type":"command","content":"auth","args":{{"token":"{other}"}}}}"#);
    match random.random_range(0..20) {
        0..=8 => frame(TEXT, Part::Last, samples.choose(random).unwrap()),
        9 => frame(TEXT, Part::Last, auth.as_bytes()),
        10..=12 => frame(TEXT, Part::Last, &mutated(random, &samples)),
        13 => frame(PING, Part::Last, b"?"),
        14 => frame(PONG, Part::Last, b"!"),
        15 => frame(TEXT, Part::More, b"{\"type\":"),
        16 => frame(CONTINUATION, Part::Last, b"\"query\",\"content\":\"Hello\"}"),
        17 => frame(CLOSE, Part::Last, &1000_u16.to_be_bytes()),
        18 => mutated(random, &[&frame(TEXT, Part::Last, FRAMES[0].as_bytes())]),
        _ => vec![random.random(); random.random_range(1..300)],
    }
}

/// How a client gets in: as whom, by what, or not at all.
async fn enter(random: &mut StdRng, base: &str) -> RawClient {
    let user = USERS.choose(random).unwrap();
    let bearer = format!("Bearer {}", token(user));
    let offered = format!("agentws.v1, agentws.bearer.{}", token(user));
    let headers = [
        vec![("authorization", bearer.as_str())],
        vec![("sec-websocket-protocol", offered.as_str())],
        vec![("authorization", "Bearer x.y.z")],
        vec![],
    ];
    let path = ["/v1/ws", "/v1/ws?session_id=latest", "/v1/ws?device_id=phone"];
    let (client, _) = RawClient::upgrade(
        base,
        path.choose(random).unwrap(),
        headers.choose(random).unwrap(),
    )
    .await;
    client
}

/// One conversation from its handshake to its end, or to the middle of it.
async fn conversation(seed: u64, base: String) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut client = enter(&mut random, &base).await;
    for _ in 0..random.random_range(0..25) {
        // The server may have closed by now.
        if client.send(&step(&mut random)).await.is_err() {
            break;
        }
        if random.random_ratio(1, 3) {
            client.forget().await;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..20))).await;
        }
    }
    match random.random_range(0..3) {
        // Cut, with or without what it was sent unread.
        0 => {}
        1 => client.forget().await,
        _ => {
            let _ = client.frame(CLOSE, Part::Last, &1001_u16.to_be_bytes()).await;
            client.ended().await;
        }
    }
}

#[tokio::test]
async fn whatever_a_client_says_its_place_and_its_runs_come_free() {
    let provider = ScriptedProvider::start().await;
    provider.on(
        "slow",
        Script::new()
            .text("one ")
            .delay(Duration::from_millis(50))
            .text("two")
            .finish("stop")
            .done(),
    );
    let places = PLACES.to_string();
    let changes = [
        ("MAX_CONNECTIONS_PER_USER", places.as_str()),
        ("AUTH_TIMEOUT_MS", "500"),
        // Half a frame would be waited for.
        ("MESSAGE_TIMEOUT_MS", "1000"),
    ];
    let mut node = TestNode::start(&provider, &changes).await;
    let seeds: Vec<u64> = seeds(5).collect();
    for some in seeds.chunks(AT_ONCE) {
        // What is repeated is the whole of them: they share a server.
        let _case = Case {
            target: "sockets",
            seed: some[0],
        };
        let all = some.iter().map(|seed| conversation(*seed, node.base.clone()));
        futures_util::future::join_all(all).await;
    }
    let hub = Arc::clone(&node.node().service().hub);
    eventually("every place is free", || async { hub.count_connections() == 0 }).await;
    assert!(hub.connected_users().is_empty());
    eventually("every run has ended", || async {
        let open = "SELECT count(*) FROM agent.runs WHERE state IN ('queued', 'running')";
        node.database.count(open).await == 0
    })
    .await;
    for user in USERS {
        // As many as ever, and no more.
        let mut clients = Vec::new();
        for _ in 0..PLACES {
            clients.push(node.connect(user).await);
        }
        clients[0].ask("after-all", "Hello").await;
        let bearer = format!("Bearer {}", token(user));
        let headers = [("authorization", bearer.as_str())];
        let (_, head) = RawClient::upgrade(&node.base, "/v1/ws", &headers).await;
        assert!(head.starts_with("http/1.1 429 "), "{head}");
    }
    println!("fuzz sockets: {} conversations", seeds.len());
    node.shut_down().await;
}
