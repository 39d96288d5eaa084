//! The end of a run as operators see it: one line in the log, and its numbers.
//!
//! Nothing of what was said is in either. `execute` calls it before the end is stored, since that may wait for the database.

use std::time::{Duration, Instant};

use super::conclude::{Conclusion, Ending};
use super::execute::Draft;
use crate::log::Claimed;
use crate::metrics::Answers;

/// Tells a run's story.
pub(super) fn observe(
    metrics: &Answers,
    run: &Claimed,
    ending: &Ending,
    conclusion: Conclusion,
    draft: &Draft,
) {
    let now = Instant::now();
    let duration = now.duration_since(draft.began);
    let first_token = draft.first_token.map(|first| first.duration_since(draft.began));
    let usage = match ending {
        Ending::Finished(finish) => finish.usage,
        _ => None,
    };
    count(metrics, ending, conclusion, duration);
    if let Some(after) = first_token {
        metrics.began(after);
    }
    match usage {
        Some(usage) => {
            metrics.took(usage.input_tokens, usage.output_tokens, usage.cost_usd);
            if let Some(first) = draft.first_token {
                metrics.written(usage.output_tokens, now.duration_since(first));
            }
        }
        None if draft.text.is_empty() => {}
        None => metrics.took_unknown(),
    }
    if let Ending::Failed(error) = ending {
        tracing::warn!(run = %run.run_id, session = %run.key.session_id, error = %error, "the provider failed");
    }
    tracing::info!(
        run = %run.run_id,
        session = %run.key.session_id,
        attempt = run.attempt,
        conclusion = ?conclusion,
        model = draft.model.as_deref(),
        text_bytes = draft.text.len(),
        first_token_ms = first_token.map(whole_ms),
        input_tokens = usage.map(|usage| usage.input_tokens),
        output_tokens = usage.map(|usage| usage.output_tokens),
        cost_usd = usage.and_then(|usage| usage.cost_usd),
        duration_ms = whole_ms(duration),
        "run"
    );
}

fn count(metrics: &Answers, ending: &Ending, conclusion: Conclusion, duration: Duration) {
    match conclusion {
        Conclusion::Answer(state, _) => metrics.ended(state, duration),
        Conclusion::Release => metrics.released(),
        Conclusion::Drop => metrics.dropped(),
    }
    if let Ending::Failed(error) = ending {
        metrics.failed(error.label());
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
