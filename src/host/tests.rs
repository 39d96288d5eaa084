//! Hosts and the headers that name them.

use super::{HostName, is_address_or_localhost};

#[test]
fn a_header_must_name_the_host_and_its_port_exactly_whatever_the_case() {
    let cases = [
        ("agent.example.com", "agent.example.com", true),
        ("agent.example.com", "AGENT.Example.Com", true),
        ("Agent.example.com", "agent.example.com", true),
        ("agent.example.com", "agent.example.com:443", false),
        ("agent.example.com", "agent.example.com.", false),
        ("agent.example.com", "evil.agent.example.com", false),
        ("agent.example.com", "agent.example.com.evil.com", false),
        ("agent.example.com", "agent.example.com@evil.com", false),
        ("agent.example.com", " agent.example.com", false),
        ("agent.example.com", "", false),
        ("agent.example.com:8443", "agent.example.com:8443", true),
        ("agent.example.com:8443", "agent.example.com", false),
        ("agent.example.com:8443", "agent.example.com:8080", false),
        ("agent.example.com:8443", "agent.example.com:+8443", false),
        ("agent.example.com:8443", "agent.example.com:8443:8443", false),
        ("localhost:*", "localhost", true),
        ("localhost:*", "localhost:1", true),
        ("localhost:*", "localhost:", false),
        ("localhost:*", "localhost:*", false),
        ("localhost:*", "localhost:99999", false),
        ("localhost:*", "localhost.evil.com:80", false),
        ("127.0.0.1:8080", "127.0.0.1:8080", true),
        ("127.0.0.1:8080", "127.0.0.2:8080", false),
        ("[::1]:8080", "[::1]:8080", true),
        ("[::1]:8080", "[::2]:8080", false),
        ("[::1]:*", "[::1]", true),
    ];
    for (host, header, named) in cases {
        let host: HostName = host.parse().unwrap();
        assert_eq!(host.is(header), named, "{host:?} {header:?}");
    }
}

#[test]
fn what_is_no_host_is_refused() {
    for bad in [
        "",
        ":80",
        "*",
        "*.example.com",
        "https://agent.example.com",
        "agent.example.com/",
        "agent.example.com:",
        "agent.example.com:http",
        "agent.example.com:65536",
        "user@agent.example.com",
        "::1",
        "[::1",
        "[agent.example.com]",
        "a b",
    ] {
        assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
    }
}

#[test]
fn an_address_is_told_from_a_name() {
    for address in [
        "127.0.0.1",
        "10.1.2.3:9090",
        "[::1]",
        "[fd00::1]:9090",
        "localhost",
        "LOCALHOST:9090",
    ] {
        assert!(is_address_or_localhost(address), "{address}");
    }
    for name in [
        "",
        "evil.com",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "127.0.0.1:x",
        "::1",
    ] {
        assert!(!is_address_or_localhost(name), "{name}");
    }
}
