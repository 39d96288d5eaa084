//! One HTTP request as the scripted provider sees it.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    head: String,
    /// Its JSON.
    pub(crate) body: Value,
}

impl Recorded {
    /// A header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The names of the headers, in lower case.
    pub(crate) fn header_names(&self) -> Vec<String> {
        let names = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        names.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }

    pub(crate) fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    pub(crate) fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map_or(&[], Vec::as_slice)
    }

    /// What the user said last.
    pub(crate) fn last_question(&self) -> &str {
        let mut questions = self.messages().iter().filter(|message| message["role"] == "user");
        questions
            .next_back()
            .and_then(|message| message["content"].as_str())
            .unwrap_or_default()
    }

    /// The answer to a request that nobody scripted: it depends on the whole conversation's length and its end.
    pub(crate) fn echo(&self) -> String {
        format!("Message {} was: {}", self.messages().len(), self.last_question())
    }
}

/// Reads a request with a `Content-Length`; `None` if the client left or sent something else.
pub(super) async fn read_request(connection: &mut (impl AsyncRead + Unpin)) -> Option<Recorded> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if connection.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(head_end);
    let mut request = Recorded {
        head: String::from_utf8(bytes).ok()?,
        body: Value::Null,
    };
    let length: usize = request.header("content-length")?.parse().ok()?;
    while body.len() < length {
        if connection.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let is_ours = request
        .head
        .starts_with("POST /api/v1/chat/completions HTTP/1.1\r\n");
    request.body = serde_json::from_slice(&body).ok().filter(|_| is_ours)?;
    Some(request)
}

/// Returns once the client has closed the connection.
pub(super) async fn hung_up(connection: &mut (impl AsyncRead + Unpin)) {
    let mut scratch = [0; 64];
    while connection.read(&mut scratch).await.is_ok_and(|n| n > 0) {}
}
