//! Plain HTTP to a deployment: one request, its status, date and body, and how long it took.
//!
//! Refuses redirects, which would hand the token to another host. `check` calls it.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::address::Address;
use crate::secret::Secret;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a request was answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body, where it was JSON.
    pub body: Option<Value>,
    /// What the other end's clock shows, in whole seconds.
    pub date: Option<OffsetDateTime>,
    /// From the request to the end of the body.
    pub took: Duration,
}

/// HTTP to one deployment.
#[derive(Clone, Debug)]
pub struct Web {
    client: Client,
    address: Address,
}

impl Web {
    /// A way to this deployment.
    ///
    /// # Errors
    /// When the system offers no TLS.
    pub fn new(address: &Address) -> Result<Self, String> {
        #[expect(
            clippy::disallowed_methods,
            reason = "to the operator's own deployment, with a deadline and without redirects"
        )]
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| in_full(&error))?;
        Ok(Self {
            client,
            address: address.clone(),
        })
    }

    /// Asks for a route, or posts JSON to it.
    ///
    /// # Errors
    /// Why nobody answered, with the causes.
    pub async fn ask(
        &self,
        path: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
    ) -> Result<Reply, String> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.client.request(method, self.address.http(path));
        if let Some(token) = token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let began = Instant::now();
        let response = request.send().await.map_err(|error| in_full(&error))?;
        let status = response.status().as_u16();
        let date = response
            .headers()
            .get("date")
            .and_then(|value| http_date(value.to_str().ok()?));
        let bytes = response.bytes().await.map_err(|error| in_full(&error))?;
        Ok(Reply {
            status,
            body: serde_json::from_slice(&bytes).ok(),
            date,
            took: began.elapsed(),
        })
    }
}

/// A date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    Some(time::PrimitiveDateTime::parse(text, format).ok()?.assume_utc())
}

/// An error with its causes: reqwest's own sentence says only that a request failed.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn a_date_of_http_is_read() {
        let date = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.unix_timestamp(), 784_111_777);
        assert_eq!(http_date("yesterday"), None);
    }
}
