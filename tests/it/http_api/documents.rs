//! What the server says of itself: the `OpenAPI` document against its routes, and both documents as they are served.

use std::collections::BTreeSet;

use agent_websocket::spec::documents;
use agent_websocket::spec::operations::operations;

use crate::support::http::Api;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;
use crate::tidy::read;

const ID: &str = "01a1fb1d-b05c-748a-9a92-48544a64a3e2";

/// Paths that upgrade to a socket: whatever the method, what is no upgrade is told that one was expected.
const UPGRADES: [&str; 3] = ["/v1/ws", "/functions/v1/agent_websocket", "/v1/ai-sdk"];

/// The paths that a file routes.
fn routed(file: &str, from: &str, to: &str) -> BTreeSet<String> {
    let text = read(file);
    let (_, text) = text.split_once(from).expect("the beginning");
    let (text, _) = text.split_once(to).unwrap_or((text, ""));
    text.split(".route(")
        .skip(1)
        .map(|rest| rest.split('"').nth(1).expect("a path").to_owned())
        .collect()
}

#[test]
fn every_route_is_in_the_document_and_the_document_has_no_other() {
    let mut routes = routed("src/http.rs", "pub fn router(", "pub fn admin_router(");
    routes.extend(routed("src/http/documents.rs", "fn routes(", "no end"));
    let documented: BTreeSet<String> = operations()
        .iter()
        .map(|operation| operation.path.to_owned())
        .collect();
    assert_eq!(routes, documented);
}

#[tokio::test]
async fn the_server_has_the_documents_methods_and_no_others() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, "no token");
    let all = operations();
    let paths: BTreeSet<&str> = all.iter().map(|operation| operation.path).collect();
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if UPGRADES.contains(&path) && method != "GET" {
                continue;
            }
            let reply = api.call(method, &path.replace("{id}", ID), None).await;
            let is_documented = all
                .iter()
                .any(|operation| operation.path == path && operation.method == method);
            let is_served = ![404, 405].contains(&reply.status);
            assert_eq!(is_documented, is_served, "{method} {path}: {reply:?}");
        }
    }
    node.shut_down().await;
}

#[tokio::test]
async fn the_documents_are_served_to_anybody_and_may_be_kept() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let api = Api::new(&node.base, "no token");
    for name in ["openapi", "asyncapi"] {
        let written = documents()
            .into_iter()
            .find(|document| document.name == name)
            .expect("a document");
        let reply = api.call("GET", &format!("/{name}.json"), None).await;
        assert_eq!((reply.status, &reply.body), (200, &written.text));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=3600"));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert!(reply.header("etag").is_some(), "{reply:?}");
    }
    node.shut_down().await;
}
