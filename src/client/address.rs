//! Where a deployment is: one address in any of the forms that people paste, and from it those of the socket and of HTTP.
//!
//! Pure. Refuses addresses with user, password, query or fragment: a token there would end up in logs.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// The paths at which the server upgrades to a WebSocket.
const SOCKET_PATHS: [&str; 2] = ["/v1/ws", "/functions/v1/agent_websocket"];

/// A deployment's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `http` or `https`, with the path under which the deployment is.
    base: Url,
    socket_path: &'static str,
}

/// Why a text is no address of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Not a URL with a host, or of another scheme.
    #[error("not an address such as https://agent.example.com or ws://127.0.0.1:8080/v1/ws")]
    Form,
    /// User, password, query or fragment.
    #[error("an address here has no user, password, query or fragment; the token is given apart")]
    Extra,
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let scheme_given = text.contains("://");
        let full = if scheme_given {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let (scheme, rest) = full.split_once("://").ok_or(InvalidAddress::Form)?;
        let scheme = match scheme {
            "ws" | "http" => "http",
            "wss" | "https" => "https",
            _ => return Err(InvalidAddress::Form),
        };
        let mut base = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| InvalidAddress::Form)?;
        if !base.has_host() {
            return Err(InvalidAddress::Form);
        }
        if !base.username().is_empty()
            || base.password().is_some()
            || base.query().is_some()
            || base.fragment().is_some()
        {
            return Err(InvalidAddress::Extra);
        }
        let path = base.path().trim_end_matches('/').to_owned();
        let (prefix, socket_path) = SOCKET_PATHS
            .iter()
            .find_map(|socket| Some((path.strip_suffix(socket)?, *socket)))
            .unwrap_or((&path, SOCKET_PATHS[0]));
        base.set_path(prefix);
        Ok(Self { base, socket_path })
    }
}

impl Address {
    /// Of the WebSocket.
    pub fn socket(&self) -> String {
        let url = self.http(self.socket_path);
        // http → ws, https → wss.
        url.replacen("http", "ws", 1)
    }

    /// Of an HTTP route, whose path begins with `/`.
    pub fn http(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Whether the way there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Whether it is this machine.
    pub fn is_local(&self) -> bool {
        matches!(self.base.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.socket())
    }
}
