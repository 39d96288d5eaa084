//! One connection's mailbox: order, overflow, the bell, the close.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::{contents, has_rung, notification, run};
use crate::notify::mailbox::{Mail, Mailbox, Signal};
use crate::protocol::close::CloseReason;

/// As many signals as a mailbox holds.
const CAPACITY: u128 = 256;

fn renamed(title: &str) -> Signal {
    Signal::Renamed(Some(Arc::from(title)))
}

fn full() -> Mailbox {
    let mailbox = Mailbox::default();
    for number in 0..CAPACITY {
        mailbox.put(notification(number));
    }
    mailbox
}

#[test]
fn what_is_put_in_comes_out_in_order_and_once() {
    let mailbox = Mailbox::default();
    assert!(mailbox.is_empty());
    mailbox.put(notification(1));
    mailbox.put(renamed("a"));
    mailbox.put(Signal::Cleared(Arc::from([])));
    mailbox.put(Signal::Run {
        run_id: run(1),
        state: "queued",
        attempt: 1,
    });
    assert!(!mailbox.is_empty());
    assert_eq!(contents(&mailbox), ["1", "renamed a", "cleared 0", "run queued"]);
    assert!(mailbox.is_empty());
}

#[test]
fn everything_rings_and_a_ring_is_kept_until_it_is_heard() {
    let mailbox = Mailbox::default();
    assert!(!has_rung(&mailbox));
    let deeds: [fn(&Mailbox); 4] = [
        |mailbox| mailbox.put(notification(1)),
        |mailbox| mailbox.close(CloseReason::Replaced),
        Mailbox::mark_lost,
        Mailbox::ring,
    ];
    for deed in deeds {
        deed(&mailbox);
        assert!(has_rung(&mailbox));
        assert!(!has_rung(&mailbox), "one ring is heard once");
    }
}

#[test]
fn how_late_a_ring_is_heard_counts_from_the_first_of_those_heard_together() {
    const PAUSE: Duration = Duration::from_millis(20);
    let mailbox = Mailbox::default();
    let began = Instant::now();
    mailbox.put(renamed("a"));
    std::thread::sleep(PAUSE);
    mailbox.ring();
    let heard_after = mailbox.rung().now_or_never().unwrap();
    assert!(
        (PAUSE..=began.elapsed()).contains(&heard_after),
        "{heard_after:?}"
    );

    std::thread::sleep(PAUSE);
    let began = Instant::now();
    mailbox.ring();
    let heard_after = mailbox.rung().now_or_never().unwrap();
    assert!(
        heard_after <= began.elapsed(),
        "what was heard counts no more: {heard_after:?}"
    );
}

#[test]
fn a_full_mailbox_holds_all_of_its_capacity() {
    let expected: Vec<String> = (0..CAPACITY).map(|number| number.to_string()).collect();
    assert_eq!(contents(&full()), expected);
}

#[test]
fn one_too_many_forgets_the_notifications_and_says_so() {
    let mailbox = full();
    mailbox.put(notification(CAPACITY));
    mailbox.put(notification(CAPACITY + 1));
    assert_eq!(contents(&mailbox), ["lost"]);
    mailbox.put(notification(7));
    assert_eq!(
        contents(&mailbox),
        ["7"],
        "once that is known, new ones are taken again"
    );
}

#[test]
fn what_is_no_notification_survives_an_overflow() {
    let mailbox = Mailbox::default();
    mailbox.put(renamed("early"));
    for number in 1..CAPACITY {
        mailbox.put(notification(number));
    }
    mailbox.put(renamed("late"));
    mailbox.put(notification(CAPACITY));
    assert_eq!(contents(&mailbox), ["renamed early", "renamed late", "lost"]);
}

#[test]
fn a_mailbox_full_of_other_signals_takes_no_more_of_them() {
    let mailbox = Mailbox::default();
    for _ in 0..CAPACITY + 10 {
        mailbox.put(renamed("a"));
    }
    let contents = contents(&mailbox);
    assert_eq!(contents.len(), usize::try_from(CAPACITY).unwrap() + 1);
    assert_eq!(contents.last().unwrap(), "lost");
}

#[test]
fn a_close_comes_before_all_else_and_its_first_reason_stands() {
    let mailbox = full();
    mailbox.close(CloseReason::Replaced);
    mailbox.close(CloseReason::SessionDeleted);
    mailbox.put(notification(CAPACITY));
    for _ in 0..3 {
        assert!(matches!(mailbox.take(), Mail::Close(CloseReason::Replaced)));
        assert!(!mailbox.is_empty());
    }
}

#[test]
fn clones_are_the_same_mailbox() {
    let mailbox = Mailbox::default();
    mailbox.clone().put(notification(1));
    assert_eq!(contents(&mailbox), ["1"]);
}

#[test]
fn being_told_to_read_again_is_said_once_and_last() {
    let mailbox = Mailbox::default();
    mailbox.mark_lost();
    mailbox.mark_lost();
    mailbox.put(renamed("a"));
    assert_eq!(contents(&mailbox), ["renamed a", "lost"]);
}

#[test]
fn what_the_read_will_bring_does_not_come_before_it() {
    let mailbox = Mailbox::default();
    mailbox.put(notification(300));
    mailbox.put(renamed("a"));
    mailbox.mark_lost();
    mailbox.put(notification(301));
    assert_eq!(contents(&mailbox), ["renamed a", "lost"]);
    mailbox.put(notification(302));
    assert_eq!(contents(&mailbox), ["302"]);
}
