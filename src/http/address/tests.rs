//! Whose address counts: proxies that are trusted, clients that make one up.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue};

use super::client_address;
use crate::cidr::Cidr;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The address of a request from `peer` with these `X-Forwarded-For` headers, where `10.0.0.0/8` and `::1` are proxies.
fn from(peer: &str, forwarded: &[&str]) -> IpAddr {
    let trusted: Vec<Cidr> = ["10.0.0.0/8", "::1"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let mut headers = HeaderMap::new();
    for value in forwarded {
        headers.append(
            "x-forwarded-for",
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    client_address(address(peer), &headers, &trusted)
}

#[test]
fn without_a_trusted_proxy_the_peer_is_the_client_whatever_it_says() {
    for forwarded in [
        &[][..],
        &["203.0.113.7"],
        &["203.0.113.7, 10.0.0.1"],
        &["10.0.0.1"],
    ] {
        assert_eq!(
            from("198.51.100.1", forwarded),
            address("198.51.100.1"),
            "{forwarded:?}"
        );
    }
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.7"));
    assert_eq!(
        client_address(address("10.0.0.1"), &headers, &[]),
        address("10.0.0.1"),
        "no proxy is trusted unless the operator says so"
    );
}

#[test]
fn a_trusted_proxy_is_believed_hop_by_hop_from_the_right() {
    for (peer, forwarded, expected) in [
        ("10.0.0.1", vec![], "10.0.0.1"),
        ("10.0.0.1", vec!["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", vec!["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", vec!["  203.0.113.7 ,10.0.0.2 "], "203.0.113.7"),
        (
            "10.0.0.1",
            vec!["203.0.113.7", "10.0.0.3, 10.0.0.2"],
            "203.0.113.7",
        ),
        ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::1", vec!["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", vec!["203.0.113.7"], "203.0.113.7"),
    ] {
        assert_eq!(from(peer, &forwarded), address(expected), "{peer} {forwarded:?}");
    }
}

#[test]
fn what_a_client_wrote_itself_is_never_reached() {
    for forwarded in [
        vec!["1.1.1.1, 203.0.113.7"],
        vec!["10.0.0.9, 203.0.113.7"],
        vec!["1.1.1.1", "203.0.113.7, 10.0.0.2"],
        vec!["nonsense, 203.0.113.7"],
    ] {
        assert_eq!(
            from("10.0.0.1", &forwarded),
            address("203.0.113.7"),
            "{forwarded:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_ends_the_search_at_the_last_known_hop() {
    for (forwarded, expected) in [
        (vec![""], "10.0.0.1"),
        (vec!["unknown"], "10.0.0.1"),
        (vec!["203.0.113.7, _hidden"], "10.0.0.1"),
        (vec!["203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2"),
        (vec!["203.0.113.7,"], "10.0.0.1"),
    ] {
        assert_eq!(from("10.0.0.1", &forwarded), address(expected), "{forwarded:?}");
    }
}
