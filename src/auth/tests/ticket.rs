//! What a ticket looks like, and what it never shows.

use super::super::Ticket;

#[test]
fn tickets_are_random_and_survive_the_way_through_a_url() {
    let (one, two) = (Ticket::random(), Ticket::random());
    assert_ne!(one.expose(), two.expose());
    assert_eq!(one.expose().len(), 64, "256 bits in hex");
    let back = Ticket::parse(one.expose()).unwrap();
    assert_eq!(back.hash(), one.hash());
    assert_eq!(one.hash().len(), 32);
    assert_ne!(one.hash(), two.hash());
}

#[test]
fn what_cannot_be_a_ticket_is_told_without_a_look_into_the_database() {
    let good = Ticket::random().expose().to_owned();
    let upper = format!("A{}", &good[1..]);
    for text in [
        "",
        "x",
        &good[1..],
        &format!("{good}0"),
        &upper,
        &format!("é{}", &good[2..]),
    ] {
        assert!(Ticket::parse(text).is_none(), "{text:?}");
    }
}

#[test]
fn a_ticket_does_not_print_itself() {
    let ticket = Ticket::random();
    assert!(!format!("{ticket:?}").contains(&ticket.expose()[..8]));
}
