//! Keys and tokens made for these tests and used nowhere else.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;

/// An RSA key pair of this test run: what signs, and the public key in DER.
pub(super) fn rsa() -> &'static (EncodingKey, Vec<u8>) {
    static PAIR: OnceLock<(EncodingKey, Vec<u8>)> = OnceLock::new();
    PAIR.get_or_init(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        // PKCS #8 is 26 bytes before the key of a length such as this.
        let private = EncodingKey::from_rsa_der(&private.as_ref()[26..]);
        (private, public.as_ref().to_vec())
    })
}

/// DER as PEM.
pub(super) fn pem(der: &[u8]) -> String {
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der)
    )
}

/// A P-384 key pair, PKCS #8.
pub(super) fn p384_pkcs8() -> Vec<u8> {
    let text = concat!(
        "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDAr6ZPGGdntiWz6br1l4Vkph+5bId3d/+ePAFxzkbP6cBIZ6bGI",
        "Sib5gx8QWxfaIFyhZANiAASpUUbuPcC6lF0OxMGZl9b0gO2RF5Eszx3TIi5rjQfEkbO55fZnsb/CCdaCqgOz+R8SXjtrp+to",
        "rzIQ563Pm7d1qqOaOvGnSw1/lDxDWp1z0SiVuSNp1bhR+4mdxLXf4vA=",
    );
    STANDARD.decode(text).unwrap()
}

/// Its public key, as openssl writes it.
pub(super) const P384_PUBLIC_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEqVFG7j3AupRdDsTBmZfW9IDtkReRLM8d
0yIua40HxJGzueX2Z7G/wgnWgqoDs/kfEl47a6fraK8yEOetz5u3daqjmjrxp0sN
f5Q8Q1qdc9EolbkjadW4UfuJncS13+Lw
-----END PUBLIC KEY-----
";

/// The public key of [`P256_PKCS8`].
pub(super) const P256_PUBLIC_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4ObTZTzRGN114mGJtfcovJ+f2rJl
07CdYicsxTTvn6dcpnpKoWrB3hyEc7zPX6kT7rb5CehvyJKQg/D0dBfD9Q==
-----END PUBLIC KEY-----
";

/// The public key of the Ed25519 pair number 1.
pub(super) const ED25519_PUBLIC_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=
-----END PUBLIC KEY-----
";

/// Public keys that no token may be signed with here: P-521, Ed448, RSA of 1024 bits.
pub(super) const OTHER_PUBLIC_KEYS: [&str; 3] = [
    "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAkAa3W7KGtiAq1hmvfiyIoRZM4/ZD
YRiAQIWIKxcV9pSeEuWUgCatdfODSh8whnW5kHolJf5HOIUz7GhpRPsuDYIBq4E+
jgPWe1EJ6EAF9vSGiJDYtnHJrGzFKTSl0QEUqzL561o+Mb99DZ7RVOfAKFzIv0I3
GbX9BF7bs6KGnO+UkNs=
-----END PUBLIC KEY-----",
    "-----BEGIN PUBLIC KEY-----
MEMwBQYDK2VxAzoAyN7Ouq4crd/AHDUzeUB8jehuQYjV4wmREviXTW8wYLStuG57
oABiuSYCb0KMmYLMbbq1ou4XQVoA
-----END PUBLIC KEY-----",
    "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCrEbzVe8kjtq0ti3nVMYpCclls
Jc1DP1Tn2u64tE96tSbVSYZNHei3WvJLW5Oji4wUaWDEpuM/QAFdrXsOnuig1be6
Bip9as3AoDCaKm5mH5WxHLm5t7s1kT9SstRjbTnv01jVdf7KozmGNgUyBbqdob5i
ztXo5pjdquC7PvnXAwIDAQAB
-----END PUBLIC KEY-----",
];

/// Modulus of a 2048-bit RSA key; its exponent is `AQAB`.
pub(super) const RSA_MODULUS: &str = concat!(
    "pRnQ6Fiq0i3sMtmQrWVQYg1WmAaHhAuG7E1gxJKBfTMQm3YwlW_pnUCBtIDzWZk_ajeb3KqPA12yDB676hqyxXmjsJfaChLCyZ",
    "QILegH48bN4ZjCYBXjFE0hjgy2cRYV-mE_FKky6dc6_zw2n-ugBP2jqHKxVFSQIP1bsuuEgfrd6TxO9mAlzw9R2eXH_HchmCOQ",
    "m-pwOoXZxkWnIeUM9a3FwNet0SweXXam-g8S_hNGkWsVOM1QvcPUQMw1cBANk65XSCtNbeYUCusrA53qRD5-eTMPXJcQg1EKca",
    "h_VDXZPZ_POFg69-Xl_LnZZyfRPyhog1aQ7XI_kjaxiIcB1w",
);

