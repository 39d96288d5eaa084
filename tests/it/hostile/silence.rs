//! Peers that connect and never finish their request: each is gone within ten seconds, and little is held for it (T7).

use std::time::Duration;

use tokio::time::Instant;

use super::{Target, report, seconds};
use crate::support::PATIENCE;
use crate::support::raw::RawClient;

/// What a peer says before it falls silent.
const OPENINGS: [(&str, &[u8]); 8] = [
    ("nothing", b""),
    ("a lone P", b"P"),
    ("half a request line", b"GET /v1/ws HT"),
    ("half a head", b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgr"),
    ("a head without its end", b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n"),
    ("half an HTTP/2 preface", b"PRI * HTTP/2.0\r\n"),
    ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
];

/// When a peer must be gone.
const WITHIN: Duration = Duration::from_secs(10);

/// Peers of each kind at once.
const PEERS: usize = 25;

/// How long it takes until a peer that says this and no more is gone.
async fn gone(base: &str, opening: &[u8]) -> Duration {
    let began = Instant::now();
    let mut peer = RawClient::connect(base).await;
    peer.send(opening).await.unwrap();
    peer.ended().await;
    began.elapsed()
}

/// The same for one that goes on, header by header.
async fn gone_dripping(base: &str) -> Duration {
    let began = Instant::now();
    let mut peer = RawClient::connect(base).await;
    let mut sent = peer.send(b"GET /v1/ws HTTP/1.1\r\n").await;
    while sent.is_ok() && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(200)).await;
        sent = peer.send(b"A: b\r\n").await;
    }
    began.elapsed()
}

#[tokio::test]
async fn whoever_never_finishes_a_request_is_gone_within_ten_seconds() {
    let mut target = Target::start(&[]).await;
    let base = target.server.base.clone();
    let before = target.usage();
    let peers = OPENINGS.iter().flat_map(|opening| vec![*opening; PEERS]);
    let silent: Vec<_> = peers
        .map(|(what, opening)| {
            let base = base.clone();
            async move { (what, gone(&base, opening).await) }
        })
        .collect();
    let (ends, dripping, cost) = tokio::join!(
        futures_util::future::join_all(silent),
        gone_dripping(&base),
        async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            target.cost(before)
        }
    );
    for (what, _) in OPENINGS {
        let times = ends.iter().filter(|(of, _)| *of == what).map(|(_, took)| *took);
        let longest = times.max().unwrap();
        assert!(longest <= WITHIN, "{what}: {longest:?}");
        report("T7", what, format_args!("gone after {}", seconds(longest)));
    }
    // One more write than the server waits for it, and the kernel's answer to it.
    let longest = WITHIN + Duration::from_secs(2);
    assert!(dripping <= longest, "dripping headers: {dripping:?}");
    report(
        "T7",
        "a header every 0.2 s",
        format_args!("gone after {}", seconds(dripping)),
    );
    let peers = i64::try_from(PEERS * OPENINGS.len()).unwrap();
    report("T7", &format!("all {peers} of them at once"), cost);
    cost.assert_within(8, Duration::from_secs(2));
    target.assert_unharmed().await;
}

#[tokio::test]
async fn a_head_without_end_is_refused_before_it_fills_the_memory() {
    let mut target = Target::start(&[]).await;
    let base = target.server.base.clone();
    let before = target.usage();
    let endless = (0..20).map(|_| {
        let base = base.clone();
        async move {
            let mut peer = RawClient::connect(&base).await;
            peer.send(b"GET / HTTP/1.1\r\nhost: x\r\ncookie: ").await.unwrap();
            // It may be refused while it still sends.
            let _ = peer.send(&vec![b'x'; 300 * 1024]).await;
            peer.head().await
        }
    });
    for head in futures_util::future::join_all(endless).await {
        assert!(head.starts_with("http/1.1 431 "), "{head}");
    }
    let cost = target.cost(before);
    cost.assert_within(4, Duration::from_secs(2));
    target.assert_unharmed().await;
    report("T7", "20 heads of 300 KiB, each answered with 431", cost);
}
