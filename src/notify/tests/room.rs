//! A room: who is in it, what it knows of the log, whose text it shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{contents, has_rung, key, message, run, writing};
use crate::ids::{ClientName, ConnectionId, Fence, RunId, Seq};
use crate::log::{Claim, Role};
use crate::notify::mailbox::{Mailbox, Signal};
use crate::notify::room::Room;
use crate::session::replay::Step;

fn room() -> Room {
    Room::new(key(1), Instant::now())
}

fn loaded(head: i64) -> Room {
    let room = room();
    room.load(Seq(head), None);
    room
}

fn enter(room: &Room, device: Option<&str>) -> (ConnectionId, Mailbox) {
    let (connection, mailbox) = (ConnectionId::new(), Mailbox::default());
    let device = device.map(|name| ClientName::new(name).unwrap());
    room.enter(connection, device, mailbox.clone());
    (connection, mailbox)
}

fn claim(run_id: RunId, fence: i64) -> Claim {
    Claim {
        run_id,
        fence: Fence(fence),
    }
}

fn title(room: &Room) -> Option<String> {
    room.title().map(|title| title.to_string())
}

#[test]
fn the_same_device_replaces_itself_and_nobody_else() {
    let room = loaded(0);
    let (_, other) = enter(&room, Some("phone"));
    let (_, nameless) = enter(&room, None);
    let (_, first) = enter(&room, Some("laptop"));
    let (_, another_nameless) = enter(&room, None);
    let (_, second) = enter(&room, Some("laptop"));
    assert_eq!(contents(&first), ["replaced"]);
    for mailbox in [other, nameless, another_nameless, second] {
        assert!(mailbox.is_empty());
    }
}

#[test]
fn a_late_goodbye_does_not_remove_the_successor() {
    let room = loaded(0);
    let (old, _) = enter(&room, Some("laptop"));
    let (new, mailbox) = enter(&room, Some("laptop"));
    room.leave(old, Instant::now());
    assert_eq!(room.empty_since(), None);
    room.post(&Signal::Renamed(None));
    assert_eq!(contents(&mailbox), ["renamed -"], "the successor is still told");

    let left = Instant::now() + Duration::from_secs(1);
    room.leave(new, left);
    assert_eq!(room.empty_since(), Some(left));
    room.leave(new, left + Duration::from_secs(1));
    assert_eq!(
        room.empty_since(),
        Some(left),
        "it is empty since the last one left"
    );
}

#[test]
fn a_rename_is_told_only_if_it_is_news() {
    let room = room();
    room.load(Seq(1), Some(Arc::from("a")));
    let (_, mailbox) = enter(&room, None);
    let [a, b] = ["a", "b"].map(Arc::from);
    assert!(room.rename(Some(&a), Some(&a)));
    assert!(mailbox.is_empty());
    assert!(room.rename(Some(&a), Some(&b)));
    assert!(room.rename(Some(&b), Some(&b)));
    assert_eq!(contents(&mailbox), ["renamed b"]);
    assert_eq!(title(&room).as_deref(), Some("b"));
}

#[test]
fn a_look_that_began_before_the_first_question_does_not_take_its_title_away() {
    let room = loaded(0);
    let (_, mailbox) = enter(&room, None);
    let before = room.title();
    room.offer(message(1, Role::User, Some(run(1)), "the first"));
    contents(&mailbox);
    assert!(!room.rename(before.as_ref(), None), "it has to be looked again");
    assert!(mailbox.is_empty());
    room.load(Seq(0), None);
    assert_eq!(title(&room).as_deref(), Some("the first"));
}

#[test]
fn what_was_removed_stays_removed() {
    let room = loaded(0);
    let messages: Vec<_> = (1..=8).map(|seq| message(seq, Role::User, None, "x")).collect();
    for message in &messages {
        room.offer(message.clone());
    }
    room.set_first(Seq(5));
    room.set_first(Seq(3));
    room.remember(&messages[..4]);
    assert_eq!(room.first(), Seq(5));
    let kept: Vec<i64> = room
        .recent(Seq(8), 100)
        .unwrap()
        .iter()
        .map(|message| message.seq.0)
        .collect();
    assert_eq!(kept, [5, 6, 7, 8]);
}

