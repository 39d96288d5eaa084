//! What a measurement likely comes from, and what to do about it.
//!
//! Pure, and the only place that names causes: docs/check.md explains the same ones. The steps ask.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use time::OffsetDateTime;

use crate::auth::LEEWAY;
use crate::client::Refused;

pub(super) const BUFFERING: &str = "proxy buffering: something between gathers what the server sends. Switch off response \
buffering, compression and inspection for the WebSocket's path.";

pub(super) const IDLE_CUT: &str = "idle cut: something between ends connections that are silent. Raise its idle or read timeout \
above HEARTBEAT_MS, or lower HEARTBEAT_MS.";

pub(super) const POOLER: &str = "pooler without LISTEN: the way to Postgres leads through a pooler in transaction mode, or \
nothing can be reached there. Set LISTEN_DATABASE_URL to Postgres itself.";

pub(super) const NOTIFY_SCOPE: &str = "wrong role: the service's token has no scope agent:notify. Sign one with it, as \
`agent-websocket token SERVICE --scope agent:notify` does.";

/// What arrives within so little time came at once.
const AT_ONCE: Duration = Duration::from_millis(300);

/// So much time of the server's in one bunch is no accident.
pub(super) const BUNCH: Duration = Duration::from_secs(2);

/// A token's times, read without checking its signature: in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) starts: Option<i64>,
    pub(super) ends: Option<i64>,
}

/// When a token says it holds.
pub(super) fn times(token: &str) -> Times {
    let claims: Option<Value> = token
        .split('.')
        .nth(1)
        .and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(claims) = claims else {
        return Times::default();
    };
    let claim = |name: &str| claims.get(name).and_then(Value::as_i64);
    Times {
        starts: claim("nbf").max(claim("iat")),
        ends: claim("exp"),
    }
}

/// Why a token is refused, by the server's clock.
pub(super) fn refused_token(times: Times, server: OffsetDateTime, here: OffsetDateTime) -> String {
    let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or(i64::MAX);
    let now = server.unix_timestamp();
    match times {
        Times { starts: Some(starts), .. } if starts > now.saturating_add(leeway) => format!(
            "clock skew: the token holds only in {} s by the server's clock. The issuer's clock is ahead, or the server's behind: \
             run NTP on both.",
            starts - now
        ),
        Times { ends: Some(ends), .. } if ends <= now && ends > here.unix_timestamp() => format!(
            "clock skew: by the server's clock the token ended {} s ago, by this machine's it still holds. Run NTP on both.",
            now - ends
        ),
        Times { ends: Some(ends), .. } if ends <= now => {
            format!("expired token: it ended {} s ago. Get a new one.", now - ends)
        }
        Times { ends: None, .. } => "no token: it is no JWT with an `exp`. Is the right one given?".to_owned(),
        _ => "wrong key: the token was signed with another key, or for another issuer or audience, or was revoked. Compare \
              JWT_SECRET or JWT_JWKS_URL, JWT_ISSUER and JWT_AUDIENCE with the token; the server's log has the reason."
            .to_owned(),
    }
}

/// Whether two clocks are too far apart for tokens.
pub(super) fn skew(server: OffsetDateTime, here: OffsetDateTime) -> Option<String> {
    (server - here).unsigned_abs().gt(&LEEWAY).then(|| {
        "clock skew: one of the two clocks is wrong, and tokens are refused before their time or after. Run NTP on both.".to_owned()
    })
}

/// Why no socket was opened.
pub(super) fn refused_upgrade(refused: &Refused) -> String {
    match refused {
        Refused::Status { status, .. } => match status {
            301..=308 => "redirect: the address is another one, often https instead of http.",
            400 | 426 => {
                "proxy without upgrade: it drops the headers Upgrade and Connection. For nginx: proxy_http_version 1.1, and both headers \
                 set."
            }
            401 => "token not passed on: HTTP took the same token. A proxy treats the WebSocket's path differently.",
            403 => "refused origin or path: by a proxy's rules, or ALLOWED_ORIGINS.",
            404 => "wrong path: the WebSocket is at /v1/ws of the server; a proxy may put something before it.",
            421 => "unknown host: the name in the address is not in ALLOWED_HOSTS.",
            429 => "rate limit: too many attempts from this address. Behind a proxy set TRUSTED_PROXIES.",
            503 => "overloaded or draining: the server takes no connections now.",
            500..=599 => "proxy without server: it answers, and cannot reach the server.",
            _ => "something else: another server is at this address.",
        }
        .to_owned(),
        Refused::Tls(_) => "certificate: it is for another name, has ended, or its authority is unknown here.".to_owned(),
        Refused::Unreachable(_) | Refused::Token(_) => {
            "no way there: wrong address or port, a firewall, or a proxy that lets no WebSocket through.".to_owned()
        }
    }
}

