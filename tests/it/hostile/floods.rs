//! Frames without end, from one who reads nothing: bounded memory, bounded time on a processor, and an end (T9, T10, T15).

use std::time::Duration;

use super::{Flood, Target, report};
use crate::support::raw::{CONTINUATION, PING, PONG, Part, TEXT, frame};

/// How long each flood goes on.
const FLOOD: Duration = Duration::from_secs(6);

/// The most memory that it may cost, in MiB.
const MEMORY_MIB: i64 = 1;

/// The most time on a processor: a twentieth of what an unmetered flood takes of a fast one, with room for slow ones.
const CPU: Duration = Duration::from_millis(1500);

/// The most bytes that the server may take of one that it closes, the kernel's share included.
const MOST_TAKEN: usize = 40 * 1024 * 1024;

/// Time for a message that is short enough for a test; what happens after it is what happens after the default.
const MESSAGE_TIMEOUT: (&str, &str) = ("MESSAGE_TIMEOUT_MS", "3000");

/// What is sent again and again; in large pieces, since what one costs the attacker is not what is measured.
fn many(frame: &[u8]) -> Vec<u8> {
    frame.repeat(400)
}

/// A flood that must end by a close for this reason.
async fn ended(changes: &[(&str, &str)], first: &[u8], frame: &[u8], reason: &str) -> Flood {
    let mut target = Target::start(changes).await;
    let flood = target.flood(first, &many(frame), reason, FLOOD).await;
    flood.cost.assert_within(MEMORY_MIB, CPU);
    target.assert_unharmed().await;
    assert!(flood.closed_after.is_some(), "{flood}");
    // What is read away after the close is no more than a large file sent by mistake.
    assert!(flood.taken <= MOST_TAKEN, "{flood}");
    flood
}

#[tokio::test]
async fn a_flood_of_pings_costs_nothing_and_is_closed() {
    let ping = frame(PING, Part::Last, &[b'x'; 125]);
    let flood = ended(&[], b"", &ping, "flooding").await;
    report("T9", "pings, no pong read", flood);
    let unasked = frame(PONG, Part::Last, b"");
    let flood = ended(&[], b"", &unasked, "flooding").await;
    report("T9", "pongs that nobody asked for", flood);
}

#[tokio::test]
async fn a_flood_of_pings_stays_bounded_where_frames_are_not_limited() {
    let mut target = Target::start(&[("FRAMES_PER_SECOND", "0"), ("WRITE_TIMEOUT_MS", "2000")]).await;
    let ping = many(&frame(PING, Part::Last, &[b'x'; 125]));
    let flood = target.flood(b"", &ping, "slow_reader", FLOOD).await;
    flood.cost.assert_within(MEMORY_MIB, CPU);
    assert!(flood.closed_after.is_some(), "{flood}");
    target.assert_unharmed().await;
    report("T9", "pings with FRAMES_PER_SECOND off, no pong read", flood);
}

#[tokio::test]
async fn continuations_of_nothing_are_metered_and_the_message_has_to_end() {
    let begin = frame(TEXT, Part::More, b"");
    let nothing = frame(CONTINUATION, Part::More, b"");
    let flood = ended(&[MESSAGE_TIMEOUT], &begin, &nothing, "flooding").await;
    report("T10", "continuations of nothing", flood);
}

#[tokio::test]
async fn fragments_of_a_byte_are_metered_and_the_message_has_to_end() {
    let begin = frame(TEXT, Part::More, b"");
    let byte = frame(CONTINUATION, Part::More, b"x");
    let flood = ended(&[MESSAGE_TIMEOUT], &begin, &byte, "flooding").await;
    report("T10", "fragments of one byte", flood);
}

#[tokio::test]
async fn fragments_with_pongs_between_them_have_to_end_too() {
    // A frame every now and then, so that neither the meter nor silence ends it.
    let mut target = Target::start(&[MESSAGE_TIMEOUT]).await;
    let mut attacker = target.attacker().await;
    attacker.frame(TEXT, Part::More, b"x").await.unwrap();
    let began = std::time::Instant::now();
    while began.elapsed() < FLOOD && !target.has_closed("flooding") {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let _ = attacker.frame(PONG, Part::Last, b"still here").await;
    }
    let took = began.elapsed();
    assert_eq!(attacker.closed().await.map(|(code, _)| code), Some(4429));
    assert!(
        took >= Duration::from_secs(3),
        "its time is not shortened: {took:?}"
    );
    target.assert_unharmed().await;
    report("T10", "a message that pongs keep open", super::seconds(took));
}

#[tokio::test]
async fn a_flood_that_is_not_closed_yet_is_pushed_back() {
    let time = Duration::from_secs(4);
    let mut target = Target::start(&[]).await;
    let begin = frame(TEXT, Part::More, b"");
    let nothing = many(&frame(CONTINUATION, Part::More, b""));
    let flood = target.flood(&begin, &nothing, "flooding", time).await;
    assert_eq!(flood.closed_after, None, "the time for a message is 30 s");
    // The burst, the rate, and what the buffers of both sides hold.
    let allowed = (512 + 4 * 128 + 512) * 1024;
    assert!(flood.taken <= allowed, "{flood}");
    flood.cost.assert_within(MEMORY_MIB, CPU);
    target.assert_unharmed().await;
    report("T10", "back-pressure over 4 s at 128 KiB/s after 512 KiB", flood);
}

#[tokio::test]
async fn a_flood_of_text_costs_nothing_and_calls_no_model() {
    let nonsense = frame(TEXT, Part::Last, b"0123456789");
    let flood = ended(&[], b"", &nonsense, "bad_frames").await;
    report("T14", "text that is no JSON", flood);
    let mut target = Target::start(&[]).await;
    let called = target.provider.calls();
    let query = many(&frame(TEXT, Part::Last, br#"{"type":"query","content":"again"}"#));
    let flood = target.flood(b"", &query, "flooding", FLOOD).await;
    assert!(flood.closed_after.is_some(), "{flood}");
    flood.cost.assert_within(4, CPU);
    let calls = target.provider.calls() - called;
    // A burst of five and what a few seconds refill.
    assert!(calls <= 8, "{calls} calls of the model");
    target.assert_unharmed().await;
    report("T15", &format!("queries, {calls} of them answered"), flood);
}
