//! One event, one line: what a reader of the log could take for the end of a line or for an order to the terminal is written
//! as an escape.
//!
//! The last thing before the output, so it holds for whatever wrote the event and in whichever format: an escape of JSON is
//! still JSON. [`super::start`] puts it there; the subscriber writes one event a call.

use std::fmt::Write as _;
use std::io::{self, Write};

/// An output that takes events.
#[derive(Debug)]
pub(super) struct OneLine<W>(W);

impl<W: Write> OneLine<W> {
    pub(super) fn new(output: W) -> Self {
        Self(output)
    }
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0
            .write_all(escaped(&String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// An event whose only control character is the line end that ends it.
fn escaped(event: &str) -> String {
    let line = event.strip_suffix('\n').unwrap_or(event);
    let mut safe = String::with_capacity(event.len());
    for c in line.chars() {
        if misleads(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe.push_str(&event[line.len()..]);
    safe
}

/// Control characters, what else ends a line, and what turns its direction around. All of them have four digits.
fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str) -> String {
        let mut output = Vec::new();
        OneLine::new(&mut output).write_all(event.as_bytes()).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn an_event_stays_one_line_whatever_is_in_it() {
        let hostile = "user=a\r\nINFO forged\u{1b}[2J\0\u{7f}\u{85}\u{2028}\u{2029}\u{202e}\u{2066}é✓\t\n";
        assert_eq!(
            written(hostile),
            "user=a\\u000d\\u000aINFO forged\\u001b[2J\\u0000\\u007f\\u0085\\u2028\\u2029\\u202e\\u2066é✓\\u0009\n"
        );
        assert_eq!(written("no end"), "no end");
        assert_eq!(written("\n"), "\n");
    }

    #[test]
    fn escapes_leave_json_what_it_says() {
        let user = "a\u{2028}b\u{9b}c\u{202e}d\ne";
        let line = written(&format!("{}\n", serde_json::json!({ "user": user })));
        assert!(
            line.trim_end_matches('\n').chars().all(|c| !misleads(c)),
            "{line}"
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["user"], user);
    }
}
