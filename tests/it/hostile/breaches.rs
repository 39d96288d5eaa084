//! Frames that break RFC 6455, or are larger than they may be: each is told by its close code (T11, T12).

use std::time::Duration;

use tokio::time::Instant;

use super::{Target, report, seconds};
use crate::support::raw::{CLOSE, CONTINUATION, PING, Part, TEXT, frame};

/// What a client may send in one message, in bytes.
const MAX_MESSAGE_BYTES: usize = 262_144;

/// Changes a whole frame so that its first byte is this.
fn with_first(first: u8, mut frame: Vec<u8>) -> Vec<u8> {
    frame[0] = first;
    frame
}

/// A frame's head that announces so many bytes, and none of them.
fn announcing(opcode: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode, 0x80 | 0x7f];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// Every way to break the protocol that there is, as far as one frame or two can, and the code that tells of it.
fn breaches() -> Vec<(String, Vec<u8>, u16)> {
    let text = || frame(TEXT, Part::Last, b"{}");
    let begun = |then: Vec<u8>| [frame(TEXT, Part::More, b"{"), then].concat();
    let mut all: Vec<(String, Vec<u8>, u16)> = [0x40, 0x20, 0x10, 0x70]
        .into_iter()
        .map(|bits| {
            (
                format!("reserved bits {bits:#x}"),
                with_first(0x81 | bits, text()),
                1002,
            )
        })
        .collect();
    for opcode in (3..=7).chain(0xb..=0xf) {
        let what = format!("opcode {opcode:#x}");
        all.push((what, with_first(0x80 | opcode, text()), 1002));
    }
    let others: [(&str, Vec<u8>, u16); 16] = [
        ("no mask", vec![0x81, 2, b'{', b'}'], 1002),
        ("a ping without a mask", vec![0x89, 0], 1002),
        (
            "a continuation of nothing begun",
            frame(CONTINUATION, Part::Last, b"x"),
            1002,
        ),
        ("a message within a message", begun(text()), 1002),
        ("a ping in fragments", frame(PING, Part::More, b"x"), 1002),
        ("a ping of 126 bytes", frame(PING, Part::Last, &[b'x'; 126]), 1002),
        ("a close of one byte", frame(CLOSE, Part::Last, b"x"), 1002),
        ("a close of 126 bytes", frame(CLOSE, Part::Last, &[3; 126]), 1002),
        (
            "a close with a code that is none",
            frame(CLOSE, Part::Last, &999_u16.to_be_bytes()),
            1002,
        ),
        (
            "a close in bad UTF-8",
            frame(CLOSE, Part::Last, b"\x03\xe8\xff"),
            1007,
        ),
        ("bad UTF-8", frame(TEXT, Part::Last, b"{\"\xff\"}"), 1007),
        (
            "UTF-8 of a surrogate",
            frame(TEXT, Part::Last, b"\xed\xa0\x80"),
            1007,
        ),
        (
            "UTF-8 beyond the last character",
            frame(TEXT, Part::Last, b"\xf4\x90\x80\x80"),
            1007,
        ),
        ("UTF-8 cut short", frame(TEXT, Part::Last, b"\xe2\x82"), 1007),
        (
            "UTF-8 that a fragment breaks",
            begun(frame(CONTINUATION, Part::Last, b"\xe2\"}")),
            1007,
        ),
        ("binary", frame(2, Part::Last, b"{}"), 1003),
    ];
    all.extend(others.map(|(what, bytes, code)| (what.to_owned(), bytes, code)));
    all
}

#[tokio::test]
async fn every_breach_is_told_by_its_code() {
    // More of them than an address and a user have connections.
    let mut target = Target::start(&[("CONNECTIONS_PER_MINUTE_PER_ADDRESS", "0")]).await;
    let before = target.usage();
    let all = breaches();
    for (what, bytes, code) in &all {
        let mut attacker = target.attacker().await;
        attacker.send(bytes).await.unwrap();
        let told = attacker.closed().await.map(|(code, _)| code);
        assert_eq!(told, Some(*code), "{what}");
        attacker.ended().await;
    }
    let cost = target.cost(before);
    cost.assert_within(4, Duration::from_secs(5));
    target.assert_unharmed().await;
    report(
        "T12",
        &format!("{} breaches of the protocol, each told", all.len()),
        cost,
    );
}

#[tokio::test]
async fn what_is_too_large_is_told_by_1009_as_soon_as_it_is_announced() {
    let mut target = Target::start(&[]).await;
    let before = target.usage();
    let began = Instant::now();
    let lengths = [
        MAX_MESSAGE_BYTES as u64 + 1,
        1 << 32,
        1 << 62,
        u64::MAX >> 1,
        u64::MAX,
    ];
    for length in lengths {
        let mut attacker = target.attacker().await;
        attacker.send(&announcing(TEXT, length)).await.unwrap();
        let told = attacker.closed().await.map(|(code, _)| code);
        assert_eq!(told, Some(1009), "{length}");
        attacker.ended().await;
    }
    let half = vec![b'x'; MAX_MESSAGE_BYTES / 2 + 1];
    let mut attacker = target.attacker().await;
    attacker.frame(TEXT, Part::More, &half).await.unwrap();
    attacker.frame(CONTINUATION, Part::Last, &half).await.unwrap();
    assert_eq!(attacker.closed().await.map(|(code, _)| code), Some(1009));
    let cost = target.cost(before);
    cost.assert_within(2, Duration::from_secs(2));
    target.assert_unharmed().await;
    let figures = format!("{cost}, all within {}", seconds(began.elapsed()));
    report(
        "T11",
        "frames of up to 2^64 bytes announced, and one in two halves",
        figures,
    );
}

#[tokio::test]
async fn a_message_that_is_only_announced_takes_no_memory() {
    const SOCKETS: usize = 20;
    let mut target = Target::start(&[]).await;
    let mut attackers = Vec::new();
    for _ in 0..SOCKETS {
        attackers.push(target.attacker().await);
    }
    let before = target.usage();
    for attacker in &mut attackers {
        attacker
            .send(&announcing(TEXT, MAX_MESSAGE_BYTES as u64))
            .await
            .unwrap();
        attacker.send(b"x").await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let cost = target.cost(before);
    cost.assert_within(1, Duration::from_secs(1));
    report(
        "T11",
        &format!("{SOCKETS} sockets that announce 256 KiB and send a byte"),
        cost,
    );
    drop(attackers);
    target.assert_unharmed().await;
}
