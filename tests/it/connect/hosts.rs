//! Names that a page of another site cannot take: what came to another host is not answered, nor what another page asks for.

use serde_json::json;

use super::{bearer, protocols};
use crate::support::http::{UPGRADE, request};
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;
use crate::support::raw::RawClient;

const NAMED: [(&str, &str); 1] = [("ALLOWED_HOSTS", "agent.example.com,[::1]:8080")];

/// Hosts that are not among [`NAMED`].
const STRANGE: [&str; 6] = [
    "evil.example.com",
    "agent.example.com.evil.com",
    "agent.example.com:443",
    "[::1]",
    "127.0.0.1",
    "localhost",
];

#[tokio::test]
async fn only_the_named_hosts_are_answered_whatever_is_asked_of_them() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &NAMED).await;
    let authorization = bearer(&token("alice"));
    for host in ["agent.example.com", "AGENT.example.com", "[::1]:8080"] {
        let headers = [("authorization", authorization.as_str()), ("host", host)];
        let reply = request(&node.base, "GET", "/v1/sessions", &headers, None).await;
        assert_eq!(reply.status, 200, "{host}: {reply:?}");
    }
    for host in STRANGE {
        let headers = [("authorization", authorization.as_str()), ("host", host)];
        for (method, path) in [
            ("GET", "/v1/sessions"),
            ("POST", "/v1/sessions"),
            ("OPTIONS", "/v1/sessions"),
            ("GET", "/v1/ws"),
            ("GET", "/nowhere"),
        ] {
            let reply = request(&node.base, method, path, &headers, None).await;
            reply.problem(421, "misdirected_request");
        }
        // A load balancer asks by address, and learns nothing of anybody.
        let health = request(&node.base, "GET", "/healthz", &headers, None).await;
        assert_eq!(health.status, 200, "{host}");
    }
    assert_eq!(
        node.database.count("SELECT count(*) FROM agent.sessions").await,
        0
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_rebound_name_opens_no_socket_though_the_origin_is_its_own() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &NAMED).await;
    // What a browser sends once evil.example.com points to this machine: the page's origin and the host agree.
    let offered = protocols(&token("alice"));
    let rebound = [
        ("host", "evil.example.com"),
        ("origin", "http://evil.example.com"),
        ("sec-websocket-protocol", offered.as_str()),
    ];
    let headers: Vec<(&str, &str)> = UPGRADE.iter().chain(&rebound).copied().collect();
    let reply = request(&node.base, "GET", "/v1/ws", &headers, None).await;
    reply.problem(421, "misdirected_request");
    node.shut_down().await;
}

#[tokio::test]
async fn a_second_host_or_one_in_the_target_must_be_named_too() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &NAMED).await;
    for (head, status) in [
        ("GET /v1/x HTTP/1.1\r\nhost: agent.example.com\r\n\r\n", "404"),
        (
            "GET /v1/x HTTP/1.1\r\nhost: agent.example.com\r\nhost: evil.example.com\r\n\r\n",
            "421",
        ),
        (
            "GET http://evil.example.com/v1/x HTTP/1.1\r\nhost: agent.example.com\r\n\r\n",
            "421",
        ),
        (
            "GET http://agent.example.com/v1/x HTTP/1.1\r\nhost: evil.example.com\r\n\r\n",
            "421",
        ),
        ("GET /v1/x HTTP/1.1\r\nhost: \r\n\r\n", "421"),
        ("GET /v1/x HTTP/1.0\r\n\r\n", "421"),
    ] {
        let mut client = RawClient::connect(&node.base).await;
        client.send(head.as_bytes()).await.unwrap();
        let answer = client.head().await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{head:?} got {answer:?}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn operators_come_by_address_and_a_page_does_not() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &NAMED).await;
    for (host, status) in [
        ("127.0.0.1:9090", 200),
        ("[fd00::1]:9090", 200),
        ("localhost:9090", 200),
        ("agent.example.com", 200),
        ("evil.example.com:9090", 421),
    ] {
        let reply = request(&node.admin, "GET", "/metrics", &[("host", host)], None).await;
        assert_eq!(reply.status, status, "{host}");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_page_of_another_origin_may_ask_nothing_with_any_token() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(
        &provider,
        &[
            ("ALLOWED_ORIGINS", "https://app.example.com"),
            ("ALLOW_ACCESS_TOKEN_IN_URL", "true"),
        ],
    )
    .await;
    let alice = token("alice");
    let (authorization, offered) = (bearer(&alice), protocols(&alice));
    let credentials = [
        (
            "/v1/ws".to_owned(),
            Some(("authorization", authorization.as_str())),
        ),
        (
            "/v1/ws".to_owned(),
            Some(("sec-websocket-protocol", offered.as_str())),
        ),
        (format!("/v1/ws?access_token={alice}"), None),
        ("/v1/ws".to_owned(), None),
        (
            "/v1/sessions".to_owned(),
            Some(("authorization", authorization.as_str())),
        ),
        ("/v1/sessions".to_owned(), None),
        (
            "/v1/users/me".to_owned(),
            Some(("authorization", authorization.as_str())),
        ),
    ];
    for origin in [
        "https://evil.example.com",
        "https://app.example.com:8443",
        "https://APP.example.com.evil.com",
        "null",
    ] {
        for (path, credential) in &credentials {
            let mut headers = vec![("origin", origin)];
            headers.extend(*credential);
            if path.starts_with("/v1/ws") {
                headers.extend(UPGRADE);
            }
            let reply = request(&node.base, "GET", path, &headers, None).await;
            reply.problem(403, "forbidden");
        }
    }
    // Nothing that changes anything is carried out for it either.
    let headers = [
        ("authorization", authorization.as_str()),
        ("origin", "https://evil.example.com"),
    ];
    let body = json!({ "title": "Not theirs to make" }).to_string();
    let reply = request(&node.base, "POST", "/v1/sessions", &headers, Some(&body)).await;
    reply.problem(403, "forbidden");
    let count = node.database.count("SELECT count(*) FROM agent.sessions").await;
    assert_eq!(count, 0);
    node.shut_down().await;
}
