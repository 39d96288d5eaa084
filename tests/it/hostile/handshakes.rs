//! Floods of handshakes, from one address and from many: limited by address, forged or not, and nobody else suffers (T8,
//! T28, T29).

use std::fmt::Write as _;
use std::time::Duration;

use super::{Target, report};
use crate::support::http::{Reply, UPGRADE, request};
use crate::support::raw::RawClient;

/// The tests' own address is a proxy's: it says for whom it asks.
const BEHIND_A_PROXY: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1");

/// Attempts that an address has a minute.
const ALLOWED: usize = 120;

/// A handshake with a forged or honest `X-Forwarded-For`, and a token that is none.
async fn attempt(base: &str, forwarded: &str) -> Reply {
    let mut headers = UPGRADE.to_vec();
    headers.extend([
        ("x-forwarded-for", forwarded),
        // No browser and no program of ours: what is refused is refused by status.
        ("authorization", "Bearer x.y.z"),
    ]);
    request(base, "GET", "/v1/ws", &headers, None).await
}

/// How many of some attempts were looked at, and how many were turned away unread.
async fn attempts(base: &str, forwarded: impl Iterator<Item = String>) -> (usize, usize) {
    let (mut looked_at, mut turned_away) = (0, 0);
    for forwarded in forwarded {
        let reply = attempt(base, &forwarded).await;
        match reply.status {
            401 => looked_at += 1,
            429 => {
                assert!(reply.header("retry-after").is_some(), "{reply:?}");
                turned_away += 1;
            }
            _ => panic!("{reply:?}"),
        }
    }
    (looked_at, turned_away)
}

#[tokio::test]
async fn a_flood_of_handshakes_is_answered_429_and_nobody_else_suffers() {
    // Bad tokens have a limit of their own, which would come first.
    let unlimited = ("AUTH_FAILURES_PER_MINUTE_PER_ADDRESS", "0");
    let mut target = Target::start(&[BEHIND_A_PROXY, unlimited]).await;
    let before = target.usage();
    let one_address = std::iter::repeat_n("203.0.113.7".to_owned(), 400);
    let (looked_at, turned_away) = attempts(&target.server.base, one_address).await;
    let cost = target.cost(before);
    // A few more than the limit, since it refills meanwhile: two a second.
    assert!((ALLOWED..ALLOWED * 2).contains(&looked_at), "{looked_at}");
    assert_eq!(looked_at + turned_away, 400);
    cost.assert_within(4, Duration::from_secs(4));
    let figures = format!("{looked_at} looked at, {turned_away} answered 429, {cost}");
    report("T8", "400 handshakes from one address", figures);

    // A provider hands out 2^64 addresses at once: they are one.
    let one_network = (0..200).map(|n| format!("2001:db8:0:7:{n:x}::{n:x}"));
    let (looked_at, turned_away) = attempts(&target.server.base, one_network).await;
    assert!((ALLOWED..=ALLOWED + 60).contains(&looked_at), "{looked_at}");
    let figures = format!("{looked_at} looked at, {turned_away} answered 429");
    report(
        "T8",
        "200 handshakes from as many addresses of one IPv6 /64",
        figures,
    );
    target.assert_unharmed().await;
}

#[tokio::test]
async fn an_address_that_a_client_made_up_is_not_believed() {
    let target = Target::start(&[]).await;
    let invented = (0..40).map(|n| format!("198.51.100.{n}"));
    let (looked_at, turned_away) = attempts(&target.server.base, invented).await;
    // Thirty bad tokens a minute, whoever the peer says that it is.
    assert!((30..=33).contains(&looked_at), "{looked_at}");
    let figures = format!("{looked_at} looked at, {turned_away} answered 429");
    report("T28", "40 invented addresses without a trusted proxy", figures);

    let target = Target::start(&[BEHIND_A_PROXY]).await;
    let invented = (0..40).map(|n| format!("127.0.0.1, 198.51.100.{n}, 203.0.113.7"));
    let (looked_at, turned_away) = attempts(&target.server.base, invented).await;
    assert!((30..=33).contains(&looked_at), "{looked_at}");
    let figures = format!("{looked_at} looked at, {turned_away} answered 429");
    report(
        "T28",
        "40 invented addresses before the one that a trusted proxy saw",
        figures,
    );
}

/// Handshakes of as many addresses, one after the other on one connection. Each lacks its key, so that it ends early.
async fn from_many_addresses(base: String, network: usize, addresses: usize) {
    let mut requests = String::new();
    for n in 0..addresses {
        let _ = write!(
            requests,
            "GET /v1/ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nx-forwarded-for: 10.{network}.{}.{}\r\n\r\n",
            n / 256,
            n % 256
        );
    }
    requests.push_str("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut client = RawClient::connect(&base).await;
    // All of it at once would wait for answers that nobody reads.
    let (mut sent, requests) = (0, requests.into_bytes());
    while sent < requests.len() {
        let piece = &requests[sent..requests.len().min(sent + 16 * 1024)];
        client.send(piece).await.unwrap();
        sent += piece.len();
        client.forget().await;
    }
    client.ended().await;
}

#[tokio::test]
async fn addresses_beyond_number_take_little_memory_each() {
    const CONNECTIONS: usize = 8;
    const ADDRESSES: usize = 2500;
    let mut target = Target::start(&[BEHIND_A_PROXY]).await;
    let base = target.server.base.clone();
    from_many_addresses(base.clone(), 200, 100).await;
    let before = target.usage();
    let floods = (0..CONNECTIONS).map(|network| from_many_addresses(base.clone(), network, ADDRESSES));
    futures_util::future::join_all(floods).await;
    let cost = target.cost(before);
    // Forgetting them, a minute later, is `limits::tests::those_who_went_away_are_forgotten`.
    cost.assert_within(6, Duration::from_secs(30));
    target.assert_unharmed().await;
    let addresses = CONNECTIONS * ADDRESSES;
    report("T29", &format!("{addresses} addresses in the limiter"), cost);
}
