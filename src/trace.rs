//! The words of distributed tracing: ids, a W3C `traceparent`, and the decision whether a run is told. Data only.
//!
//! `ws` and `http` read a client's context, `runs` continues it, `store` keeps it beside the run, `otlp` sends what was told.
//! Refuses to guess: a context that is not exactly of the form that W3C's Trace Context (level 2) describes counts as none.

use std::fmt;
use std::str::FromStr;

/// A trace's id: 16 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// A span's id: 8 bytes, not all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

/// Whether a trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// It is: whoever continues it records his part.
    Yes,
    /// It is not: whoever continues it leaves his part out.
    No,
}

/// A span of somebody else's that what happens here belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its trace.
    pub trace: TraceId,
    /// The span itself.
    pub span: SpanId,
    /// Whether it is recorded.
    pub sampled: Sampled,
}

/// Where to look for the trace that a run belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Its query has just come, with this or with nothing.
    Query(Option<Parent>),
    /// It waited, or was tried before: what there is stands in its row.
    Row,
}

/// A text is no trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no traceparent")]
pub struct InvalidContext;

impl TraceId {
    /// A random one.
    pub fn random() -> Self {
        Self(rand::random::<u128>().max(1))
    }

    /// Whether a trace that begins here is among this part of all, 0 to 1. The same for a trace wherever it is asked.
    pub fn is_among(self, ratio: f64) -> bool {
        // The low bits are random also in ids that begin with a time; 53 of them are what a double holds exactly.
        let low = self.0 & ((1 << 53) - 1);
        low as f64 / 2.0_f64.powi(53) < ratio
    }
}

impl SpanId {
    /// A random one.
    pub fn random() -> Self {
        Self(rand::random::<u64>().max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for TraceId {
    type Err = InvalidContext;

    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let id = u128::from_str_radix(hex(text, 32)?, 16).map_err(|_| InvalidContext)?;
        if id == 0 {
            Err(InvalidContext)
        } else {
            Ok(Self(id))
        }
    }
}

impl FromStr for SpanId {
    type Err = InvalidContext;

    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let id = u64::from_str_radix(hex(text, 16)?, 16).map_err(|_| InvalidContext)?;
        if id == 0 {
            Err(InvalidContext)
        } else {
            Ok(Self(id))
        }
    }
}

/// Digits of exactly this number, in lower case as the header has them.
fn hex(text: &str, digits: usize) -> Result<&str, InvalidContext> {
    let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == digits && is_hex {
        Ok(text)
    } else {
        Err(InvalidContext)
    }
}

impl FromStr for Parent {
    type Err = InvalidContext;

    /// Version 00 has four parts and nothing else. A later one may have more behind a dash, and its first four are read.
    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let mut parts = text.splitn(5, '-');
        let mut part = |digits| hex(parts.next().unwrap_or_default(), digits);
        let version = part(2)?;
        let (trace, span, flags) = (part(32)?, part(16)?, part(2)?);
        let more = parts.next();
        if version == "ff" || (version == "00" && more.is_some()) {
            return Err(InvalidContext);
        }
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidContext)?;
        Ok(Self {
            trace: trace.parse()?,
            span: span.parse()?,
            sampled: if flags & 1 == 1 { Sampled::Yes } else { Sampled::No },
        })
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = match self.sampled {
            Sampled::Yes => "01",
            Sampled::No => "00",
        };
        write!(f, "00-{}-{}-{flags}", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests;
