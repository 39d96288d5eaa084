//! Where text goes: above the line that is typed in a terminal, or apart into output and asides where it is piped.
//!
//! Owns the place in the line, and keeps control characters of others away from a terminal, which would obey them. Refuses to
//! know what is said; [`super::talk`] writes with it.

use std::borrow::Cow;
use std::io::{self, Write};

use super::input::Printer;

/// Whose text it is: where it is piped, asides go to the error output, so that a script reads answers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// What was asked for.
    Said,
    /// Everything else.
    Aside,
}

/// The output.
pub(super) struct Paper {
    printer: Option<Printer>,
    /// A line is being typed: only whole lines can be written, above it.
    listening: bool,
    /// The part of a line that waits for its end meanwhile.
    held: String,
    /// The tones whose line has begun. In a terminal there is one line for both, in pipes each has its own.
    open: Vec<Tone>,
}

impl Paper {
    /// A terminal with a line editor.
    pub(super) fn terminal(printer: Printer) -> Self {
        Self {
            printer: Some(printer),
            ..Self::pipe()
        }
    }

    /// Pipes or files.
    pub(super) fn pipe() -> Self {
        Self {
            printer: None,
            listening: false,
            held: String::new(),
            open: Vec::new(),
        }
    }

    /// A line will be typed from now on.
    pub(super) fn listening(&mut self) -> io::Result<()> {
        self.end_lines()?;
        self.listening = self.printer.is_some();
        Ok(())
    }

    /// The line was typed.
    pub(super) fn listened(&mut self) -> io::Result<()> {
        self.listening = false;
        let held = std::mem::take(&mut self.held);
        self.put(Tone::Said, &held)
    }

    /// A whole line, or several.
    pub(super) fn line(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        self.end_line(tone)?;
        self.write(tone, text)?;
        self.end_line(tone)
    }

    /// Text that goes on where the last one ended.
    pub(super) fn write(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.printer.is_some() && !self.open.contains(&tone) {
            self.end_lines()?;
        }
        self.open.retain(|open| *open != tone);
        if !text.ends_with('\n') {
            self.open.push(tone);
        }
        let text = if self.printer.is_some() {
            printable(text)
        } else {
            Cow::Borrowed(text)
        };
        self.put(tone, &text)
    }

    /// Ends the line of this tone, if one has begun.
    pub(super) fn end_line(&mut self, tone: Tone) -> io::Result<()> {
        if self.printer.is_some() {
            return self.end_lines();
        }
        if self.open.contains(&tone) {
            self.open.retain(|open| *open != tone);
            self.put(tone, "\n")?;
        }
        Ok(())
    }

    /// Ends every line that has begun.
    pub(super) fn end_lines(&mut self) -> io::Result<()> {
        for tone in std::mem::take(&mut self.open) {
            self.put(tone, "\n")?;
        }
        Ok(())
    }

    fn put(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        match (&mut self.printer, tone) {
            (Some(printer), _) if self.listening => {
                self.held.push_str(text);
                let Some((lines, rest)) = self.held.rsplit_once('\n') else {
                    return Ok(());
                };
                let (lines, rest) = (format!("{lines}\n"), rest.to_owned());
                self.held = rest;
                printer.print(lines).map_err(io::Error::other)
            }
            (None, Tone::Aside) => io::stderr().write_all(text.as_bytes()),
            _ => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            }
        }
    }
}

/// Without what a terminal would obey: colours, cursor, title, clipboard. A model's answer, a notification and a title are
/// other people's text.
fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    // These turn the order of what is read around.
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.contains(|c| obeyed(c) || turns(c)) {
        Cow::Owned(
            text.chars()
                .filter(|c| *c != '\r')
                .map(|c| {
                    if obeyed(c) || turns(c) {
                        char::REPLACEMENT_CHARACTER
                    } else {
                        c
                    }
                })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_terminal_is_given_no_orders() {
        assert_eq!(printable("tabs\tand\nlines, 🦉"), "tabs\tand\nlines, 🦉");
        assert_eq!(printable("a\r\nb"), "a\nb");
        assert_eq!(printable("\u{1b}]0;owned\u{7}"), "\u{fffd}]0;owned\u{fffd}");
        assert_eq!(printable("\u{9b}2J\u{202e}gpj"), "\u{fffd}2J\u{fffd}gpj");
    }
}
