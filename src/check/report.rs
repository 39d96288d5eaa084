//! The table: one line for each check as it ends, with its verdict, what was measured, and what likely causes it.
//!
//! Refuses to judge. The steps write into it.

use std::io::{self, Write};

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    /// It works, and could be better or could not be seen.
    Warn,
    Fail,
    /// It was not checked.
    Skipped,
}

/// What was found, with the likely cause if it is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) measured: String,
    /// The cause's name, and what to do.
    pub(super) cause: Option<String>,
}

impl Finding {
    pub(super) fn ok(measured: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            measured: measured.into(),
            cause: None,
        }
    }

    pub(super) fn warn(measured: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            measured: measured.into(),
            cause: Some(cause.into()),
        }
    }

    pub(super) fn fail(measured: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(measured, cause)
        }
    }
}

/// The table so far.
#[derive(Debug)]
pub(super) struct Report {
    failures: usize,
}

impl Report {
    pub(super) fn new() -> Self {
        Self { failures: 0 }
    }

    /// How many checks failed.
    pub(super) fn failures(&self) -> usize {
        self.failures
    }

    /// The head of the table.
    pub(super) fn begin(&self, address: &str) -> io::Result<()> {
        self.print(&format!(
            "{address}\n\n{}\n",
            line("check", "verdict", "measured")
        ))
    }

    /// A check has ended.
    pub(super) fn add(&mut self, what: &str, finding: &Finding) -> io::Result<()> {
        self.failures += usize::from(finding.verdict == Verdict::Fail);
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
            Verdict::Skipped => "skipped",
        };
        let cause = finding
            .cause
            .as_ref()
            .map(|cause| format!("    likely cause: {cause}\n"));
        self.print(&format!(
            "{}\n{}",
            line(what, verdict, &finding.measured),
            cause.unwrap_or_default()
        ))
    }

    /// A check was not made, and why.
    pub(super) fn skip(&mut self, what: &str, why: &str) -> io::Result<()> {
        self.add(
            what,
            &Finding {
                verdict: Verdict::Skipped,
                ..Finding::ok(why)
            },
        )
    }

    // At once: a check may take half a minute, and somebody waits.
    #[expect(clippy::unused_self, reason = "what prints is the report")]
    fn print(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

fn line(what: &str, verdict: &str, measured: &str) -> String {
    format!("{what:<13} {verdict:<8} {measured}")
}
