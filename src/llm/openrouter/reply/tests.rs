//! Which patience ends first, and that it ends even while bytes keep coming.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::Body;

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

#[tokio::test]
async fn a_peer_that_always_has_bytes_ready_is_timed_out_too() {
    let start = Instant::now();
    // Ready at every poll, so that no timer gets its turn; bounded, so that a fault of ours ends the test.
    let comments = stream::repeat_with(|| Ok::<_, std::io::Error>(": still here\n"));
    let flood = comments.take_while(move |_| std::future::ready(start.elapsed() < Duration::from_secs(2)));
    let response = Response::from(http::Response::new(Body::wrap_stream(flood)));
    let mut settings = Settings::new("http://localhost".parse().unwrap());
    settings.timeouts.progress_idle = Duration::from_millis(50);
    let mut reply = Reply::new(response, &settings, at(start, 900));
    assert_eq!(reply.next().await, Err(LlmError::TimedOut(Wait::Progress)));
}
