//! Server-sent events, decoded as their bytes arrive.
//!
//! Owns the framing and nothing else: bytes in, payloads out, in time linear in the bytes and with memory bounded
//! by one event. Refuses an event larger than its limit. Knows no JSON, no clock and no socket; whoever reads the
//! provider's answer pushes bytes and keeps its own timers from what comes out.
//!
//! It departs from the WHATWG algorithm where chat-completions servers do:
//!
//! * the end of the stream dispatches an event that lacks its blank line, but only on an explicit
//!   [`Decoder::finish`]: a server that closes politely after its last `data:` line meant that line, whereas after
//!   a cut nobody calls `finish` and half an event is not mistaken for a whole one;
//! * a payload that is empty or starts with `:` is a keep-alive that some gateway wrapped in `data:`;
//! * `event`, `id` and `retry` are skipped: what they could say is in the payload, and we never reconnect a stream.

/// What a pushed piece of the stream turned out to contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// The payload of one event, its lines joined by line feeds; invalid UTF-8 is replaced.
    Data(&'a str),
    /// A sign of life that carries nothing.
    Comment,
}

/// An event was larger than the decoder's limit. The stream can't be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream exceeds {max_event_bytes} bytes")]
pub struct EventTooLarge {
    /// The limit that was exceeded.
    pub max_event_bytes: usize,
}

/// The state between two pieces of one stream.
///
/// Both buffers are reused from event to event: once they have grown, decoding allocates nothing.
#[derive(Debug)]
pub struct Decoder {
    /// The unfinished line at the end of what was pushed so far.
    line: Vec<u8>,
    /// The data lines of the event so far, each with a line feed behind it.
    data: Vec<u8>,
    /// The last byte was a CR, so that a LF right behind it belongs to the same line end.
    after_cr: bool,
    /// No line has ended yet: the next one may open with a byte order mark.
    at_start: bool,
    max_event_bytes: usize,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Decoder {
    /// A decoder for one stream, which fails once an event exceeds `max_event_bytes`.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            after_cr: false,
            at_start: true,
            max_event_bytes,
        }
    }

    /// Takes the next bytes, cut anywhere, and hands every item that they complete to `on_item`.
    ///
    /// # Errors
    ///
    /// [`EventTooLarge`], after all items before the offending event; the caller must drop the stream.
    pub fn push(&mut self, bytes: &[u8], mut on_item: impl FnMut(Item<'_>)) -> Result<(), EventTooLarge> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, after) = rest.split_at(end);
            let Some((&ending, after)) = after.split_first() else {
                break;
            };
            rest = after;
            let behind_cr = std::mem::replace(&mut self.after_cr, ending == b'\r');
            if behind_cr && ending == b'\n' && line.is_empty() {
                continue;
            }
            self.on_line_end(line, &mut on_item)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.after_cr = false;
        self.keep(rest)
    }

    /// Ends the stream: what lacks its line end or its blank line counts as if it had them.
    ///
    /// # Errors
    ///
    /// [`EventTooLarge`], as for [`Decoder::push`].
    pub fn finish(&mut self, mut on_item: impl FnMut(Item<'_>)) -> Result<(), EventTooLarge> {
        if !self.line.is_empty() {
            self.on_line_end(b"", &mut on_item)?;
        }
        self.dispatch(&mut on_item);
        Ok(())
    }

    /// A line is complete with `tail`; only a line that was cut is ever copied.
    fn on_line_end(&mut self, tail: &[u8], on_item: &mut impl FnMut(Item<'_>)) -> Result<(), EventTooLarge> {
        if self.line.is_empty() {
            self.check(tail)?;
            self.on_line(tail, on_item);
            return Ok(());
        }
        self.keep(tail)?;
        let mut line = std::mem::take(&mut self.line);
        self.on_line(&line, on_item);
        line.clear();
        self.line = line;
        Ok(())
    }

    fn on_line(&mut self, line: &[u8], on_item: &mut impl FnMut(Item<'_>)) {
        let at_start = std::mem::take(&mut self.at_start);
        let line = if at_start {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            self.dispatch(on_item);
        } else if line.starts_with(b":") {
            on_item(Item::Comment);
        } else if let Some(value) = data_value(line) {
            self.data.extend_from_slice(value);
            self.data.push(b'\n');
        }
    }

    /// Hands out the event, if any data line belongs to it: a block of `id:` lines alone is no event.
    fn dispatch(&mut self, on_item: &mut impl FnMut(Item<'_>)) {
        let Some((_, payload)) = self.data.split_last() else {
            return;
        };
        match payload {
            [] | [b':', ..] => on_item(Item::Comment),
            _ => on_item(Item::Data(&String::from_utf8_lossy(payload))),
        }
        self.data.clear();
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), EventTooLarge> {
        self.check(piece)?;
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// The size of an event is its data lines and the whole line at hand, so that the limit falls on the same
    /// event however the bytes were cut.
    fn check(&self, piece: &[u8]) -> Result<(), EventTooLarge> {
        if self.data.len() + self.line.len() + piece.len() > self.max_event_bytes {
            return Err(EventTooLarge {
                max_event_bytes: self.max_event_bytes,
            });
        }
        Ok(())
    }
}

/// The value of a `data` field; `None` for any other field.
fn data_value(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
