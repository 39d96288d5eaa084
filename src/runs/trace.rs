//! A run as spans: the run itself, the call of the model in it, the storing of the answer. Only where a collector is named.
//!
//! Names and attributes are those of OpenTelemetry's conventions for generative AI; what they have no name for is under
//! `agent_websocket`. Refuses every word that somebody said: ids, models, counts, times and codes are all there is. `Runs::start` begins a
//! trace, `execute` tells its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::conclude::{Conclusion, Ending};
use super::execute::Draft;
use super::{Runs, Stop};
use crate::log::Claimed;
use crate::otlp::Spans;
use crate::otlp::span::{Attribute, Kind, Span};
use crate::store::in_time;
use crate::store::runs::KnownTrace;
use crate::trace::{Origin, Parent, Sampled, SpanId, TraceId};

/// A run that is told.
#[derive(Debug)]
pub(super) struct RunTrace {
    spans: Spans,
    trace: TraceId,
    parent: Option<SpanId>,
    id: SpanId,
    /// When the run began, since 1970; all else is measured from there.
    wall: Duration,
    began: Instant,
}

/// Decides whether a run is told, and in which trace. `None` at once where there is no collector.
///
/// A run that has just been asked for knows all it needs; the row of one that waited is read first.
pub(super) async fn begin(runs: &Arc<Runs>, run: &Claimed) -> Option<RunTrace> {
    let context = &runs.context;
    let spans = context.spans.clone()?;
    let began = Instant::now();
    let wall = Duration::try_from(context.clock.now() - OffsetDateTime::UNIX_EPOCH).unwrap_or_default();
    let known = match run.origin {
        Origin::Query(parent) => KnownTrace { trace: None, parent },
        Origin::Row => match runs.arriving.parent_of(run.run_id) {
            Some(parent) => KnownTrace {
                trace: None,
                parent: Some(parent),
            },
            None => read(runs, run).await,
        },
    };
    let trace = decide(known, spans.ratio(), TraceId::random())?;
    // A try before this one has written it.
    if known.trace.is_none() {
        write(runs, run, trace, known.parent);
    }
    Some(RunTrace {
        spans,
        trace,
        parent: known
            .parent
            .filter(|parent| parent.trace == trace)
            .map(|parent| parent.span),
        id: SpanId::random(),
        wall,
        began,
    })
}

/// What a run's row says.
async fn read(runs: &Runs, run: &Claimed) -> KnownTrace {
    in_time(runs.context.store.run_trace(run))
        .await
        .unwrap_or_else(|error| {
            tracing::warn!(error = %error, run = %run.run_id, "a run's trace could not be read");
            KnownTrace::default()
        })
}

/// The trace to tell a run in: that of a try before, else the client's if it is recorded, else a fresh one for a part of all.
fn decide(known: KnownTrace, ratio: f64, fresh: TraceId) -> Option<TraceId> {
    match (known.trace, known.parent) {
        (Some(trace), _) => Some(trace),
        (None, Some(parent)) => (parent.sampled == Sampled::Yes).then_some(parent.trace),
        (None, None) => fresh.is_among(ratio).then_some(fresh),
    }
}

/// Notes the trace in the run's row, beside the run: the first word does not wait for it.
fn write(runs: &Arc<Runs>, run: &Claimed, trace: TraceId, parent: Option<Parent>) {
    let (store, run) = (runs.context.store.clone(), run.clone());
    runs.context.tasks.spawn("trace", async move {
        if let Err(error) = in_time(store.set_trace(&run, trace, parent)).await {
            tracing::warn!(error = %error, run = %run.run_id, "a run's trace could not be written");
        }
    });
}

impl RunTrace {
    /// What every line of the run in the log stands under. At the highest level, so that no filter takes it from a line that it
    /// lets through.
    pub(super) fn log_span(&self) -> tracing::Span {
        tracing::error_span!("run", trace_id = %self.trace)
    }

    fn at(&self, instant: Instant) -> Duration {
        self.wall + instant.saturating_duration_since(self.began)
    }

    /// A span of this trace that ends now.
    fn span(&self, name: String, kind: Kind, began: Instant) -> Span {
        Span {
            trace: self.trace,
            id: SpanId::random(),
            parent: Some(self.id),
            name,
            kind,
            began: self.at(began),
            ended: self.at(Instant::now()),
            attributes: Vec::new(),
            error: None,
        }
    }

