//! A panic as an event: where it was, and what it said only if that is a constant.
//!
//! The standard hook prints a panic's words, and those of the standard library quote: a slice at the wrong place shows the
//! text that it was cut from, which may be a user's. [`super::start`] installs this one.

use std::any::Any;

/// Logs panics from here on.
pub(super) fn log_them() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            place,
            thread = std::thread::current().name(),
            reason = constant(panic.payload()),
            "something panicked"
        );
    }));
}

/// The words of a panic that were written into the program as they are.
fn constant(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(panics: impl FnOnce() + std::panic::UnwindSafe) -> Option<&'static str> {
        let payload = std::panic::catch_unwind(panics).unwrap_err();
        constant(&*payload)
    }

    #[test]
    fn words_that_were_made_of_something_are_left_out() {
        let text = "what somebody wrote: é";
        assert_eq!(reason(|| panic!("a constant")), Some("a constant"));
        assert_eq!(reason(|| panic!("made of {text}")), None);
        assert_eq!(reason(|| drop(text[..text.len() - 1].to_owned())), None);
    }
}
