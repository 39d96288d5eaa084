//! What a handshake brings: which token counts, which origins may connect.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::protocol::SUBPROTOCOL;
use crate::ws::bearer_protocol;
use crate::ws::credentials::{Credentials, InUrl, bearer, find, offers, origin_allowed};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    headers
}

fn found(pairs: &[(&str, &str)], in_url: Option<&str>) -> Credentials {
    let in_url = InUrl {
        ticket: None,
        token: in_url.map(str::to_owned),
    };
    find(&headers(pairs), SUBPROTOCOL, in_url)
}

fn token(token: &str) -> Credentials {
    Credentials::Token(token.to_owned())
}

#[test]
fn the_first_place_that_has_a_token_counts() {
    let header = ("Authorization", "Bearer h");
    let protocol = ("Sec-WebSocket-Protocol", "agentws.v1, agentws.bearer.p");
    let ours = ("Sec-WebSocket-Protocol", "agentws.v1");
    assert_eq!(found(&[header, protocol], Some("u")), token("h"));
    assert_eq!(found(&[protocol], Some("u")), token("p"));
    assert_eq!(found(&[ours], Some("u")), token("u"));
    assert_eq!(found(&[ours], None), Credentials::None);
    assert_eq!(found(&[], None), Credentials::None);

    let both = InUrl {
        ticket: Some("t".to_owned()),
        token: Some("u".to_owned()),
    };
    let ticket = Credentials::Ticket("t".to_owned());
    assert_eq!(
        find(&headers(&[header, protocol]), SUBPROTOCOL, both.clone()),
        token("h")
    );
    assert_eq!(find(&headers(&[protocol]), SUBPROTOCOL, both.clone()), token("p"));
    assert_eq!(find(&headers(&[ours]), SUBPROTOCOL, both), ticket);
}

#[test]
fn a_bearer_header_is_read_whatever_its_case() {
    for value in ["Bearer t", "bearer t", "BEARER t", "Bearer  t", "Bearer t "] {
        let headers = headers(&[("authorization", value)]);
        assert_eq!(bearer(&headers), Some("t"), "{value:?}");
    }
    for value in ["Basic dTpw", "Bearer", "t", "", "BearerX t"] {
        let headers = headers(&[("authorization", value)]);
        assert_eq!(bearer(&headers), None, "{value:?}");
    }
    assert_eq!(
        found(&[("Authorization", "Basic dTpw")], Some("u")),
        token("u"),
        "another scheme is a proxy's, not ours"
    );
}

#[test]
fn sub_protocols_are_read_from_any_number_of_headers() {
    let name = "sec-websocket-protocol";
    for values in [
        &["agentws.v1, agentws.bearer.t"][..],
        &["agentws.bearer.t,agentws.v1"],
        &["agentws.v1", "agentws.bearer.t"],
        &["graphql-ws , agentws.bearer.t", " agentws.v1 "],
    ] {
        let pairs: Vec<(&str, &str)> = values.iter().map(|value| (name, *value)).collect();
        assert_eq!(found(&pairs, None), token("t"), "{values:?}");
        assert!(offers(&headers(&pairs), SUBPROTOCOL), "{values:?}");
    }
    for value in ["", "agentws", "agentws.v2", "AGENTWS.V1", "agentws.v1.1"] {
        assert!(!offers(&headers(&[(name, value)]), SUBPROTOCOL), "{value:?}");
    }
}

#[test]
fn a_token_among_sub_protocols_needs_ours_beside_it() {
    let alone = ("Sec-WebSocket-Protocol", "agentws.bearer.t");
    assert_eq!(found(&[alone], Some("u")), Credentials::ProtocolWithoutOurs);
    assert_eq!(found(&[alone, ("Authorization", "Bearer h")], None), token("h"));
}

#[test]
fn a_token_survives_the_sub_protocol() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln-_";
    let offered = format!("agentws.v1, {}", bearer_protocol(jwt));
    assert_eq!(found(&[("Sec-WebSocket-Protocol", &offered)], None), token(jwt));
}

/// Whether a page of this origin may connect to `agent.example:8443`, where the operator named two others.
fn may_connect(origins: &[&str]) -> bool {
    let mut pairs = vec![("host", "agent.example:8443")];
    pairs.extend(origins.iter().map(|origin| ("origin", *origin)));
    let allowed = [
        "https://app.example".to_owned(),
        "http://localhost:3000".to_owned(),
    ];
    origin_allowed(&headers(&pairs), &allowed)
}

#[test]
fn the_servers_own_origin_and_those_named_may_connect() {
    assert!(may_connect(&[]), "programs send none");
    for origin in [
        "https://app.example",
        "http://localhost:3000",
        "https://agent.example:8443",
        "http://agent.example:8443",
        "https://AGENT.example:8443",
    ] {
        assert!(may_connect(&[origin]), "{origin}");
    }
}

#[test]
fn other_origins_may_not_connect() {
    for origin in [
        "",
        "null",
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "https://agent.example",
        "https://agent.example:8443.evil.example",
        "https://agent.example:8443@evil.example",
        "ftp://agent.example:8443",
        "agent.example:8443",
        "https://app.example\u{e9}",
    ] {
        assert!(!may_connect(&[origin]), "{origin:?}");
    }
}

#[test]
fn two_origins_are_none_that_could_be_trusted() {
    assert!(!may_connect(&["https://app.example", "https://app.example"]));
    assert!(!may_connect(&["https://app.example", "https://evil.example"]));
}

#[test]
fn without_a_host_only_named_origins_may_connect() {
    let allowed = ["https://app.example".to_owned()];
    let from = |origin| origin_allowed(&headers(&[("origin", origin)]), &allowed);
    assert!(from("https://app.example"));
    assert!(!from("https://agent.example"));
    assert!(!from("https://"));
}
