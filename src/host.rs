//! A name by which clients may reach this server, as in the header `Host`, and the question whether a header names it.
//!
//! A page of another site can make its own name point to this machine (DNS rebinding), and its requests are then of the
//! server's own origin for the browser; only the name gives it away. Pure. Read by `config` for `ALLOWED_HOSTS`, asked by
//! `http` before anything else.

use std::net::IpAddr;
use std::str::FromStr;

/// A name with its port: `agent.example.com`, `agent.example.com:8443`, `[::1]:8080`, or `localhost:*` for whatever port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    name: String,
    port: Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    /// None is written: the scheme's own.
    Own,
    Is(u16),
    Any,
}

/// A text that is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host such as agent.example.com, 10.0.0.1:8080 or localhost:*")]
pub struct InvalidHost;

impl HostName {
    /// Whether a `Host` header names exactly this.
    pub fn is(&self, header: &str) -> bool {
        let Some((name, port)) = split(header) else {
            return false;
        };
        let same_port = match (self.port, port) {
            (Port::Own | Port::Any, None) => true,
            (Port::Own, Some(_)) | (Port::Is(_), None) => false,
            (Port::Is(own), Some(port)) => number(port) == Some(own),
            (Port::Any, Some(port)) => number(port).is_some(),
        };
        same_port && name.eq_ignore_ascii_case(&self.name)
    }
}

impl FromStr for HostName {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, port) = split(text).ok_or(InvalidHost)?;
        let port = match port {
            None => Port::Own,
            Some("*") => Port::Any,
            Some(digits) => Port::Is(number(digits).ok_or(InvalidHost)?),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if is_address(name) || (!name.is_empty() && name.chars().all(known)) {
            let name = name.to_ascii_lowercase();
            Ok(Self { name, port })
        } else {
            Err(InvalidHost)
        }
    }
}

/// Whether a `Host` header names this machine or an address: no page can have reached it by a name of its own.
pub fn is_address_or_localhost(header: &str) -> bool {
    split(header).is_some_and(|(name, port)| {
        port.is_none_or(|port| number(port).is_some())
            && (is_address(name) || name.eq_ignore_ascii_case("localhost"))
    })
}

fn is_address(name: &str) -> bool {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(inner) => matches!(inner.parse(), Ok(IpAddr::V6(_))),
        None => matches!(name.parse(), Ok(IpAddr::V4(_))),
    }
}

/// Name and port; `None` if there is more than that.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    // The colons of an IPv6 address are within its brackets.
    let end_of_name = text.find(']').map_or(0, |at| at + 1);
    match text.get(end_of_name..)?.find(':') {
        Some(at) => {
            let (name, port) = text.split_at(end_of_name + at);
            Some((name, port.strip_prefix(':')))
        }
        None => Some((text, None)),
    }
}

/// A port; `u16::from_str` would also take "+80".
fn number(digits: &str) -> Option<u16> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
