//! Connecting: credentials, what is refused and how, and everything that ends a socket.

mod credentials;
mod crowd;
mod endings;
mod hosts;
mod issuers;
mod presets;
mod refusals;
mod returning;
mod time;

use crate::support::client::{Refused, TestClient};
use crate::support::node::{TestNode, token};

/// The header of a token.
fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The sub-protocols of a client that speaks the contract, with its token.
fn protocols(token: &str) -> String {
    format!("agentws.v1, agentws.bearer.{token}")
}

/// Opens a socket as a browser would: the token among the sub-protocols.
async fn open_as_browser(node: &TestNode, query: &str, token: &str) -> Result<TestClient, Refused> {
    let offered = protocols(token);
    TestClient::open(
        &node.base,
        &format!("/v1/ws{query}"),
        &[("sec-websocket-protocol", &offered)],
    )
    .await
}

/// Opens a socket as a program would: the token in the header.
async fn open_as_program(node: &TestNode, query: &str, token: &str) -> Result<TestClient, Refused> {
    let authorization = bearer(token);
    TestClient::open(
        &node.base,
        &format!("/v1/ws{query}"),
        &[("authorization", &authorization)],
    )
    .await
}

/// Opens a socket without any token.
async fn open_without_token(node: &TestNode, query: &str) -> TestClient {
    TestClient::open(&node.base, &format!("/v1/ws{query}"), &[])
        .await
        .unwrap()
}

/// A client that speaks the contract, welcomed.
async fn browser(node: &TestNode, user: &str) -> TestClient {
    let mut client = open_as_browser(node, "", &token(user)).await.unwrap();
    client.welcome().await;
    client
}

/// Checks that the first frame is an error with this code and that the close follows with this one.
async fn assert_told_off(client: &mut TestClient, error: &str, close: u16) -> serde_json::Value {
    let frame = client
        .next()
        .await
        .unwrap_or_else(|closed| panic!("closed before any frame: {closed:?}"));
    assert_eq!(frame["type"], "error", "{frame}");
    assert_eq!(frame["code"], error, "{frame}");
    assert_eq!(client.closed().await.0, close);
    assert_eq!(client.frames.len(), 1, "{:#?}", client.frames);
    frame
}
