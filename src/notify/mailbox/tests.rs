//! What a mailbox keeps when its connection moves.

use std::sync::Arc;

use super::{Mail, Mailbox, Signal};
use crate::protocol::close::CloseReason;

#[test]
fn a_move_forgets_what_was_said_of_the_session_and_keeps_what_is_the_users() {
    let mailbox = Mailbox::default();
    mailbox.put(Signal::Renamed(None));
    mailbox.put(Signal::Cleared(Arc::from(vec![])));
    mailbox.close(CloseReason::Replaced);
    mailbox.forget_session();
    assert!(matches!(mailbox.take(), Mail::Signal(Signal::Cleared(_))));
    assert!(matches!(mailbox.take(), Mail::Empty));
}

#[test]
fn a_move_does_not_undo_a_close_that_is_not_the_sessions() {
    let mailbox = Mailbox::default();
    mailbox.close(CloseReason::IdentityChanged);
    mailbox.forget_session();
    assert!(matches!(
        mailbox.take(),
        Mail::Close(CloseReason::IdentityChanged)
    ));
}
