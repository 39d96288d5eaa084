//! The ways in which a token may come, which one wins, and how it is renewed.

use serde_json::{Value, json};

use super::{assert_told_off, bearer, browser, open_as_program, open_without_token, protocols};
use crate::support::client::TestClient;
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;
use crate::support::raw::RawClient;

fn auth(id: &str, args: &Value) -> Value {
    json!({ "type": "command", "content": "auth", "id": id, "args": args })
}

#[tokio::test]
async fn a_token_in_the_header_opens_a_session_on_both_paths() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    for path in ["/v1/ws", "/functions/v1/agent_websocket"] {
        let authorization = bearer(&token("alice"));
        let mut client = TestClient::open(&node.base, path, &[("authorization", &authorization)])
            .await
            .unwrap();
        let welcome = client.welcome().await;
        assert_eq!(client.frames.len(), 1, "welcome is the first frame");
        assert_eq!(welcome["user_id"], "alice");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn welcome_says_everything_that_the_contract_names() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = TestClient::open(
        &node.base,
        "/v1/ws",
        &[("authorization", &bearer(&token("alice")))],
    )
    .await
    .unwrap();
    let welcome = client.welcome().await;
    let id = client.session.clone();

    assert_eq!(welcome["type"], "notification");
    assert_eq!(
        welcome["content"],
        format!("Connected to Agent WebSocket. Session ID: {id}")
    );
    assert_eq!(welcome["resumed"], false);
    assert_eq!(welcome["head"], 0);
    assert!(welcome["first_available"].is_i64(), "{welcome}");
    assert!(
        uuid::Uuid::parse_str(welcome["connection_id"].as_str().unwrap()).is_ok(),
        "{welcome}"
    );
    assert_eq!(welcome["user_id"], "alice");
    assert_eq!(welcome["protocol"], 1);
    assert_eq!(welcome["heartbeat_ms"], 25_000);
    assert_eq!(welcome["max_message_bytes"], 262_144);
    for field in ["timestamp", "token_expires_at"] {
        let text = welcome[field].as_str().unwrap();
        assert_eq!((text.len(), &text[23..]), (24, "Z"), "{field} of {welcome}");
    }
    for field in ["base_ms", "max_ms", "jitter_ms"] {
        assert!(welcome["reconnect"][field].is_u64(), "{field} of {welcome}");
    }
    assert!(welcome.get("gap").is_none(), "nothing is left out: {welcome}");
    let live = client.next().await.unwrap();
    assert_eq!((&live["event"], &live["head"]), (&json!("live"), &json!(0)));
    assert_eq!(
        node.database
            .count("SELECT count(*) FROM agent.sessions WHERE user_id = 'alice'")
            .await,
        1,
        "the session of a welcome is durable"
    );

    client.ask("q1", "Hello?").await;
    let mut again = open_as_program(&node, &format!("?session_id={id}"), &token("alice"))
        .await
        .unwrap();
    let welcome = again.welcome().await;
    assert_eq!(
        (&welcome["resumed"], &welcome["head"], &welcome["first_available"]),
        (&json!(true), &json!(2), &json!(1))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_token_among_the_sub_protocols_opens_a_session_and_only_ours_is_selected() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let both = protocols(&token("alice"));
    let reversed = format!("agentws.bearer.{},agentws.v1", token("alice"));
    for offered in [both, reversed] {
        let (mut raw, head) =
            RawClient::upgrade(&node.base, "/v1/ws", &[("sec-websocket-protocol", &offered)]).await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        let selected: Vec<&str> = head
            .lines()
            .filter_map(|line| line.strip_prefix("sec-websocket-protocol:"))
            .map(str::trim)
            .collect();
        assert_eq!(selected, ["agentws.v1"], "exactly ours, never the token: {head}");
        let (_, payload) = raw.next().await.unwrap();
        let welcome: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(
            (&welcome["event"], &welcome["user_id"]),
            (&json!("welcome"), &json!("alice"))
        );
    }
    let (_, head) = RawClient::upgrade(
        &node.base,
        "/v1/ws",
        &[("authorization", &bearer(&token("alice")))],
    )
    .await;
    assert!(
        !head.contains("sec-websocket-protocol"),
        "nothing was offered: {head}"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_token_in_the_url_counts_only_where_the_operator_switched_it_on() {
    let provider = ScriptedProvider::start().await;
    let mut closed = TestNode::start(&provider, &[]).await;
    let query = format!("?access_token={}", token("alice"));
    let mut client = open_without_token(&closed, &query).await;
    client
        .send(&json!({ "type": "query", "id": "q1", "content": "Hello?" }))
        .await;
    assert_told_off(&mut client, "unauthorized", 4501).await;

    let mut client = open_without_token(&closed, &query).await;
    client.send(&auth("a", &json!({ "token": token("bob") }))).await;
    assert_eq!(
        client.welcome().await["user_id"],
        "bob",
        "the token in the URL was not looked at"
    );
    closed.shut_down().await;

    let mut open = TestNode::start(&provider, &[("ALLOW_ACCESS_TOKEN_IN_URL", "true")]).await;
    let mut client = open_without_token(&open, &query).await;
    assert_eq!(client.welcome().await["user_id"], "alice");
    let refused = TestClient::open(&open.base, "/v1/ws?access_token=x.y.z", &[])
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 401);
    open.shut_down().await;
}

#[tokio::test]
async fn the_first_credential_that_is_present_wins() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("ALLOW_ACCESS_TOKEN_IN_URL", "true")]).await;
    let in_header = bearer(&token("alice"));
    let in_protocol = protocols(&token("bob"));
    let in_url = format!("/v1/ws?access_token={}", token("carol"));
    let cases: [(&str, Vec<(&str, &str)>); 3] = [
        (
            "alice",
            vec![
                ("authorization", &in_header),
                ("sec-websocket-protocol", &in_protocol),
            ],
        ),
        ("bob", vec![("sec-websocket-protocol", &in_protocol)]),
        ("carol", vec![]),
    ];
    for (user, headers) in cases {
        let mut client = TestClient::open(&node.base, &in_url, &headers).await.unwrap();
        assert_eq!(client.welcome().await["user_id"], user);
    }
    let bad_first = [
        ("authorization", "Bearer x.y.z"),
        ("sec-websocket-protocol", &in_protocol),
    ];
    let mut client = TestClient::open(&node.base, &in_url, &bad_first).await.unwrap();
    assert_told_off(&mut client, "unauthorized", 4501).await;
    node.shut_down().await;
}

