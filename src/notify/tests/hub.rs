//! The hub: one room a session, and the users' connections.

use std::sync::Arc;
use std::time::Instant;

use super::{contents, key, notification, user};
use crate::ids::{ConnectionId, SessionId};
use crate::notify::hub::Hub;
use crate::notify::mailbox::Mailbox;

fn enter(hub: &Hub, name: &str, max: u32) -> Option<(ConnectionId, Mailbox)> {
    let (connection, mailbox) = (ConnectionId::new(), Mailbox::default());
    hub.enter(&user(name), connection, mailbox.clone(), max)
        .then_some((connection, mailbox))
}

#[test]
fn a_session_has_one_room_found_by_key_and_by_id() {
    let hub = Hub::default();
    let now = Instant::now();
    assert!(hub.find_room(&key(1)).is_none());
    let room = hub.room(&key(1), now);
    let other = hub.room(&key(2), now);
    assert!(Arc::ptr_eq(&room, &hub.room(&key(1), now)));
    assert!(Arc::ptr_eq(&room, &hub.find_room(&key(1)).unwrap()));
    assert!(Arc::ptr_eq(
        &other,
        &hub.find_room_by_id(key(2).session_id).unwrap()
    ));
    assert!(hub.find_room_by_id(SessionId::new()).is_none());
    assert_eq!(hub.all_rooms().len(), 2);
}

#[test]
fn closing_a_room_does_not_close_its_successor() {
    let hub = Hub::default();
    let now = Instant::now();
    let old = hub.room(&key(1), now);
    hub.close_room(&old);
    assert!(hub.find_room(&key(1)).is_none());
    assert!(hub.find_room_by_id(key(1).session_id).is_none());

    let new = hub.room(&key(1), now);
    hub.close_room(&old);
    assert!(Arc::ptr_eq(&new, &hub.find_room(&key(1)).unwrap()));
    assert!(Arc::ptr_eq(
        &new,
        &hub.find_room_by_id(key(1).session_id).unwrap()
    ));
}

#[test]
fn a_user_has_at_most_so_many_connections_and_0_is_no_limit() {
    let hub = Hub::default();
    let (first, _) = enter(&hub, "u_1", 2).unwrap();
    enter(&hub, "u_1", 2).unwrap();
    assert!(enter(&hub, "u_1", 2).is_none());
    assert!(enter(&hub, "u_2", 2).is_some(), "another user's are not counted");
    assert_eq!(hub.count_connections(), 3);
    assert!(enter(&hub, "u_1", 0).is_some());

    hub.leave(&user("u_1"), first);
    hub.leave(&user("u_1"), first);
    assert_eq!(hub.count_connections(), 3);
    assert!(enter(&hub, "u_1", 3).is_some(), "a place is free again");
}

#[test]
fn users_are_connected_until_their_last_connection_leaves() {
    let hub = Hub::default();
    let (first, _) = enter(&hub, "u_1", 0).unwrap();
    let (second, _) = enter(&hub, "u_1", 0).unwrap();
    hub.leave(&user("u_1"), first);
    assert_eq!(hub.connected_users(), [user("u_1")]);
    hub.leave(&user("u_1"), second);
    hub.leave(&user("u_2"), second);
    assert_eq!((hub.connected_users().len(), hub.count_connections()), (0, 0));
}

#[test]
fn a_signal_reaches_all_of_the_users_connections_but_the_one_left_out() {
    let hub = Hub::default();
    let (by, own) = enter(&hub, "u_1", 0).unwrap();
    let (_, other) = enter(&hub, "u_1", 0).unwrap();
    let (_, stranger) = enter(&hub, "u_2", 0).unwrap();
    hub.post(&user("u_1"), &notification(1), Some(by));
    hub.post(&user("u_1"), &notification(2), None);
    hub.post(&user("u_3"), &notification(3), None);
    assert_eq!(contents(&own), ["2"]);
    assert_eq!(contents(&other), ["1", "2"]);
    assert!(stranger.is_empty());
}

#[test]
fn a_resync_makes_all_of_the_users_connections_read_again() {
    let hub = Hub::default();
    let (_, one) = enter(&hub, "u_1", 0).unwrap();
    let (_, two) = enter(&hub, "u_1", 0).unwrap();
    let (_, stranger) = enter(&hub, "u_2", 0).unwrap();
    hub.resync(&user("u_1"));
    assert_eq!(
        (contents(&one), contents(&two)),
        (vec!["lost".to_owned()], vec!["lost".to_owned()])
    );
    assert!(stranger.is_empty());
}
