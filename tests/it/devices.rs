//! Several devices of one user in one session, on one node and on two.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};
use tokio_tungstenite::{MaybeTlsStream, client_async};

use crate::support::client::{TestClient, Transcript};
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};
use crate::support::{PATIENCE, eventually};

/// Two nodes of one database that hear each other.
async fn two_nodes(provider: &ScriptedProvider) -> (TestNode, TestNode) {
    let first = TestNode::start(provider, &[]).await;
    let second = TestNode::start_on(first.database.clone(), provider, &[]).await;
    first.listening().await;
    second.listening().await;
    (first, second)
}

/// What a device was told since it was live, in an order and form that must be the same on every device: the sender's
/// `accepted` stands for the `query` that others get, and an answer's deltas for their text.
fn told(frames: &[Value], own: &HashMap<String, String>) -> Vec<(String, Value, String)> {
    let mut told: Vec<(String, Value, String)> = Vec::new();
    for frame in frames.iter().skip_while(|frame| frame["event"] != "live").skip(1) {
        let content = frame["content"].as_str().unwrap().to_owned();
        let name = frame.get("event").unwrap_or(&frame["type"]).as_str().unwrap();
        let message = frame["message_id"].clone();
        match (name, told.last_mut()) {
            ("accepted", _) => {
                let content = own[frame["re"].as_str().unwrap()].clone();
                told.push(("query".to_owned(), message, content));
            }
            ("delta", Some(last)) if last.0 == "delta" && last.1 == message => last.2.push_str(&content),
            _ => told.push((name.to_owned(), message, content)),
        }
    }
    told
}

/// Two questions from two devices of which each must see both turns.
async fn both_see_both_turns(first: &TestNode, second: &TestNode, provider: &ScriptedProvider) {
    provider.on("one", Script::answer("The first answer 🌍 in several words"));
    provider.on("two", Script::answer("The second answer, in some more words"));
    let own = HashMap::from([
        ("a".to_owned(), "Question one".to_owned()),
        ("b".to_owned(), "Question two".to_owned()),
    ]);
    let mut phone = first.connect("alice").await;
    phone.live().await;
    let mut laptop = second.resume("alice", &phone.session, 0).await;
    laptop.live().await;

    phone.ask("a", &own["a"]).await;
    laptop.until(|frame| frame["type"] == "response").await;
    laptop.ask("b", &own["b"]).await;
    phone
        .until(|frame| frame["type"] == "response" && frame["seq"] == 4)
        .await;

    let (on_phone, on_laptop) = (told(&phone.frames, &own), told(&laptop.frames, &own));
    assert_eq!(on_phone, on_laptop);
    let kinds: Vec<&str> = on_phone.iter().map(|(kind, _, _)| kind.as_str()).collect();
    let turn = ["query", "thinking", "delta", "response"];
    assert_eq!(kinds, [turn, turn].concat());
    for client in [&phone, &laptop] {
        let mut transcript = Transcript::default();
        transcript.apply(&client.frames, &own);
        assert_eq!(
            transcript.messages,
            first.database.transcript(&client.session).await
        );
    }
}

#[tokio::test]
async fn two_devices_of_one_node_see_the_same_frames() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    both_see_both_turns(&node, &node, &provider).await;
    node.shut_down().await;
}