#[test]
fn the_first_question_names_the_session_without_a_word() {
    let room = loaded(0);
    let (_, mailbox) = enter(&room, None);
    room.offer(message(1, Role::Notification, None, "not a question"));
    assert_eq!(title(&room), None);
    room.offer(message(2, Role::User, Some(run(2)), "the first\nquestion"));
    room.offer(message(3, Role::User, Some(run(3)), "the second"));
    assert_eq!(title(&room).as_deref(), Some("the first"));
    assert!(mailbox.is_empty());
    assert!(room.rename(None, Some(&Arc::from("the first"))));
    assert!(mailbox.is_empty(), "the store has the same title");
}

#[test]
fn a_question_that_came_early_names_nothing() {
    let room = loaded(0);
    room.offer(message(2, Role::User, Some(run(2)), "the second"));
    assert_eq!(title(&room), None);
    room.offer(message(1, Role::User, Some(run(1)), "the first"));
    assert_eq!(title(&room).as_deref(), Some("the first"));
}

#[test]
fn a_commit_rings_everybody_and_a_gap_is_told_to_the_caller() {
    let room = loaded(4);
    let (_, mailbox) = enter(&room, None);
    assert!(
        room.offer(message(6, Role::User, Some(run(6)), "x")),
        "5 is missing"
    );
    assert_eq!(room.head(), Seq(4));
    assert!(!room.offer(message(5, Role::User, Some(run(5)), "x")));
    assert_eq!(room.head(), Seq(6));
    assert!(has_rung(&mailbox));
}

#[test]
fn loading_keeps_what_was_committed_here_meanwhile() {
    // Offered before the room was loaded: it cannot be in order yet.
    let room = room();
    assert!(room.offer(message(8, Role::User, Some(run(8)), "x")));
    room.load(Seq(7), None);
    assert_eq!(room.head(), Seq(8));

    // The store's view may be older than what is here, but never takes it back.
    room.offer(message(9, Role::User, Some(run(9)), "x"));
    room.load(Seq(7), None);
    assert_eq!(room.head(), Seq(9));
    room.load(Seq(12), None);
    assert_eq!(room.head(), Seq(12));
}

#[test]
fn loading_keeps_an_answer_unless_its_message_is_here() {
    let room = room();
    room.begin(claim(run(1), 1), writing(run(1), "a"));
    room.load(Seq(5), None);
    assert!(room.is_answering());

    let ended = Room::new(key(1), Instant::now());
    ended.begin(claim(run(1), 1), writing(run(1), "a"));
    ended.offer(message(6, Role::Assistant, Some(run(1)), "a"));
    ended.load(Seq(5), None);
    assert_eq!((ended.head(), ended.is_answering()), (Seq(6), false));
}

#[test]
fn a_room_is_not_given_up_while_somebody_watches_or_writes() {
    let room = loaded(1);
    let (connection, _) = enter(&room, None);
    let now = Instant::now();
    assert!(!room.unload(now, Duration::ZERO), "somebody watches");
    room.leave(connection, now);
    room.begin(claim(run(1), 1), writing(run(1), ""));
    assert!(!room.unload(now, Duration::ZERO), "a run writes");
    assert_eq!(room.empty_since(), None);
    assert!(room.is_loaded());

    room.abandon(claim(run(1), 1));
    assert!(room.empty_since().is_some());
    assert!(room.unload(now, Duration::ZERO));
    assert!(!room.is_loaded());
}

#[test]
fn a_room_is_kept_for_a_client_that_is_about_to_enter() {
    let linger = Duration::from_secs(30);
    let room = loaded(1);
    let (connection, _) = enter(&room, None);
    let left = Instant::now();
    room.leave(connection, left);
    let back = left + linger;
    assert!(room.hold(back));
    assert!(!room.unload(back, linger), "it was opened just now");
    assert!(room.unload(back + linger, linger), "it never came");
    assert!(!room.hold(back + linger), "it was given up before");
}

#[test]
fn text_is_taken_from_the_run_in_progress_only() {
    let room = loaded(1);
    let (_, mailbox) = enter(&room, None);
    room.begin(claim(run(1), 1), writing(run(1), ""));
    assert!(has_rung(&mailbox));
    room.write(claim(run(2), 1), "late");
    assert!(!has_rung(&mailbox));
    room.write(claim(run(1), 1), "a");
    room.write(claim(run(1), 1), "b");
    assert!(has_rung(&mailbox));
    assert_eq!(room.answer().unwrap().text, "ab");
    room.abandon(claim(run(2), 1));
    assert!(room.is_answering(), "another run's end changes nothing");
}

