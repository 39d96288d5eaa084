//! The breaker's state diagram, edge by edge; time is an argument.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn breakers() -> (Breakers, Instant) {
    (Breakers::new(BreakerSettings::default()), Instant::now())
}

fn fail(breakers: &Breakers, times: u32, now: Instant) {
    for _ in 0..times {
        breakers.admit("m", now).unwrap().failed(now);
    }
}

#[test]
fn five_outages_in_a_row_open_it_for_its_time() {
    let (breakers, now) = breakers();
    fail(&breakers, 4, now);
    breakers.admit("m", now).unwrap().failed(now);
    assert_eq!(breakers.admit("m", now + SECOND).unwrap_err(), 14 * SECOND);
    assert!(breakers.admit("other", now).is_ok());
    assert!(breakers.admit("m", now + 15 * SECOND).is_ok());
}

#[test]
fn an_answer_in_between_starts_the_count_again() {
    let (breakers, now) = breakers();
    fail(&breakers, 4, now);
    breakers.admit("m", now).unwrap().answered();
    fail(&breakers, 4, now);
    assert!(breakers.admit("m", now).is_ok());
}

#[test]
fn outages_far_apart_do_not_add_up() {
    let (breakers, now) = breakers();
    fail(&breakers, 4, now);
    let later = now + 31 * SECOND;
    fail(&breakers, 4, later);
    assert!(breakers.admit("m", later).is_ok());
    fail(&breakers, 1, later);
    assert!(breakers.admit("m", later).is_err());
}

#[test]
fn one_probe_at_a_time_decides() {
    let (breakers, now) = breakers();
    fail(&breakers, 5, now);
    let later = now + 15 * SECOND;
    let probe = breakers.admit("m", later).unwrap();
    assert_eq!(breakers.admit("m", later).unwrap_err(), SECOND);
    probe.failed(later);
    assert_eq!(breakers.admit("m", later).unwrap_err(), 15 * SECOND);
    let latest = later + 15 * SECOND;
    breakers.admit("m", latest).unwrap().answered();
    fail(&breakers, 4, latest);
    assert!(
        breakers.admit("m", latest).is_ok(),
        "closed, and counting from nothing"
    );
}

#[test]
fn a_probe_that_is_cancelled_leaves_its_place_to_the_next_call() {
    let (breakers, now) = breakers();
    fail(&breakers, 5, now);
    let later = now + 15 * SECOND;
    drop(breakers.admit("m", later).unwrap());
    let probe = breakers.admit("m", later).unwrap();
    assert!(breakers.admit("m", later).is_err());
    probe.answered();
    assert!(breakers.admit("m", later).is_ok());
}

#[test]
fn calls_from_before_the_outage_change_nothing_after_it() {
    let (breakers, now) = breakers();
    let (old_failure, old_answer) = (
        breakers.admit("m", now).unwrap(),
        breakers.admit("m", now).unwrap(),
    );
    fail(&breakers, 5, now);
    old_failure.failed(now + 10 * SECOND);
    old_answer.answered();
    assert_eq!(breakers.admit("m", now + 10 * SECOND).unwrap_err(), 5 * SECOND);
}

#[test]
fn the_number_of_tracked_models_is_bounded() {
    let (breakers, now) = breakers();
    for model in 0..2 * MAX_MODELS {
        breakers.admit(&model.to_string(), now).unwrap().failed(now);
    }
    assert_eq!(breakers.lock().len(), MAX_MODELS);
}
