//! How far the run is: one line on a terminal's standard error, nothing elsewhere. Called by `run`.

use std::io::{IsTerminal, Write};

/// A line that is written over and over.
#[derive(Debug)]
pub(super) struct Progress {
    steps: usize,
    done: usize,
    shown: bool,
}

const WIDTH: usize = 30;

impl Progress {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            steps,
            done: 0,
            shown: std::io::stderr().is_terminal(),
        }
    }

    /// Says what is done now, and counts what was before.
    pub(super) fn next(&mut self, what: &str) {
        self.write(&bar(self.done, self.steps, what));
        self.done += 1;
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.write("");
    }

    fn write(&self, line: &str) {
        if self.shown {
            // A terminal that is gone is no reason to stop measuring.
            drop(write!(std::io::stderr(), "\r\x1b[2K{line}"));
            drop(std::io::stderr().flush());
        }
    }
}

fn bar(done: usize, steps: usize, what: &str) -> String {
    let full = WIDTH * done / steps.max(1);
    format!(
        "[{}{}] {done}/{steps} {what}",
        "#".repeat(full),
        ".".repeat(WIDTH - full)
    )
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_shows_what_is_done() {
        assert_eq!(
            bar(1, 2, "flood"),
            format!("[{}{}] 1/2 flood", "#".repeat(15), ".".repeat(15))
        );
        assert!(bar(2, 2, "").contains(&"#".repeat(30)));
    }
}
