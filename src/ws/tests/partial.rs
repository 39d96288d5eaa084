//! When a message counts as under way, and since when.

use std::time::{Duration, Instant};

use crate::ws::partial::Partial;

const WITHIN: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

/// What a handshake took.
const HANDSHAKE: u64 = 400;

#[test]
fn a_silent_client_has_no_deadline_nor_has_one_that_pings() {
    let now = Instant::now();
    let mut partial = Partial::new(WITHIN, HANDSHAKE);
    assert_eq!(partial.deadline(HANDSHAKE, now), None);
    for payload in [0, 5, 125] {
        let mut total = HANDSHAKE;
        let mut partial = Partial::new(WITHIN, HANDSHAKE);
        for n in 1..100 {
            total += 6 + payload as u64;
            partial.control(payload, total);
            assert_eq!(partial.deadline(total, now + n * SECOND), None, "{payload}");
        }
    }
}

#[test]
fn a_message_must_end_within_its_time_from_its_first_byte_on() {
    let now = Instant::now();
    let mut partial = Partial::new(WITHIN, HANDSHAKE);
    let due = Some(now + WITHIN);
    assert_eq!(partial.deadline(HANDSHAKE + 1, now), due);
    // However it drips.
    for n in 2..60 {
        assert_eq!(partial.deadline(HANDSHAKE + u64::from(n), now + n * SECOND), due);
    }
    partial.message(HANDSHAKE + 100);
    assert_eq!(partial.deadline(HANDSHAKE + 100, now + 60 * SECOND), None);
    let later = now + 61 * SECOND;
    assert_eq!(partial.deadline(HANDSHAKE + 101, later), Some(later + WITHIN));
}

#[test]
fn pings_between_the_fragments_give_a_message_no_more_time() {
    let now = Instant::now();
    let mut partial = Partial::new(WITHIN, HANDSHAKE);
    let mut total = HANDSHAKE + 6;
    assert_eq!(partial.deadline(total, now), Some(now + WITHIN));
    for n in 1..60 {
        total += 6 + 4;
        partial.control(4, total);
        assert_eq!(partial.deadline(total, now + n * SECOND), Some(now + WITHIN));
    }
}

#[test]
fn frames_that_came_with_the_handshake_buy_nothing() {
    let now = Instant::now();
    // hyper had read them before anybody counted.
    let mut partial = Partial::new(WITHIN, HANDSHAKE);
    for _ in 0..1000 {
        partial.control(125, HANDSHAKE);
    }
    assert_eq!(partial.deadline(HANDSHAKE + 1, now), Some(now + WITHIN));
}