/// The longest time of the server's whose text arrived at once; `pieces` are the moments of sending and of arrival.
pub(super) fn longest_bunch(pieces: &[(OffsetDateTime, Duration)]) -> Duration {
    let mut first = pieces.iter().peekable();
    let mut longest = Duration::ZERO;
    for &(sent, arrived) in pieces {
        while first
            .next_if(|(_, earlier)| arrived.saturating_sub(*earlier) > AT_ONCE)
            .is_some()
        {}
        if let Some((began, _)) = first.peek() {
            longest = longest.max((sent - *began).try_into().unwrap_or(Duration::ZERO));
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::OffsetDateTime;

    use super::{Times, longest_bunch, refused_token, refused_upgrade, skew, times};
    use crate::client::Refused;

    fn at(ms: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(1_700_000_000_000 + ms)
    }

    #[test]
    fn text_that_flows_makes_no_long_bunch_and_text_that_was_held_back_does() {
        let flows: Vec<_> = (0..40)
            .map(|n| (at(n * 100), Duration::from_millis(500 + n.unsigned_abs() * 100)))
            .collect();
        assert_eq!(longest_bunch(&flows), Duration::from_millis(300));
        let quickly: Vec<_> = (0..400)
            .map(|n| (at(n * 10), Duration::from_millis(n.unsigned_abs() * 10)))
            .collect();
        assert_eq!(
            longest_bunch(&quickly),
            Duration::from_millis(300),
            "no matter how close the pieces are"
        );
        let held: Vec<_> = (0..40)
            .map(|n| (at(n * 100), Duration::from_millis(4500)))
            .collect();
        assert_eq!(longest_bunch(&held), Duration::from_millis(3900));
        // A server that sends all at once is no proxy that gathers.
        let quick: Vec<_> = (0..40).map(|_| (at(0), Duration::from_millis(1))).collect();
        assert_eq!(longest_bunch(&quick), Duration::ZERO);
        assert_eq!(longest_bunch(&[]), Duration::ZERO);
    }

    #[test]
    fn a_refused_token_is_explained_by_its_times() {
        let (server, here) = (at(0), at(0));
        let now = server.unix_timestamp();
        for (starts, ends, here, cause) in [
            (
                Some(now + 600),
                Some(now + 900),
                here,
                "clock skew: the token holds only in 600 s",
            ),
            (
                Some(now - 900),
                Some(now - 60),
                at(-120_000),
                "clock skew: by the server's clock",
            ),
            (Some(now - 900), Some(now - 60), here, "expired token"),
            (Some(now + 10), Some(now + 900), here, "wrong key"),
            (None, None, here, "no token"),
        ] {
            let said = refused_token(Times { starts, ends }, server, here);
            assert!(said.starts_with(cause), "{said}");
        }
    }

    #[test]
    fn a_tokens_times_are_read_without_its_key() {
        // {"iat":1,"nbf":5,"exp":9}
        let expected = Times {
            starts: Some(5),
            ends: Some(9),
        };
        assert_eq!(times("e30.eyJpYXQiOjEsIm5iZiI6NSwiZXhwIjo5fQ.x"), expected);
        for text in ["", "x", "a.b.c", "e30.e30.x"] {
            assert_eq!(times(text), Times::default(), "{text}");
        }
    }

    #[test]
    fn clocks_may_differ_by_what_tokens_forgive() {
        assert_eq!(skew(at(0), at(30_000)), None);
        assert!(skew(at(0), at(31_000)).is_some());
        assert!(skew(at(31_000), at(0)).is_some());
    }

    #[test]
    fn a_status_in_place_of_an_upgrade_names_who_gave_it() {
        for (status, cause) in [
            (302, "redirect"),
            (400, "proxy without upgrade"),
            (404, "wrong path"),
            (421, "unknown host"),
            (502, "proxy without server"),
            (503, "overloaded"),
            (200, "something else"),
        ] {
            let said = refused_upgrade(&Refused::Status {
                status,
                detail: None,
                retry_after: None,
            });
            assert!(said.starts_with(cause), "{status}: {said}");
        }
    }
}
