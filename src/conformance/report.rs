//! What a run found, as a table for a person: pass, fail or skip, with the part of PROTOCOL.md and the reason.
//!
//! Pure, but for the writing.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::rules::Notes;
use crate::protocol::close::CloseReason;
use crate::protocol::error::ErrorCode;

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As the contract says.
    Passed,
    /// Not so, and what came instead.
    Failed(String),
    /// It could not be tried, and why.
    Skipped(String),
}

/// A check with its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: &'static str,
    /// The verdict.
    pub verdict: Verdict,
}

/// All checks of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which they ran.
    pub lines: Vec<Line>,
}

impl Report {
    /// How many passed, failed and were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |is: fn(&Verdict) -> bool| self.lines.iter().filter(|line| is(&line.verdict)).count();
        (
            count(|verdict| matches!(verdict, Verdict::Passed)),
            count(|verdict| matches!(verdict, Verdict::Failed(_))),
            count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        )
    }

    /// The names of the checks that failed.
    pub fn failed(&self) -> BTreeSet<&'static str> {
        self.lines
            .iter()
            .filter(|line| matches!(line.verdict, Verdict::Failed(_)))
            .map(|line| line.name)
            .collect()
    }

    pub(super) fn add(
        &mut self,
        out: &mut impl Write,
        name: &'static str,
        section: &str,
        must: &str,
        verdict: Verdict,
    ) -> io::Result<()> {
        let (word, reason) = match &verdict {
            Verdict::Passed => ("pass", None),
            Verdict::Failed(reason) => ("FAIL", Some(reason)),
            Verdict::Skipped(reason) => ("skip", Some(reason)),
        };
        writeln!(out, "{word}  {name:<24} {must} [{section}]")?;
        for line in reason.iter().flat_map(|reason| reason.lines()) {
            writeln!(out, "      {line}")?;
        }
        self.lines.push(Line { name, verdict });
        out.flush()
    }

    /// What came of it, and what was not seen and so not judged.
    pub(super) fn sum_up(&self, out: &mut impl Write, notes: &Notes) -> io::Result<()> {
        let (passed, failed, skipped) = self.counts();
        writeln!(out, "\n{passed} passed, {failed} failed, {skipped} skipped")?;
        let codes = ErrorCode::ALL.iter().filter_map(|code| {
            let code = serde_json::to_value(code).ok()?;
            code.as_str().map(str::to_owned)
        });
        let unseen: Vec<String> = codes.filter(|code| !notes.errors.contains(code)).collect();
        let closes: BTreeSet<u16> = CloseReason::ALL.iter().map(|reason| reason.code()).collect();
        let unseen_closes: Vec<String> = closes
            .difference(&notes.closes)
            .map(ToString::to_string)
            .collect();
        for (what, list) in [("Error codes", unseen), ("Close codes", unseen_closes)] {
            if !list.is_empty() {
                writeln!(
                    out,
                    "{what} that did not come up, and so were not tried: {}",
                    list.join(", ")
                )?;
            }
        }
        if !notes.unknown.is_empty() {
            let unknown: Vec<&str> = notes.unknown.iter().map(String::as_str).collect();
            writeln!(
                out,
                "Frames that this version does not know, which is no fault: {}",
                unknown.join(", ")
            )?;
        }
        Ok(())
    }
}