/// The same key as an issuer's website would show it: the text that a confused verifier takes for an HMAC
/// secret.
pub(super) const RSA_PUBLIC_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApRnQ6Fiq0i3sMtmQrWVQ
Yg1WmAaHhAuG7E1gxJKBfTMQm3YwlW/pnUCBtIDzWZk/ajeb3KqPA12yDB676hqy
xXmjsJfaChLCyZQILegH48bN4ZjCYBXjFE0hjgy2cRYV+mE/FKky6dc6/zw2n+ug
BP2jqHKxVFSQIP1bsuuEgfrd6TxO9mAlzw9R2eXH/HchmCOQm+pwOoXZxkWnIeUM
9a3FwNet0SweXXam+g8S/hNGkWsVOM1QvcPUQMw1cBANk65XSCtNbeYUCusrA53q
RD5+eTMPXJcQg1EKcah/VDXZPZ/POFg69+Xl/LnZZyfRPyhog1aQ7XI/kjaxiIcB
1wIDAQAB
-----END PUBLIC KEY-----
";

/// Signed by that key: `kid` `rsa`, `sub` `u_42`, the issuer and audience of these tests, valid for ten
/// minutes from their present.
pub(super) const RSA_TOKEN: &str = concat!(
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJzdWIiOiJ1XzQyIiwiaXNzIjoiaHR0cHM6Ly9pc3N1Z",
    "XIudGVzdC8iLCJhdWQiOiJhZ2VudC13ZWJzb2NrZXQiLCJpYXQiOjE3NjcyMjU2MDAsImV4cCI6MTc2NzIyNjIwMH0.HUeJOw7",
    "qoEBn8HzJk9JF52NPdC_ITCD8JWCA0ZpSQLeYIl4FxEVMWR0VIU2EWK1WsOCqgJelhzPThWrcCDGx2yYgzZg1u7ivjqbeFzASW",
    "dPDrUqCmf7rTiE_GhpxVlj8kb3yCtP2TcRQmssAPVF4XaxQhDyUFbka0ozBLRQWcLdv5GJlrQajSlMpgrp8pNFzVfYloedk-cJ",
    "Sz5ScWiBuUjI6VLjY4g493TYpc4slVUjjd0GEdbKUAn9evDEndKcVmkC6nZUT0rsSLZL_VJ3ha0amJNXaRZz9rMc3GDOhw8sDm",
    "tVNNyzPYvZp7fRVbvRcZcMn2AfR_v2CJfVAwjeRWA",
);

/// Modulus of an RSA key of 1024 bits, which is too short.
pub(super) const SHORT_RSA_MODULUS: &str = concat!(
    "nmlpzRF6G_gaRkV5-BpfSL7tMRufCTq4RzWNirvxZ5B5EYssqgWwm8LJ-ynHFDCsMRvJetgErv7vedVZ3sIkj_whevcEAI377h",
    "yUT_SaqZciqu0gFYE57L_CnoxV9SmrbGJBaywN5HDRsjLu-vatWytO3S87MeF5B-f2CNl9ImE",
);

/// A P-256 key pair, PKCS #8.
pub(super) const P256_PKCS8: [u8; 138] = [
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01,
    0x04, 0x20, 0x51, 0xa1, 0x16, 0x95, 0x2f, 0xfd, 0xbb, 0x70, 0xc0, 0x03, 0x42, 0x85, 0xa2, 0xc2, 0x91,
    0x10, 0x47, 0xcc, 0xd2, 0x3a, 0x2e, 0x7b, 0x5a, 0xb6, 0xbe, 0x63, 0x1e, 0x8a, 0x24, 0x98, 0xc8, 0x10,
    0xa1, 0x44, 0x03, 0x42, 0x00, 0x04, 0xe0, 0xe6, 0xd3, 0x65, 0x3c, 0xd1, 0x18, 0xdd, 0x75, 0xe2, 0x61,
    0x89, 0xb5, 0xf7, 0x28, 0xbc, 0x9f, 0x9f, 0xda, 0xb2, 0x65, 0xd3, 0xb0, 0x9d, 0x62, 0x27, 0x2c, 0xc5,
    0x34, 0xef, 0x9f, 0xa7, 0x5c, 0xa6, 0x7a, 0x4a, 0xa1, 0x6a, 0xc1, 0xde, 0x1c, 0x84, 0x73, 0xbc, 0xcf,
    0x5f, 0xa9, 0x13, 0xee, 0xb6, 0xf9, 0x09, 0xe8, 0x6f, 0xc8, 0x92, 0x90, 0x83, 0xf0, 0xf4, 0x74, 0x17,
    0xc3, 0xf5,
];
