//! The turnstile: a crowd passes whole and about in its order, and who comes meanwhile goes before the rest of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};

use crate::notify::turnstile::Turnstile;

const CROWD: usize = 1000;

#[tokio::test]
async fn who_comes_while_a_crowd_passes_goes_before_the_rest_of_it() {
    let turnstile = Arc::new(Turnstile::default());
    let passed = Arc::new(Mutex::new(Vec::new()));
    let mut crowd = JoinSet::new();
    for member in 0..CROWD {
        let (turnstile, passed) = (Arc::clone(&turnstile), Arc::clone(&passed));
        crowd.spawn(async move {
            turnstile.pass().await;
            passed.lock().unwrap().push(member);
        });
    }
    // Each of them has its first turn: a few have a place, the others wait for one.
    yield_now().await;
    assert_eq!(passed.lock().unwrap().len(), 0, "nobody passes at once");
    let seen = Arc::clone(&passed);
    crowd.spawn(async move {
        let before = seen.lock().unwrap().len();
        assert!(
            (1..=CROWD / 10).contains(&before),
            "{before} of the crowd went before"
        );
    });
    crowd.join_all().await;
    let passed = passed.lock().unwrap();
    assert_eq!(passed.len(), CROWD);
    for (position, member) in passed.iter().enumerate() {
        assert!(
            position.abs_diff(*member) < CROWD / 10,
            "{member} went at {position}"
        );
    }
}

#[tokio::test]
async fn a_place_of_one_who_gave_up_is_free_again() {
    use futures_util::FutureExt;
    let turnstile = Turnstile::default();
    for _ in 0..CROWD {
        let waiting = turnstile.pass().now_or_never();
        assert!(
            waiting.is_none(),
            "it waits behind what may run, and is dropped there"
        );
    }
    turnstile.pass().await;
}

#[test]
fn only_a_ring_that_was_heard_late_is_one_of_many() {
    assert!(!Turnstile::is_for(Duration::ZERO));
    assert!(!Turnstile::is_for(Duration::from_millis(9)));
    assert!(Turnstile::is_for(Duration::from_millis(10)));
}
