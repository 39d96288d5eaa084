//! The system's time and the tests'.

use std::time::Duration;

use time::macros::datetime;

use super::Clock;

#[test]
fn system_time_is_cut_to_milliseconds() {
    let now = Clock::system().now();
    assert_eq!(now.nanosecond() % 1_000_000, 0);
    assert!(now > datetime!(2024-01-01 0:00 UTC));
}

#[test]
fn a_manual_clock_stands_still_until_moved_and_moves_all_its_clones() {
    let (clock, hand) = Clock::manual(datetime!(2026-01-01 0:00:00.123456 UTC));
    let clone = clock.clone();
    assert_eq!(clock.now(), datetime!(2026-01-01 0:00:00.123 UTC));
    assert_eq!(clock.now(), clone.now());

    hand.advance(Duration::from_millis(1_877));
    assert_eq!(clone.now(), datetime!(2026-01-01 0:00:02 UTC));
}
