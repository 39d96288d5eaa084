//! What must hold of every frame on every connection, whatever a check was about; and what was found about it.
//!
//! Pure. [`super::witness`] looks, [`super::report`] prints.

use std::collections::{BTreeMap, BTreeSet};

/// How many breaches of one rule are told.
const TOLD: usize = 5;

/// A rule over all frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    Schema,
    Opening,
    CatchUp,
    Seq,
    Head,
    Turn,
    Offset,
    Answer,
    Replies,
}

impl Rule {
    pub(super) const ALL: [Self; 9] = [
        Self::Schema,
        Self::Opening,
        Self::CatchUp,
        Self::Seq,
        Self::Head,
        Self::Turn,
        Self::Offset,
        Self::Answer,
        Self::Replies,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Schema => "every-schema",
            Self::Opening => "every-opening",
            Self::CatchUp => "every-catch-up",
            Self::Seq => "every-seq",
            Self::Head => "every-head",
            Self::Turn => "every-turn",
            Self::Offset => "every-offset",
            Self::Answer => "every-answer",
            Self::Replies => "every-reply",
        }
    }

    /// The part of PROTOCOL.md that says so.
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::Schema => "Frames",
            Self::Opening | Self::CatchUp | Self::Seq | Self::Head | Self::Turn => "Order and resume",
            Self::Offset | Self::Answer => "`query`, `delta`, `response`",
            Self::Replies => "Commands",
        }
    }

    pub(super) fn must(self) -> &'static str {
        match self {
            Self::Schema => "Each frame is a JSON object in a text frame, valid by the published schema",
            Self::Opening => {
                "`welcome` comes first, but for the answer to `auth`, `new` or `resume`, or an `error`"
            }
            Self::CatchUp => {
                "Until `live` all is `replay: true`: messages, then the run in progress, then notifications"
            }
            Self::Seq => "Frames with a `seq` come in its order, without a gap and none twice",
            Self::Head => "At `live`, all up to the `head` of `welcome` has been sent",
            Self::Turn => "`accepted` or `query`, `thinking`, deltas, `error`, one `response`: in this order",
            Self::Offset => {
                "A delta's `offset` is not beyond the text so far, in UTF-16 code units, and it repeats text unchanged"
            }
            Self::Answer => {
                "`length` and `sha256` are those of `content`, which begins with what the deltas made"
            }
            Self::Replies => "Each frame of a client is answered once, with its `id` in `re`",
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Notes {
    looked: BTreeMap<Rule, u64>,
    breaches: BTreeMap<Rule, Vec<String>>,
    /// Types and events that the schema does not know.
    pub(super) unknown: BTreeSet<String>,
    /// Error codes that were seen.
    pub(super) errors: BTreeSet<String>,
    /// Close codes that were seen.
    pub(super) closes: BTreeSet<u16>,
    /// Whether a query or command was told to come later, and when.
    pub(super) rate_limited: Option<String>,
}

impl Notes {
    /// A rule was looked at once more.
    pub(super) fn look(&mut self, rule: Rule) {
        *self.looked.entry(rule).or_default() += 1;
    }

    /// Looks at a rule, which a false `holds` breaks.
    pub(super) fn hold(&mut self, rule: Rule, holds: bool, otherwise: impl FnOnce() -> String) {
        self.look(rule);
        if !holds {
            self.breach(rule, otherwise());
        }
    }

    pub(super) fn breach(&mut self, rule: Rule, what: String) {
        self.look(rule);
        self.breaches.entry(rule).or_default().push(what);
    }

    /// How often it was looked at.
    pub(super) fn looked_at(&self, rule: Rule) -> u64 {
        self.looked.get(&rule).copied().unwrap_or_default()
    }

    /// The first breaches, and how many more there are.
    pub(super) fn breaches_of(&self, rule: Rule) -> Option<String> {
        let all = self.breaches.get(&rule)?;
        let mut told: Vec<String> = all.iter().take(TOLD).cloned().collect();
        if all.len() > TOLD {
            told.push(format!("and {} more", all.len() - TOLD));
        }
        Some(told.join("\n"))
    }
}
