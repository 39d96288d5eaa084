//! Answers: how they end, how long they take, what their provider does wrong and what it asks for them.

use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::labels::{Count, Counts, Sum, count};
use crate::log::AnswerState;

/// How a try at an answer ends: in one of the states that are stored, by going back to the queue, or by being somebody
/// else's by then.
pub const ENDINGS: [&str; 6] = [
    "complete",
    "cancelled",
    "incomplete",
    "failed",
    "released",
    "dropped",
];

/// What a provider can do wrong, by the names of `llm`'s errors.
pub const PROVIDER_FAULTS: [&str; 14] = [
    "busy",
    "circuit_open",
    "context_too_long",
    "empty",
    "filtered",
    "incomplete",
    "malformed",
    "model_unavailable",
    "refused",
    "rejected",
    "timed_out",
    "too_large",
    "unavailable",
    "unreachable",
];

/// Counts answers.
#[derive(Clone, Debug)]
pub struct Answers {
    ended: Counts,
    late_writes: Count,
    first_token: Histogram,
    duration: Histogram,
    rate: Histogram,
    faults: Counts,
    spent: Spent,
}

/// What answers took.
#[derive(Clone, Debug)]
struct Spent {
    input_tokens: Count,
    output_tokens: Count,
    cost: Sum,
    without_cost: Count,
}

impl Spent {
    fn register(registry: &mut Registry) -> Self {
        let tokens = Counts::register(
            registry,
            "tokens",
            "Tokens that the provider counted: input of prompts, output of answers",
            "direction",
            ["input", "output"],
        );
        let cost = Sum::default();
        registry.register(
            "cost_usd",
            "What the provider asks for answers, in US dollars",
            cost.clone(),
        );
        let without_cost = count(
            registry,
            "answers_without_cost",
            "Answers with text of which the provider did not say at their end what they took; it is asked later, if it can be",
        );
        Self {
            input_tokens: tokens.of("input"),
            output_tokens: tokens.of("output"),
            cost,
            without_cost,
        }
    }
}

impl Answers {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let ended = Counts::register(
            registry,
            "runs_ended",
            "Tries at answers that ended here, by state; released went back to the queue, dropped were another node's by then",
            "state",
            ENDINGS,
        );
        let late_writes = count(
            registry,
            "late_writes_refused",
            "Ends of runs that were refused, since another node had ended the run",
        );
        let first_token = histogram(
            registry,
            "time_to_first_token_seconds",
            "From a run's start to the first text of its answer",
            // 50 ms to 102 s: a small model nearby, one that thinks for long.
            exponential_buckets(0.05, 2.0, 12),
        );
        let duration = histogram(
            registry,
            "run_duration_seconds",
            "From a run's start to the end of its answer",
            // 125 ms to 512 s.
            exponential_buckets(0.125, 2.0, 13),
        );
        let rate = histogram(
            registry,
            "output_tokens_per_second",
            "Tokens of an answer over the time from its first text to its end",
            [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0].into_iter(),
        );
        let faults = Counts::register(
            registry,
            "provider_errors",
            "Faults of the provider that ended a run, after its retries, by kind",
            "kind",
            PROVIDER_FAULTS,
        );
        Self {
            ended,
            late_writes,
            first_token,
            duration,
            rate,
            faults,
            spent: Spent::register(registry),
        }
    }

    /// An answer was stored in this state, so long after its run began.
    pub fn ended(&self, state: AnswerState, duration: Duration) {
        self.ended.count(state.as_str());
        self.duration.observe(duration.as_secs_f64());
    }

    /// A run went back to the queue.
    pub fn released(&self) {
        self.ended.count("released");
    }

    /// A run was another node's by the time it ended.
    pub fn dropped(&self) {
        self.ended.count("dropped");
    }

    /// The first text of an answer came this long after its run began.
    pub fn began(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    /// So many tokens were written in this time, measured from the first text.
    pub fn written(&self, output_tokens: u32, duration: Duration) {
        // A clock's tick may be all that an answer takes that came in one piece: that says nothing of a rate.
        if duration >= Duration::from_millis(1) {
            self.rate
                .observe(f64::from(output_tokens) / duration.as_secs_f64());
        }
    }

    /// The provider failed; one of [`PROVIDER_FAULTS`].
    pub fn failed(&self, kind: &'static str) {
        self.faults.count(kind);
    }

    /// What an answer took.
    pub fn took(&self, input_tokens: u32, output_tokens: u32, cost_usd: Option<f64>) {
        self.spent.input_tokens.inc_by(u64::from(input_tokens));
        self.spent.output_tokens.inc_by(u64::from(output_tokens));
        // A counter goes up, whatever a provider says.
        if let Some(cost) = cost_usd.filter(|cost| cost.is_finite() && *cost > 0.0) {
            self.spent.cost.inc_by(cost);
        }
    }

    /// It is not known what an answer took.
    pub fn took_unknown(&self) {
        self.spent.without_cost.inc();
    }

    /// The end of a run was refused.
    pub fn late_write_refused(&self) {
        self.late_writes.inc();
    }

    /// How many ends of runs were refused.
    pub fn late_writes_refused(&self) -> u64 {
        self.late_writes.get()
    }
}

fn histogram(
    registry: &mut Registry,
    name: &str,
    help: &str,
    buckets: impl Iterator<Item = f64>,
) -> Histogram {
    let histogram = Histogram::new(buckets);
    registry.register(name, help, histogram.clone());
    histogram
}
