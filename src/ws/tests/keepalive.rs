//! When a socket must speak, and when it counts as dead.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::ws::keepalive::{Due, Keepalive};

const HEARTBEAT: Duration = Duration::from_secs(10);
const MILLISECOND: Duration = Duration::from_millis(1);

fn just_before(moment: Instant) -> Instant {
    moment.checked_sub(MILLISECOND).unwrap()
}

#[test]
fn a_quiet_socket_speaks_once_a_heartbeat() {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(HEARTBEAT, start);
    let due = start + HEARTBEAT;
    assert_eq!(keepalive.next(), due);
    assert_eq!(keepalive.due(just_before(due)), Due::Nothing);
    assert!(!keepalive.is_quiet(just_before(due)));
    assert_eq!(keepalive.due(due), Due::Speak);
    assert!(keepalive.is_quiet(due));

    keepalive.pinged(due);
    keepalive.sent(due);
    assert_eq!(keepalive.due(due), Due::Nothing);
    assert_eq!(keepalive.next(), due + HEARTBEAT);
}

#[test]
fn a_busy_socket_is_pinged_all_the_same_but_needs_no_heartbeat() {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(HEARTBEAT, start);
    for second in 1..=10 {
        keepalive.sent(start + Duration::from_secs(second));
    }
    let due = start + HEARTBEAT;
    assert_eq!(keepalive.due(due), Due::Speak);
    assert!(!keepalive.is_quiet(due));
    keepalive.pinged(due);
    assert_eq!(keepalive.due(due), Due::Nothing);
}

#[test]
fn a_socket_from_which_nothing_comes_for_two_heartbeats_is_dead() {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(HEARTBEAT, start);
    keepalive.sent(start + HEARTBEAT);
    keepalive.pinged(start + HEARTBEAT);
    let end = start + 2 * HEARTBEAT;
    assert_eq!(keepalive.next(), end);
    assert_ne!(keepalive.due(just_before(end)), Due::Dead);
    assert_eq!(
        keepalive.due(end),
        Due::Dead,
        "what we say is no sign of its life"
    );

    keepalive.received(just_before(end));
    assert_ne!(keepalive.due(end), Due::Dead);
    assert_eq!(keepalive.due(just_before(end) + 2 * HEARTBEAT), Due::Dead);
}

#[test]
fn what_went_out_just_now_went_out_within_a_moment() {
    let start = Instant::now();
    let mut keepalive = Keepalive::new(HEARTBEAT, start);
    let sent = start + HEARTBEAT;
    assert!(!keepalive.sent_within(MILLISECOND, sent));
    keepalive.sent(sent);
    assert!(keepalive.sent_within(MILLISECOND, sent));
    assert!(keepalive.sent_within(2 * MILLISECOND, sent + MILLISECOND));
    assert!(!keepalive.sent_within(MILLISECOND, sent + MILLISECOND));
}

proptest! {
    #[test]
    fn it_asks_to_be_woken_when_something_is_due_and_not_before(
        deeds in prop::collection::vec((0..3_u8, 0..15_000_u64), 0..60)
    ) {
        let mut now = Instant::now();
        let mut keepalive = Keepalive::new(HEARTBEAT, now);
        for (deed, pause) in deeds {
            match deed {
                0 => keepalive.received(now),
                1 => keepalive.sent(now),
                _ => {
                    keepalive.pinged(now);
                    keepalive.sent(now);
                }
            }
            let next = keepalive.next();
            prop_assert_eq!(keepalive.due(now) == Due::Nothing, now < next);
            prop_assert_ne!(keepalive.due(next), Due::Nothing);
            prop_assert_eq!(keepalive.due(just_before(next)), Due::Nothing);
            now += Duration::from_millis(pause);
        }
    }
}