#[tokio::test]
async fn two_devices_of_two_nodes_see_the_same_frames() {
    let provider = ScriptedProvider::start().await;
    let (mut first, mut second) = two_nodes(&provider).await;
    both_see_both_turns(&first, &second, &provider).await;
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn text_shows_on_the_other_node_while_it_is_written() {
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("One 🌍 ")
            .wait_for("more")
            .text("two")
            .wait_for("end")
            .finish("stop")
            .done(),
    );
    let (mut first, mut second) = two_nodes(&provider).await;
    let mut phone = first.connect("alice").await;
    let mut laptop = second.resume("alice", &phone.session, 0).await;
    laptop.live().await;
    phone.query("q", "Count").await;
    let delta = laptop.until(|frame| frame["type"] == "delta").await;
    assert_eq!(
        (&delta["offset"], &delta["content"]),
        (&json!(0), &json!("One 🌍 "))
    );
    provider.open("more");
    let delta = laptop.until(|frame| frame["type"] == "delta").await;
    assert_eq!((&delta["offset"], &delta["content"]), (&json!(7), &json!("two")));
    provider.open("end");
    let response = laptop.until(|frame| frame["type"] == "response").await;
    assert_eq!(response["content"], "One 🌍 two");
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn twenty_equal_sends_over_three_sockets_make_one_message_and_one_answer() {
    let provider = ScriptedProvider::start().await;
    let (mut first, mut second) = two_nodes(&provider).await;
    let phone = first.connect("alice").await;
    let session = phone.session.clone();
    let tablet = first.resume("alice", &session, 0).await;
    let laptop = second.resume("alice", &session, 0).await;
    let mut clients = [phone, tablet, laptop];
    for client in &mut clients {
        client.live().await;
    }
    let query = json!({ "type": "query", "id": "same", "content": "Only once" });
    for n in 0..20 {
        clients[n % 3].send(&query).await;
    }

    let mut originals = 0;
    for (n, client) in clients.iter_mut().enumerate() {
        let expected = (0..20).filter(|send| send % 3 == n).count();
        for _ in 0..expected {
            let accepted = client
                .until(|frame| frame["event"] == "accepted" && frame["re"] == "same")
                .await;
            assert_eq!(accepted["seq"], 1);
            originals += usize::from(accepted["duplicate"] == false);
        }
        if !client.frames.iter().any(|frame| frame["type"] == "response") {
            client.until(|frame| frame["type"] == "response").await;
        }
        let mut transcript = Transcript::default();
        transcript.apply(
            &client.frames,
            &HashMap::from([("same".to_owned(), "Only once".to_owned())]),
        );
        assert_eq!(transcript.messages, first.database.transcript(&session).await);
        assert_eq!(transcript.messages.len(), 2);
    }
    assert_eq!(originals, 1, "all but one are duplicates");
    assert_eq!(first.database.count("SELECT count(*) FROM agent.runs").await, 1);
    assert_eq!(provider.calls(), 1);

    for client in &mut clients {
        client
            .send(&json!({ "type": "query", "id": "same", "content": "Something else" }))
            .await;
        let error = client.until(|frame| frame["re"] == "same").await;
        assert_eq!(error["code"], "id_conflict");
    }
    assert_eq!(first.database.transcript(&session).await.len(), 2);
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_rename_shows_on_every_device_of_every_node() {
    let provider = ScriptedProvider::start().await;
    let (mut first, mut second) = two_nodes(&provider).await;
    let mut phone = first.connect("alice").await;
    let mut tablet = first.resume("alice", &phone.session, 0).await;
    let mut laptop = second.resume("alice", &phone.session, 0).await;
    let done = phone
        .command("rename", json!({ "title": "Greek 🏛 travels" }))
        .await;
    assert_eq!(done["data"]["title"], "Greek 🏛 travels");
    for client in [&mut tablet, &mut laptop] {
        let changed = client.until(|frame| frame["event"] == "session").await;
        assert_eq!(changed["title"], "Greek 🏛 travels");
        assert_eq!(changed["session_id"], client.session);
    }
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_delete_closes_the_devices_of_every_node_and_stops_the_run() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("Endless").stall());
    let (mut first, mut second) = two_nodes(&provider).await;
    let mut phone = first.connect("alice").await;
    let mut tablet = first.resume("alice", &phone.session, 0).await;
    let mut laptop = second.resume("alice", &phone.session, 0).await;
    phone.query("q", "Go on").await;
    laptop.until(|frame| frame["type"] == "delta").await;
    let session = phone.session.clone();

    let done = laptop.command("delete", json!({ "session_id": session })).await;

    assert_eq!(done["event"], "delete");
    for client in [&mut phone, &mut tablet, &mut laptop] {
        assert_eq!(client.closed().await.0, 4509);
    }
    provider.wait_for(|tally| tally.aborted == 1).await;
    for table in ["sessions", "messages", "runs", "chunks"] {
        let count: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM agent.{table}")))
                .fetch_one(&first.database.pool)
                .await
                .unwrap();
        assert_eq!(count, 0, "{table}");
    }
    first.shut_down().await;
    second.shut_down().await;
}

/// A client that may be sent little before it has to read.
async fn with_a_small_window(node: &TestNode, session: &str) -> TestClient {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(node.base.parse().unwrap()).await.unwrap();
    let url = format!("ws://{}/v1/ws?session_id={session}&after=0", node.base);
    let mut request = url.into_client_request().unwrap();
    let authorization = format!("Bearer {}", token("alice")).parse().unwrap();
    request.headers_mut().append("authorization", authorization);
    let (socket, _) = client_async(request, MaybeTlsStream::Plain(stream))
        .await
        .unwrap();
    TestClient {
        socket,
        frames: Vec::new(),
        session: session.to_owned(),
    }
}

/// Reads what was still under way to a client, to its end: how many bytes, and the close code if one came.
async fn drained(client: &mut TestClient) -> (usize, Option<CloseCode>) {
    let mut bytes = 0;
    loop {
        match timeout(PATIENCE, client.socket.next()).await.unwrap() {
            Some(Ok(Message::Close(close))) => return (bytes, close.map(|close| close.code)),
            Some(Ok(message)) => bytes += message.len(),
            Some(Err(_)) | None => return (bytes, None),
        }
    }
}

#[tokio::test]
async fn a_device_that_does_not_read_is_closed_while_others_read_on() {
    let provider = ScriptedProvider::start().await;
    let text = "0123456789abcdef".repeat(2500);
    let answer = (0..10).fold(Script::new(), |script, _| script.text(&text));
    provider.on("lot", answer.finish("stop").done());
    let mut node = TestNode::start(&provider, &[("WRITE_TIMEOUT_MS", "400")]).await;
    let mut reader = node.connect("alice").await;
    reader.live().await;
    let session = reader.session.clone();
    let mut slow = with_a_small_window(&node, &session).await;
    slow.welcome().await;
    slow.live().await;

    let mut own = HashMap::new();
    let mut sent_bytes = 0;
    for n in 0..15 {
        let id = format!("q{n}");
        own.insert(id.clone(), "Tell me a lot".to_owned());
        let response = reader.ask(&id, "Tell me a lot").await;
        assert_eq!(response["length"], 400_000);
        sent_bytes += 2 * 400_000;
    }
    eventually("the slow device is closed", || async {
        node.node().service().hub.count_connections() == 1
    })
    .await;

    let (bytes, close) = drained(&mut slow).await;
    assert!(
        close.is_none_or(|close| close == CloseCode::Library(4413)),
        "{close:?}"
    );
    assert!(
        bytes < sent_bytes / 2,
        "little waited for it: {bytes} of {sent_bytes} bytes"
    );
    let mut transcript = Transcript::default();
    transcript.apply(&reader.frames, &own);
    let stored = node.database.transcript(&session).await;
    assert_eq!(transcript.messages, stored);
    let mut again = node.resume("alice", &session, 0).await;
    again.live().await;
    let mut resumed = Transcript::default();
    resumed.apply(&again.frames, &own);
    assert_eq!(resumed.messages, stored);
    node.shut_down().await;
}

#[tokio::test]
async fn closing_every_socket_stops_no_run() {
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Half ")
            .wait_for("rest")
            .text("whole")
            .finish("stop")
            .done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    let mut phone = node.connect("alice").await;
    phone.query("q", "Go on").await;
    phone.until(|frame| frame["type"] == "delta").await;
    let session = phone.session.clone();
    drop(phone.cut());
    eventually("the socket is gone", || async {
        node.node().service().hub.count_connections() == 0
    })
    .await;
    provider.open("rest");
    eventually("the answer is stored", || async {
        node.database.transcript(&session).await.len() == 2
    })
    .await;
    let mut again = timeout(Duration::from_secs(10), node.resume("alice", &session, 1))
        .await
        .unwrap();
    let response = again.until(|frame| frame["type"] == "response").await;
    assert_eq!(
        (&response["content"], &response["state"]),
        (&json!("Half whole"), &json!("complete"))
    );
    assert_eq!(provider.wait_for(|tally| tally.played == 1).await.aborted, 0);
    node.shut_down().await;
}
