//! Which patience ends first; time is an argument.

use std::time::Duration;

use super::*;

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn the_first_deadline_is_the_one_that_counts() {
    let start = Instant::now();
    let mut deadlines = Deadlines::new(Timeouts::default(), at(start, 900), start);
    assert_eq!(deadlines.next(), (at(start, 60), Wait::Bytes));
    for second in 1..=100 {
        deadlines.on_bytes(at(start, second));
    }
    assert_eq!(
        deadlines.next(),
        (at(start, 120), Wait::Progress),
        "comments move only one of them"
    );
    for second in 101..=890 {
        deadlines.on_bytes(at(start, second));
        deadlines.on_progress(at(start, second));
    }
    assert_eq!(
        deadlines.next(),
        (at(start, 900), Wait::End),
        "nothing moves the last of them"
    );
}

#[test]
fn after_the_finish_reason_time_is_short_and_does_not_grow() {
    let start = Instant::now();
    let mut deadlines = Deadlines::new(Timeouts::default(), at(start, 900), start);
    for second in 10..14 {
        deadlines.on_bytes(at(start, second));
        deadlines.on_progress(at(start, second));
        deadlines.on_whole(at(start, second));
    }
    assert_eq!(deadlines.next(), (at(start, 15), Wait::End));
}
