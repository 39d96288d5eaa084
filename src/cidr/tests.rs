//! Networks and the addresses in them.

use super::Cidr;

#[test]
fn a_network_holds_the_addresses_that_share_its_first_bits() {
    let cases = [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.1.2.3/8", "10.9.9.9", true),
        ("192.168.1.1", "192.168.1.1", true),
        ("192.168.1.1", "192.168.1.2", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "::1", false),
        ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ("::1", "::1", true),
        ("fd00::/8", "fdff::1", true),
        ("fd00::/8", "fe80::1", false),
        ("::/0", "2001:db8::1", true),
    ];
    for (network, address, held) in cases {
        let network: Cidr = network.parse().unwrap();
        assert_eq!(
            network.contains(address.parse().unwrap()),
            held,
            "{network} {address}"
        );
    }
}

#[test]
fn anything_else_is_no_network() {
    let malformed = [
        "",
        "proxy",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "10.0.0/8",
        "/8",
    ];
    let out_of_range = ["10.0.0.0/33", "::/129", "::ffff:10.0.0.0/104"];
    for bad in malformed.iter().chain(&out_of_range) {
        assert!(bad.parse::<Cidr>().is_err(), "{bad}");
    }
}