#[test]
fn a_run_that_was_claimed_again_is_written_by_its_later_claim_only() {
    let room = loaded(1);
    let (earlier, later) = (claim(run(1), 1), claim(run(1), 2));
    room.begin(earlier, writing(run(1), ""));
    room.write(earlier, "lost");
    room.begin(later, writing(run(1), ""));
    room.write(earlier, "late");
    room.write(later, "anew");
    room.abandon(earlier);
    assert_eq!(room.answer().unwrap().text, "anew");
    assert!(room.has_local_run());
    room.abandon(later);
    assert!(!room.is_answering());
}

#[test]
fn a_run_of_this_process_ends_with_its_message() {
    let room = loaded(1);
    room.begin(claim(run(1), 1), writing(run(1), "a"));
    room.offer(message(2, Role::User, Some(run(2)), "meanwhile"));
    assert!(room.has_local_run());
    room.offer(message(3, Role::Assistant, Some(run(1)), "a"));
    assert!(!room.has_local_run() && !room.is_answering());
}

#[test]
fn what_the_store_says_of_an_answer_counts_only_while_none_is_written_here() {
    let room = loaded(1);
    let (_, mailbox) = enter(&room, None);
    room.mirror(Some(writing(run(1), "stored")));
    assert!(has_rung(&mailbox));
    assert_eq!(room.mirrored(), Some((run(1), 1, 6)));
    room.mirror(Some(writing(run(1), "stored")));
    assert!(!has_rung(&mailbox), "no news");

    room.begin(claim(run(2), 1), writing(run(2), "here"));
    assert_eq!(room.mirrored(), None);
    room.mirror(None);
    room.mirror(Some(writing(run(1), "stored later")));
    assert_eq!(room.answer().unwrap().text, "here");
}

#[test]
fn a_deleted_room_closes_everybody_but_the_one_who_deleted_it() {
    let room = loaded(1);
    let (by, own) = enter(&room, None);
    let (_, other) = enter(&room, None);
    room.begin(claim(run(1), 1), writing(run(1), "a"));
    room.delete(Some(by));
    assert!(room.is_deleted() && !room.is_answering());
    assert!(own.is_empty());
    assert_eq!(contents(&other), ["session_deleted"]);
}

#[test]
fn a_room_keeps_a_few_messages_and_leaves_the_rest_to_the_store() {
    let room = loaded(0);
    for seq in 1..=150 {
        room.offer(message(seq, Role::User, Some(run(1)), "x"));
    }
    let (mut cursor, head) = room.cursor(Seq(0));
    assert_eq!(head, Seq(150));
    assert_eq!(
        room.next(&mut cursor),
        Step::Read {
            after: Seq(0),
            upto: Seq(22)
        }
    );
    for _ in 0..4 {
        room.rest();
    }
    room.remember(&[]);
    for _ in 0..4 {
        room.rest();
    }
    assert!(room.has_all_after(Seq(22)), "it was used in between");
    room.rest();
    assert_eq!(
        room.next(&mut cursor),
        Step::Read {
            after: Seq(0),
            upto: Seq(150)
        }
    );
    room.offer(message(151, Role::User, Some(run(2)), "x"));
    assert!(
        room.has_all_after(Seq(150)),
        "what comes after the rest is in memory again"
    );
    assert!(!room.has_all_after(Seq(149)));
    let (mut ahead, _) = room.cursor(Seq(999));
    assert_eq!(
        room.next(&mut ahead),
        Step::CaughtUp,
        "nobody has more than there is"
    );
}

#[test]
fn a_room_gives_what_a_prompt_needs_or_leaves_it_to_the_store() {
    let unloaded = room();
    assert!(
        unloaded.recent(Seq(0), 4).is_none(),
        "what is before is not known"
    );
    let room = loaded(1);
    room.offer(message(2, Role::User, Some(run(2)), "b"));
    assert!(room.recent(Seq(2), 2).is_none(), "the first is not in memory");
    room.remember(&[message(1, Role::User, Some(run(1)), "a")]);
    let recent = room.recent(Seq(2), 2).unwrap();
    assert_eq!(
        recent.iter().map(|message| message.seq.0).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(
        room.recent(Seq(3), 2).is_none(),
        "the query itself is not here yet"
    );
}