    /// Tells the call of the model, if there was one, and gives the run's own span, which lasts until its end is stored.
    pub(super) fn called(
        &self,
        runs: &Runs,
        run: &Claimed,
        ending: &Ending,
        conclusion: Conclusion,
        draft: &Draft,
    ) -> Span {
        let mut attributes = vec![
            ("gen_ai.provider.name", text(runs.context.provider.name())),
            ("gen_ai.conversation.id", text(&run.key.session_id)),
        ];
        if let Some(model) = &draft.model {
            attributes.push(("gen_ai.request.model", text(model)));
        }
        attributes.extend(outcome(ending));
        if let (Some(called), Some(model)) = (draft.called, &draft.model) {
            let mut call = self.span(format!("chat {model}"), Kind::Client, called);
            call.attributes.extend(attributes.iter().cloned());
            call.attributes.extend(request(runs));
            call.attributes.extend(response(ending, draft, called));
            call.error = fault(ending);
            self.spans.tell(call);
        }
        let mut whole = self.span(
            format!("invoke_agent {}", runs.policy.agent),
            Kind::Internal,
            self.began,
        );
        whole.id = self.id;
        whole.parent = self.parent;
        whole.attributes = attributes;
        whole.attributes.extend([
            ("gen_ai.operation.name", text("invoke_agent")),
            ("gen_ai.agent.name", text(&runs.policy.agent)),
            ("agent_websocket.run.id", text(&run.run_id)),
            (
                "agent_websocket.run.attempt",
                Attribute::Count(run.attempt.into()),
            ),
            ("agent_websocket.run.state", text(state(conclusion))),
        ]);
        whole.error = match conclusion {
            Conclusion::Answer(_, error) => error.map(crate::protocol::error::ErrorCode::as_str),
            Conclusion::Release | Conclusion::Drop => None,
        };
        whole
    }

    /// Tells that the answer was stored, or why it was not.
    pub(super) fn stored(&self, began: Instant, refused: Option<&'static str>) {
        let mut span = self.span("store answer".to_owned(), Kind::Internal, began);
        span.error = refused;
        self.spans.tell(span);
    }

    /// Tells the run itself, which ends now.
    pub(super) fn ended(self, mut whole: Span) {
        whole.ended = self.at(Instant::now());
        self.spans.tell(whole);
    }
}

/// What was asked for.
fn request(runs: &Runs) -> [(&'static str, Attribute); 4] {
    let policy = &runs.policy;
    [
        ("gen_ai.operation.name", text("chat")),
        ("gen_ai.request.stream", Attribute::Flag(true)),
        (
            "gen_ai.request.temperature",
            Attribute::Measure(policy.temperature),
        ),
        (
            "gen_ai.request.max_tokens",
            Attribute::Count(policy.max_tokens.into()),
        ),
    ]
}

/// What the call brought, for itself and for the run that made it.
fn outcome(ending: &Ending) -> Vec<(&'static str, Attribute)> {
    let Ending::Finished(finish) = ending else {
        return Vec::new();
    };
    let mut attributes = vec![(
        "gen_ai.response.finish_reasons",
        Attribute::Texts(vec![finish.finish_reason.as_str().to_owned()]),
    )];
    if let Some(model) = &finish.model {
        attributes.push(("gen_ai.response.model", text(model)));
    }
    if let Some(usage) = finish.usage {
        attributes.push((
            "gen_ai.usage.input_tokens",
            Attribute::Count(usage.input_tokens.into()),
        ));
        attributes.push((
            "gen_ai.usage.output_tokens",
            Attribute::Count(usage.output_tokens.into()),
        ));
    }
    attributes
}

/// What belongs to the call alone.
fn response(ending: &Ending, draft: &Draft, called: Instant) -> Vec<(&'static str, Attribute)> {
    let finished = match ending {
        Ending::Finished(finish) => finish.generation_id.as_ref(),
        _ => None,
    };
    let id = finished.or(draft.generation_id.as_ref());
    let first = draft.first_token.map(|first| first.duration_since(called));
    let id = id.map(|id| ("gen_ai.response.id", text(id)));
    let first = first.map(|first| {
        (
            "gen_ai.response.time_to_first_chunk",
            Attribute::Measure(first.as_secs_f64()),
        )
    });
    id.into_iter().chain(first).collect()
}

/// The code of what ended a call before its end; being stopped on request is none.
fn fault(ending: &Ending) -> Option<&'static str> {
    match ending {
        Ending::Failed(error) => Some(error.label()),
        Ending::Stopped(Stop::Ending) => Some("shutdown"),
        Ending::Finished(_) | Ending::Unprepared | Ending::Stopped(Stop::Cancelled | Stop::Lost) => None,
    }
}

fn state(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Answer(state, _) => state.as_str(),
        Conclusion::Release => "released",
        Conclusion::Drop => "dropped",
    }
}

fn text(value: &(impl ToString + ?Sized)) -> Attribute {
    Attribute::Text(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(sampled: Sampled) -> Parent {
        Parent {
            trace: TraceId::random(),
            span: SpanId::random(),
            sampled,
        }
    }

    #[test]
    fn the_clients_word_counts_before_the_ratio_and_a_try_before_counts_most() {
        let (fresh, before) = (TraceId::random(), TraceId::random());
        let (yes, no) = (parent(Sampled::Yes), parent(Sampled::No));
        let known = |trace, parent| KnownTrace { trace, parent };
        for ratio in [0.0, 1.0] {
            assert_eq!(decide(known(None, Some(yes)), ratio, fresh), Some(yes.trace));
            assert_eq!(decide(known(None, Some(no)), ratio, fresh), None);
            assert_eq!(decide(known(Some(before), Some(no)), ratio, fresh), Some(before));
            assert_eq!(decide(known(Some(before), None), ratio, fresh), Some(before));
        }
        assert_eq!(decide(known(None, None), 1.0, fresh), Some(fresh));
        assert_eq!(decide(known(None, None), 0.0, fresh), None);
    }
}
