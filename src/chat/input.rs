//! The person's lines, one when asked for: from a line editor in a terminal, or from a pipe.
//!
//! Reads on a thread of its own, since neither can be awaited. Refuses to read ahead: a line that is read is a line that is
//! sent. [`super::run`] asks.

use std::io::{BufRead, Read, stdin};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use tokio::sync::mpsc::{Receiver, channel};

/// What stands before the line that is typed.
const PROMPT: &str = "> ";

/// The longest line that is taken from a pipe: more than a question may be.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Writes above a line that is being typed.
pub(super) type Printer = Box<dyn ExternalPrinter + Send>;

/// What became of the wish for a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    /// Ctrl-C at the prompt.
    Interrupted,
    /// Ctrl-D, or the end of the file.
    End,
    /// It cannot be read.
    Broken(String),
}

/// Where lines come from.
pub(super) struct Input {
    wishes: SyncSender<()>,
    lines: Receiver<Line>,
    _terminal: Option<Terminal>,
}

/// The terminal as it was: the thread may be in the middle of a line, with the terminal in raw mode, when the program ends.
struct Terminal(Termios);

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.0);
    }
}

impl Input {
    /// Lines typed at a terminal, and what writes above them.
    ///
    /// # Errors
    /// When the terminal is none that lines can be edited on.
    pub(super) fn terminal() -> anyhow::Result<(Self, Printer)> {
        let terminal = Terminal(tcgetattr(stdin())?);
        let mut editor = DefaultEditor::new()?;
        let printer = editor.create_external_printer()?;
        let input = Self::reading(Some(terminal), move || match editor.readline(PROMPT) {
            Ok(text) => {
                // Only for the arrow keys: nothing is kept on disk.
                let _ = editor.add_history_entry(&text);
                Line::Text(text)
            }
            Err(ReadlineError::Interrupted) => Line::Interrupted,
            Err(ReadlineError::Eof) => Line::End,
            Err(error) => Line::Broken(error.to_string()),
        });
        Ok((input, Box::new(printer)))
    }

    /// Lines from a pipe or a file.
    pub(super) fn pipe() -> Self {
        Self::reading(None, || piped(&mut stdin().lock()))
    }

    fn reading(terminal: Option<Terminal>, mut read: impl FnMut() -> Line + Send + 'static) -> Self {
        let (wishes, asked) = sync_channel(1);
        let (sender, lines) = channel(1);
        thread::spawn(
            move || {
                while asked.recv().is_ok() && sender.blocking_send(read()).is_ok() {}
            },
        );
        Self {
            wishes,
            lines,
            _terminal: terminal,
        }
    }

    /// Wishes for a line; not again before [`Self::next`] has returned it.
    pub(super) fn ask(&self) {
        // A thread that has ended shows in `next`.
        let _ = self.wishes.try_send(());
    }

    /// The line that was wished for.
    pub(super) async fn next(&mut self) -> Line {
        self.lines.recv().await.unwrap_or(Line::End)
    }
}

fn piped(from: &mut impl BufRead) -> Line {
    let mut line = String::new();
    match from.take(MAX_LINE_BYTES).read_line(&mut line) {
        Ok(0) => Line::End,
        Ok(read) if read as u64 == MAX_LINE_BYTES => {
            Line::Broken(format!("a line of more than {MAX_LINE_BYTES} bytes"))
        }
        Ok(_) => Line::Text(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Line::Broken(format!("the input cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, MAX_LINE_BYTES, piped};

    #[test]
    fn a_pipe_gives_its_lines_without_their_ends_and_then_its_end() {
        let mut from = &b"one\r\ntwo\n\nlast"[..];
        for expected in ["one", "two", "", "last"] {
            assert_eq!(piped(&mut from), Line::Text(expected.to_owned()));
        }
        assert_eq!(piped(&mut from), Line::End);
    }

    #[test]
    fn what_is_no_text_or_endless_is_refused() {
        assert!(matches!(piped(&mut &b"\xff\n"[..]), Line::Broken(_)));
        let endless = vec![b'x'; usize::try_from(MAX_LINE_BYTES).unwrap() + 1];
        assert!(matches!(piped(&mut endless.as_slice()), Line::Broken(_)));
    }
}
