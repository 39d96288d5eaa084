//! How fast a connection is read, in time that stands still until it is waited for.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, repeat};
use tokio::time::{Instant, timeout};

use super::Metered;
use crate::limits::ByteRate;

const KIB: u32 = 1024;

fn rate(per_second: u32, burst: u32) -> ByteRate {
    ByteRate {
        per_second: NonZeroU32::new(per_second).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// How many bytes of a client that never stops are read in a time, a few KiB in each piece.
async fn read_in(stream: &mut (impl tokio::io::AsyncRead + Unpin), time: Duration) -> u64 {
    let mut total = 0;
    let mut piece = vec![0; 4096];
    let end = Instant::now() + time;
    while let Ok(Ok(n)) = tokio::time::timeout_at(end, stream.read(&mut piece)).await {
        total += n as u64;
    }
    total
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_stops_is_read_at_its_rate_after_a_burst() {
    let mut stream = Metered::new(repeat(b'x'), Some(rate(128 * KIB, 512 * KIB)));
    let inbound = stream.inbound();
    let first = read_in(&mut stream, Duration::from_millis(1)).await;
    // The last piece may go beyond.
    assert!((512 * 1024..=516 * 1024).contains(&first), "{first}");
    let total = first + read_in(&mut stream, Duration::from_secs(10)).await;
    let allowed = 512 * 1024 + 10 * 128 * 1024;
    assert!(
        (allowed - 8 * 1024..=allowed + 8 * 1024).contains(&total),
        "{total}"
    );
    assert_eq!(inbound.total(), total);
}

#[tokio::test(start_paused = true)]
async fn a_client_under_its_rate_never_waits() {
    let (mut client, server) = duplex(64 * 1024);
    let mut stream = Metered::new(server, Some(rate(128 * KIB, 256 * KIB)));
    let mut piece = vec![0; 64 * 1024];
    for _ in 0..60 {
        client.write_all(&piece).await.unwrap();
        let began = Instant::now();
        stream.read_exact(&mut piece).await.unwrap();
        assert!(stream.pause.is_none());
        assert_eq!(began.elapsed(), Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn silence_refills_the_burst_and_no_more() {
    let mut stream = Metered::new(repeat(b'x'), Some(rate(KIB, 16 * KIB)));
    for _ in 0..3 {
        let read = read_in(&mut stream, Duration::from_millis(1)).await;
        assert!((16 * 1024..=20 * 1024).contains(&read), "{read}");
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
}

/// A stream that its client has filled.
async fn filled(bytes: usize) -> (DuplexStream, DuplexStream) {
    let (mut client, server) = duplex(bytes);
    client.write_all(&vec![b'x'; bytes]).await.unwrap();
    (client, server)
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_pushes_back_and_what_is_written_goes_on() {
    let (mut client, server) = filled(8 * 1024).await;
    let mut stream = Metered::new(server, Some(rate(KIB, KIB)));
    let mut piece = vec![0; 4096];
    let n = stream.read(&mut piece).await.unwrap();
    assert_eq!(n, 4096, "a piece may go beyond what was left");
    let more = timeout(Duration::from_secs(2), stream.read(&mut piece)).await;
    assert!(more.is_err(), "what went beyond is paid for first");
    client.write_all(&[b'x'; 4096]).await.unwrap();
    let blocked = timeout(Duration::from_millis(900), client.write_all(b"x")).await;
    assert!(blocked.is_err(), "the client has to wait");
    stream.write_all(b"words of ours").await.unwrap();
    let mut words = [0; 13];
    client.read_exact(&mut words).await.unwrap();
    assert_eq!(&words, b"words of ours");
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_all_is_read_at_once_and_counted() {
    let (_client, server) = filled(8 * 1024).await;
    let mut stream = Metered::new(server, None);
    let mut all = vec![0; 8 * 1024];
    stream.read_exact(&mut all).await.unwrap();
    assert_eq!(stream.inbound().total(), 8 * 1024);
}
