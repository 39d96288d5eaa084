//! Which notifications are open for a client, and that each ends once.

use super::{Delivered, ENDED_KEPT};
use crate::ids::NotificationId;

fn ids(count: usize) -> Vec<NotificationId> {
    (0..count).map(|_| NotificationId::new()).collect()
}

#[test]
fn one_that_ended_does_not_come_again_by_a_row_that_was_read_before() {
    let ids = ids(2);
    let mut delivered = Delivered::default();
    assert!(delivered.insert(ids[0]) && delivered.insert(ids[1]));
    assert!(!delivered.insert(ids[0]), "sent before");
    delivered.hold();
    assert_eq!(delivered.answered(&ids[..1]), []);
    assert_eq!(delivered.cleared(&ids[1..]), &ids[1..]);
    for id in &ids {
        assert!(!delivered.insert(*id));
    }
    assert_eq!(delivered.cleared(&ids), [], "each ends once");
    delivered.forget();
    assert!(!delivered.insert(ids[0]), "nor in another session");
}

#[test]
fn what_others_acknowledge_meanwhile_is_told_behind_the_answer() {
    let ids = ids(2);
    let mut delivered = Delivered::default();
    for id in &ids {
        delivered.insert(*id);
    }
    delivered.hold();
    assert_eq!(delivered.cleared(&ids), []);
    assert_eq!(delivered.answered(&ids[..1]), &ids[1..]);
}

#[test]
fn only_the_last_that_ended_are_remembered() {
    let ids = ids(ENDED_KEPT + 1);
    let mut delivered = Delivered::default();
    for id in &ids {
        delivered.insert(*id);
    }
    delivered.cleared(&ids);
    assert_eq!(delivered.ended.len(), ENDED_KEPT);
    assert!(delivered.insert(ids[0]) && !delivered.insert(ids[1]));
}
