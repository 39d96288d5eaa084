//! Plain HTTP requests to a node, and what came back.

use std::sync::OnceLock;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::Value;

use super::PATIENCE;

/// What asks for a WebSocket, as headers of a request.
pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is a problem with this status and code, and gives its document.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let document = self.json();
        assert_eq!(document["status"], status, "{self:?}");
        assert_eq!(document["code"], code, "{self:?}");
        for field in ["type", "title", "detail"] {
            assert!(document[field].is_string(), "{field} of {self:?}");
        }
        document
    }
}

/// Each connection is used once: what a keep-alive connection would do to the next request is not what is tested.
fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is a client of its own, on loopback"
    )]
    CLIENT.get_or_init(|| {
        Client::builder()
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .unwrap()
    })
}

/// Sends a request and reads the whole response.
pub(crate) async fn request(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Reply {
    let mut request = client()
        .request(
            Method::from_bytes(method.as_bytes()).unwrap(),
            format!("http://{base}{path}"),
        )
        .timeout(PATIENCE);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
    }
    let response = request
        .send()
        .await
        .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    }
}

/// A user's way to the HTTP interface of a node.
pub(crate) struct Api {
    base: String,
    authorization: String,
}

impl Api {
    pub(crate) fn new(base: &str, token: &str) -> Self {
        Self {
            base: base.to_owned(),
            authorization: format!("Bearer {token}"),
        }
    }

    /// A request with the user's token.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.call_with(method, path, &[], body).await
    }

    /// The same with further headers.
    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let mut all = vec![("authorization", self.authorization.as_str())];
        all.extend_from_slice(headers);
        let body = body.map(|body| body.to_string());
        request(&self.base, method, path, &all, body.as_deref()).await
    }
}
