//! Whether a server keeps the wire contract: runs against any that claims to, and tells of each MUST of PROTOCOL.md.
//!
//! There are checks, which provoke something and look at what comes, and rules, which hold of every frame on every connection
//! that the checks open. Knows nothing of this program's server but what the contract says, and speaks to it over the
//! network only. Called by `app`, for `agent-websocket conformance`, and by the tests, also against servers that cheat.

mod bed;
mod checks;
mod frame;
mod line;
mod report;
mod rules;
mod schema;
mod witness;

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use self::bed::Bed;
use self::checks::{Check, checks};
use self::line::Shared;
use self::rules::{Notes, Rule};
use self::schema::Schema;
use crate::client::address::Address;
use crate::client::web::Web;
use crate::secret::Secret;

pub use self::report::{Line as ReportLine, Report, Verdict};

/// How much longer than the patience for one frame a whole check may take.
const PATIENCES_PER_CHECK: u32 = 12;

/// Which server, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is.
    pub address: Address,
    /// A user's token. Checks about notifications need `agent:notify` in its scope.
    pub token: Secret,
    /// How long the next thing may take that must come.
    pub patience: Duration,
    /// A question whose answer is short.
    pub short_question: String,
    /// A question whose answer takes seconds.
    pub long_question: String,
    /// Only checks whose name holds this.
    pub only: Option<String>,
}

/// Why a check ended before its end.
#[derive(Debug)]
enum Stop {
    /// The server does not keep the contract.
    Failed(String),
    /// It could not be tried.
    Skipped(String),
}

/// Fails a check where something does not hold.
fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Stop> {
    if holds {
        Ok(())
    } else {
        Err(Stop::Failed(otherwise()))
    }
}

/// The names of all checks and rules with the part of PROTOCOL.md that each is about and what it demands.
pub fn catalogue() -> Vec<(&'static str, &'static str, &'static str)> {
    let rules = Rule::ALL.map(|rule| (rule.name(), rule.section(), rule.must()));
    let checks = checks();
    let of_checks = checks.iter().map(|check| (check.name, check.section, check.must));
    of_checks.chain(rules).collect()
}

/// Runs all checks, telling of each on `out` as it ends.
///
/// # Errors
/// When nothing can be tried, or `out` takes nothing.
pub async fn run(options: Options, out: &mut impl Write) -> anyhow::Result<Report> {
    let notes = Rc::new(RefCell::new(Notes::default()));
    let bed = Bed {
        web: Web::new(&options.address).map_err(anyhow::Error::msg)?,
        address: options.address,
        token: options.token,
        short: options.short_question,
        long: options.long_question,
        shared: Shared {
            notes: Rc::clone(&notes),
            schema: Rc::new(Schema::published()),
            patience: options.patience,
        },
        made: RefCell::default(),
    };
    let wanted = |name: &str| {
        options
            .only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    };
    let mut report = Report::default();
    writeln!(out, "{}\n", bed.address)?;
    for check in checks().iter().filter(|check| wanted(check.name)) {
        let verdict = attempt(check, &bed).await;
        report.add(out, check.name, check.section, check.must, verdict)?;
    }
    if let Err(Stop::Failed(what) | Stop::Skipped(what)) = bed.clean_up().await {
        writeln!(
            out,
            "      The sessions of this run could not all be deleted: {what}"
        )?;
    }
    for rule in Rule::ALL {
        let verdict = of_rule(rule, &notes.borrow());
        report.add(out, rule.name(), rule.section(), rule.must(), verdict)?;
    }
    report.sum_up(out, &notes.borrow())?;
    Ok(report)
}

async fn attempt(check: &Check, bed: &Bed) -> Verdict {
    let patience = bed.shared.patience * PATIENCES_PER_CHECK;
    match timeout(patience, (check.run)(bed)).await {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(Stop::Failed(what))) => Verdict::Failed(what),
        Ok(Err(Stop::Skipped(why))) => Verdict::Skipped(why),
        Err(_) => Verdict::Failed(format!("it was not done within {} s", patience.as_secs())),
    }
}

fn of_rule(rule: Rule, notes: &Notes) -> Verdict {
    match (notes.breaches_of(rule), notes.looked_at(rule)) {
        (Some(breaches), _) => Verdict::Failed(breaches),
        (None, 0) => Verdict::Skipped("nothing of the kind was seen".to_owned()),
        (None, _) => Verdict::Passed,
    }
}
