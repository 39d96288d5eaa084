//! The first connection, without a client that would come back: what exactly answers, and when.
//!
//! [`super::steps`] calls [`knock`].

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::causes;
use super::report::Finding;
use crate::client::address::Address;
use crate::client::dial;
use crate::client::frames::{self, Frame, Welcome};
use crate::secret::Secret;

/// How long the first frame may take. The server itself ends a connection that has no token after 5 seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the server says when it waited in vain for a token in the first frame.
const WAITED_FOR_TOKEN: Duration = Duration::from_secs(4);

/// Opens a socket and waits for its welcome.
pub(super) async fn knock(address: &Address, token: &Secret) -> Result<(Box<Welcome>, Finding), Finding> {
    let began = Instant::now();
    let mut socket = match dial(address, "", token).await {
        Ok(socket) => socket,
        Err(refused) => {
            return Err(Finding::fail(
                refused.to_string(),
                causes::refused_upgrade(&refused),
            ));
        }
    };
    let upgraded = began.elapsed();
    loop {
        let message = match timeout(PATIENCE, socket.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return Err(Finding::fail(error.to_string(), causes::BUFFERING)),
            Ok(None) => {
                return Err(Finding::fail(
                    "cut before the first frame",
                    "a proxy takes the upgrade and passes no frames on",
                ));
            }
            Err(_) => {
                let silent = format!("upgraded, then nothing for {} s", PATIENCE.as_secs());
                return Err(Finding::fail(silent, causes::BUFFERING));
            }
        };
        match message {
            Message::Text(text) => match frames::read(&text) {
                Ok(Frame::Welcome(welcome)) => {
                    let welcomed = began.elapsed();
                    let measured = format!("upgrade in {}, welcome in {}", ms(upgraded), ms(welcomed));
                    let _ = timeout(PATIENCE, socket.close(None)).await;
                    return Ok((welcome, Finding::ok(measured)));
                }
                Ok(_) => {}
                Err(error) => {
                    return Err(Finding::fail(
                        error.to_string(),
                        "something else: another server is at this address",
                    ));
                }
            },
            Message::Close(close) => {
                let code = close.as_ref().map_or(1005, |close| u16::from(close.code));
                return Err(closed(code, began.elapsed()));
            }
            _ => {}
        }
    }
}

fn closed(code: u16, after: Duration) -> Finding {
    let measured = format!("closed with {code} after {}", ms(after));
    let cause = match code {
        4501 if after > WAITED_FOR_TOKEN => {
            "token not passed on: a proxy drops the header Authorization on the WebSocket's path"
        }
        4501 | 4503 => {
            "refused token, although HTTP took it: it was revoked or ended just now, or a proxy changes it"
        }
        4505 => "too many connections of this user",
        4429 => "rate limit: too many attempts. Behind a proxy set TRUSTED_PROXIES",
        1012 | 1013 => "overloaded or draining: the server takes no connections now",
        _ => "the server's log has the reason",
    };
    Finding::fail(measured, cause)
}

/// A time for a person.
pub(super) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
