//! Rates and limits, with the clock in hand: bursts, refills, keys that go away.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::{FrameMeter, LimitSettings, LimitedBy, Limiter};
use crate::ids::UserId;

const SECOND: Duration = Duration::from_secs(1);

fn limiter(settings: &LimitSettings) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limiter::with_clock(settings, clock.clone()), clock)
}

fn settings() -> LimitSettings {
    LimitSettings {
        queries_per_minute: NonZeroU32::new(20),
        query_burst: NonZeroU32::new(5),
        frames_per_second: NonZeroU32::new(20),
        connections_per_minute_per_address: NonZeroU32::new(120),
        auth_failures_per_minute_per_address: NonZeroU32::new(30),
        ..LimitSettings::default()
    }
}

fn user(n: u32) -> UserId {
    UserId::new(&format!("u_{n}")).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Asks until refused, and says how often that went well.
fn accepted(mut ask: impl FnMut() -> Result<(), LimitedBy>) -> (usize, LimitedBy) {
    for n in 0..100_000 {
        if let Err(refusal) = ask() {
            return (n, refusal);
        }
    }
    panic!("never refused");
}

#[test]
fn a_user_may_send_a_burst_and_then_one_query_an_interval() {
    let (limiter, clock) = limiter(&settings());
    let (n, refusal) = accepted(|| limiter.check_query(&user(1)));
    assert_eq!(n, 5);
    assert_eq!(
        refusal,
        LimitedBy {
            limit: "queries_per_user",
            retry_after: 3 * SECOND
        }
    );
    assert!(
        limiter.check_query(&user(2)).is_ok(),
        "one user's queries cost another nothing"
    );

    clock.advance(refusal.retry_after.checked_sub(Duration::from_millis(1)).unwrap());
    assert!(
        limiter.check_query(&user(1)).is_err(),
        "the wait is no longer than needed"
    );
    clock.advance(Duration::from_millis(1));
    assert!(
        limiter.check_query(&user(1)).is_ok(),
        "waiting that long is enough"
    );
}

#[test]
fn without_a_burst_limit_a_minutes_worth_may_come_at_once() {
    let (limiter, _clock) = limiter(&LimitSettings {
        query_burst: None,
        ..settings()
    });
    assert_eq!(accepted(|| limiter.check_query(&user(1))).0, 20);
}

#[test]
fn no_limit_never_refuses_and_remembers_nobody() {
    let (limiter, _clock) = limiter(&LimitSettings::default());
    let mut frames = FrameMeter::new(&LimitSettings::default(), Instant::now());
    for _ in 0..10_000 {
        limiter.check_query(&user(1)).unwrap();
        limiter.check_connection(address("192.0.2.1")).unwrap();
        limiter.record_auth_failure(address("192.0.2.1")).unwrap();
        limiter.check_auth_failure(address("192.0.2.1")).unwrap();
        frames.check(Instant::now()).unwrap();
    }
    assert_eq!(limiter.n_keys(), 0);
}

#[test]
fn addresses_are_told_apart_by_ipv4_address_or_ipv6_64() {
    let cases = [
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
    ];
    for (first, second, shared) in cases {
        let (limiter, _clock) = limiter(&settings());
        assert_eq!(accepted(|| limiter.check_connection(address(first))).0, 120);
        assert_eq!(
            limiter.check_connection(address(second)).is_err(),
            shared,
            "{first} {second}"
        );
    }
}

#[test]
fn bad_credentials_block_an_address_and_good_ones_cost_nothing() {
    let (limiter, clock) = limiter(&settings());
    let from = address("192.0.2.1");
    for _ in 0..1_000 {
        limiter.check_auth_failure(from).unwrap();
    }
    let (n, refusal) = accepted(|| limiter.record_auth_failure(from));
    assert_eq!(n, 29, "the thirtieth failure spends the allowance");
    assert_eq!(limiter.check_auth_failure(from), Err(refusal));
    assert!(limiter.check_auth_failure(address("192.0.2.2")).is_ok());

    clock.advance(refusal.retry_after);
    assert!(
        limiter.check_auth_failure(from).is_ok(),
        "waiting that long is enough"
    );
    assert!(limiter.record_auth_failure(from).is_err(), "for one more attempt");
}

#[test]
fn those_who_went_away_are_forgotten() {
    let (limiter, clock) = limiter(&settings());
    for n in 0..10_000 {
        limiter.check_query(&user(n)).unwrap();
        let from = IpAddr::from(n.to_be_bytes());
        limiter.check_connection(from).unwrap();
        limiter.record_auth_failure(from).unwrap();
    }
    assert_eq!(limiter.n_keys(), 30_000);
    // One who keeps coming stays.
    accepted(|| limiter.record_auth_failure(address("192.0.2.1")));
    clock.advance(30 * SECOND);
    limiter.housekeep();
    assert_eq!(limiter.n_keys(), 1);
    clock.advance(120 * SECOND);
    limiter.housekeep();
    assert_eq!(limiter.n_keys(), 0);
}

#[test]
fn a_refusal_names_its_wait_in_whole_milliseconds_rounded_up() {
    assert_eq!(
        LimitedBy::new("x", Duration::from_nanos(1)).retry_after,
        Duration::from_millis(1)
    );
    assert_eq!(
        LimitedBy::new("x", Duration::from_millis(7)).retry_after,
        Duration::from_millis(7)
    );
}

#[test]
fn a_socket_may_send_three_seconds_worth_of_frames_at_once() {
    let start = Instant::now();
    let mut frames = FrameMeter::new(&settings(), start);
    let (n, refusal) = accepted(|| frames.check(start));
    assert_eq!(n, 60);
    assert_eq!(
        refusal,
        LimitedBy {
            limit: "frames_per_socket",
            retry_after: Duration::from_millis(50)
        }
    );
    // A minute's silence refills the allowance, and no more than that.
    assert_eq!(accepted(|| frames.check(start + 60 * SECOND)).0, 60);
}

proptest! {
    /// Whatever the rate and the rhythm: never more than burst + rate × time, and the named wait is enough.
    #[test]
    fn frames_never_exceed_their_rate_and_the_wait_is_honest(
        rate in 1_u32..2_000,
        gaps_us in proptest::collection::vec(0_u64..200_000, 1..300),
    ) {
        let start = Instant::now();
        let limits = LimitSettings { frames_per_second: NonZeroU32::new(rate), ..LimitSettings::default() };
        let mut frames = FrameMeter::new(&limits, start);
        let mut now = start;
        let mut n_accepted = 0_u32;
        for gap in gaps_us {
            now += Duration::from_micros(gap);
            match frames.check(now) {
                Ok(()) => n_accepted += 1,
                Err(refusal) => {
                    now += refusal.retry_after;
                    prop_assert!(frames.check(now).is_ok());
                    n_accepted += 1;
                }
            }
        }
        // The interval is cut to nanoseconds, so the true rate may lie a little above the nominal one.
        let allowed = f64::from(rate) * (now - start).as_secs_f64() * 1.000_01 + f64::from(3 * rate) + 1.0;
        prop_assert!(f64::from(n_accepted) <= allowed);
    }
}