#[tokio::test]
async fn the_first_frame_may_bring_the_token_and_its_session_and_cursor_win_over_the_url() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut one = node.connect("alice").await;
    one.ask("q1", "one").await;
    let mut two = node.connect("alice").await;
    two.ask("q1", "two").await;

    let mut client = open_without_token(&node, &format!("?session_id={}&after=0", one.session)).await;
    client
        .send(&auth(
            "a1",
            &json!({ "token": token("alice"), "session_id": two.session, "after": 1 }),
        ))
        .await;
    client.live().await;

    let answer = &client.frames[0];
    assert_eq!(
        (&answer["type"], &answer["event"], &answer["re"]),
        (&json!("status"), &json!("auth"), &json!("a1")),
        "the answer comes before welcome"
    );
    assert!(answer["expires_at"].is_string(), "{answer}");
    assert_eq!(client.frames[1]["event"], "welcome");
    assert_eq!(client.frames[1]["session_id"], two.session);
    let replayed: Vec<&Value> = client.frames[2..].iter().map(|frame| &frame["seq"]).collect();
    assert_eq!(
        replayed,
        [&json!(2), &Value::Null],
        "message 2 of the frame's session, then live"
    );

    let mut client = open_without_token(&node, &format!("?session_id={}&after=1", one.session)).await;
    client
        .send(&auth("a2", &json!({ "token": token("alice") })))
        .await;
    client.live().await;
    assert_eq!(
        client.frames[1]["session_id"], one.session,
        "else the URL's counts"
    );
    assert_eq!(client.frames[2]["seq"], 2);
    node.shut_down().await;
}

#[tokio::test]
async fn a_first_frame_that_is_no_good_token_ends_the_socket() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let good = auth("a", &json!({ "token": token("alice") })).to_string();
    let wrong = [
        (
            "unauthorized",
            json!({ "type": "query", "content": "Hello?" }).to_string(),
        ),
        (
            "unauthorized",
            json!({ "type": "command", "content": "ping" }).to_string(),
        ),
        ("invalid_json", "hello".to_owned()),
        (
            "unauthorized",
            auth("a", &json!({ "token": "x.y.z" })).to_string(),
        ),
        ("invalid_message", auth("a", &json!({})).to_string()),
    ];
    for (code, frame) in wrong {
        let mut client = open_without_token(&node, "").await;
        client.send_text(&frame).await;
        // A second attempt on the same socket comes too late, however good it is.
        client.send_text(&good).await;
        let told = assert_told_off(&mut client, code, 4501).await;
        if frame.contains("\"id\":\"a\"") {
            assert_eq!(told["re"], "a", "{told}");
        }
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_session_that_is_not_there_ends_a_client_that_authenticates_in_the_first_frame() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = open_without_token(&node, "").await;
    let missing = json!({ "token": token("alice"), "session_id": uuid::Uuid::new_v4() });
    client.send(&auth("a", &missing)).await;
    let told = assert_told_off(&mut client, "not_found", 4504).await;
    assert_eq!(told["re"], "a", "a command is answered: {told}");
    node.shut_down().await;
}

#[tokio::test]
async fn no_token_in_time_ends_the_socket() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[("AUTH_TIMEOUT_MS", "200")]).await;
    let mut client = open_without_token(&node, "").await;
    assert_told_off(&mut client, "unauthorized", 4501).await;
    node.shut_down().await;
}

#[tokio::test]
async fn auth_in_band_renews_the_token_and_changes_nothing_else() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut other = node.connect("alice").await;
    other.ask("q1", "elsewhere").await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    client.ask("q1", "one").await;
    let before = client.frames.len();

    let answer = client
        .command(
            "auth",
            json!({ "token": token("alice"), "session_id": other.session, "after": 0 }),
        )
        .await;
    assert_eq!(
        (&answer["type"], &answer["event"]),
        (&json!("status"), &json!("auth"))
    );
    assert!(answer["expires_at"].is_string(), "{answer}");
    let refused = client.command("auth", json!({ "token": "x.y.z" })).await;
    assert_eq!(
        refused["code"], "unauthorized",
        "a bad token leaves the old one in force"
    );
    let response = client.ask("q2", "two").await;
    assert_eq!(response["session_id"], client.session);
    assert_eq!(response["seq"], 4);
    assert!(
        !client.frames[before..]
            .iter()
            .any(|frame| frame["event"] == "welcome" || frame["event"] == "live"),
        "a renewal is no new connection"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_renewal_as_someone_else_ends_the_socket() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = browser(&node, "alice").await;
    client.live().await;
    let answer = client.command("auth", json!({ "token": token("bob") })).await;
    assert_eq!(
        (&answer["type"], &answer["code"]),
        (&json!("error"), &json!("forbidden"))
    );
    assert_eq!(client.closed().await.0, 4503);
    node.shut_down().await;
}
