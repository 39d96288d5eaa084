//! Carries one run through: prepare, stream, store the end. Its text goes straight to the room, and behind to the scribe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::conclude::{Conclusion, Ending, Shown, conclude};
use super::observe::observe;
use super::prepare::{Prepared, prepare};
use super::trace::RunTrace;
use super::{Runs, Stop, StopSignal};
use crate::llm::Event;
use crate::log::{AnswerState, Claimed};
use crate::notify::room::Room;
use crate::protocol::error::ErrorCode;
use crate::protocol::server::Usage;
use crate::protocol::text::Timestamp;
use crate::session::replay::Answer;
use crate::store::append::{AnswerOutcome, NewAnswer};
use crate::store::chunks::PromptRecord;
use crate::store::{StoreError, in_time};

/// How long the end of a run waits before it tries the database again.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);

/// What a run has brought so far.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) began: Instant,
    pub(super) text: String,
    pub(super) model: Option<String>,
    pub(super) generation_id: Option<String>,
    prompt: Option<PromptRecord>,
    first_token_at: Option<Timestamp>,
    pub(super) first_token: Option<Instant>,
    /// When the model was called.
    pub(super) called: Option<Instant>,
}

impl Draft {
    fn new(began: Instant) -> Self {
        Self {
            began,
            text: String::new(),
            model: None,
            generation_id: None,
            prompt: None,
            first_token_at: None,
            first_token: None,
            called: None,
        }
    }
}

/// Shows in its room that a claimed run begins.
pub(super) fn begin(runs: &Runs, run: &Claimed) -> Arc<Room> {
    let room = runs.context.hub.room(&run.key, Instant::now());
    let answer = Answer {
        run_id: run.run_id,
        attempt: run.attempt,
        in_reply_to: run.query_id,
        query_seq: run.query_seq,
        message_id: run.answer_id,
        started_at: Timestamp(runs.context.clock.now()),
        text: String::new(),
    };
    room.begin(run.claim(), answer);
    room
}

/// Runs a run that has begun to its end.
pub(super) async fn execute(
    runs: &Runs,
    run: Claimed,
    room: &Room,
    place: OwnedSemaphorePermit,
    stop: StopSignal,
    trace: Option<RunTrace>,
) {
    let mut draft = Draft::new(Instant::now());
    let ending = generate(runs, &run, room, &stop, &mut draft).await;
    let shown = if draft.text.is_empty() {
        Shown::Nothing
    } else {
        Shown::Text
    };
    let conclusion = conclude(&ending, shown, run.attempt, runs.policy.max_attempts);
    observe(&runs.context.metrics.answers, &run, &ending, conclusion, &draft);
    let told = trace.map(|trace| {
        let whole = trace.called(runs, &run, &ending, conclusion, &draft);
        (trace, whole)
    });
    match conclusion {
        Conclusion::Answer(state, error) => {
            let answer = answer(run, draft, ending, state, error);
            let storing = Instant::now();
            let refused = store_answer(runs, room, answer, Some(place)).await;
            if let Some((trace, _)) = &told {
                trace.stored(storing, refused);
            }
        }
        Conclusion::Release => release(runs, room, &run).await,
        Conclusion::Drop => {
            runs.scribe.end(&run);
            give_up(runs, room, &run);
        }
    }
    if let Some((trace, whole)) = told {
        trace.ended(whole);
    }
}

/// Streams the answer into the room until something ends it.
async fn generate(runs: &Runs, run: &Claimed, room: &Room, stop: &StopSignal, draft: &mut Draft) -> Ending {
    let prepared = tokio::select! {
        biased;
        reason = stop.stopped() => return Ending::Stopped(reason),
        prepared = in_time(prepare(runs, run)) => prepared,
    };
    let Prepared { request, record } = match prepared {
        Ok(Some(prepared)) => prepared,
        Ok(None) => return Ending::Stopped(Stop::Lost),
        Err(error) => {
            tracing::warn!(error = %error, run = %run.run_id, "a prompt could not be read");
            return Ending::Unprepared;
        }
    };
    draft.prompt = Some(record.clone());
    draft.model = Some(request.model.clone());
    runs.scribe.begin(run, record);
    draft.called = Some(Instant::now());
    let mut generation = runs.context.provider.start(request);
    loop {
        let event = tokio::select! {
            biased;
            reason = stop.stopped() => return Ending::Stopped(reason),
            event = generation.next() => event,
        };
        match event {
            Some(Ok(Event::Started { generation_id })) => {
                if let Some(id) = &generation_id {
                    runs.scribe.generation(run, id);
                }
                draft.generation_id = generation_id.or(draft.generation_id.take());
            }
            Some(Ok(Event::Text(text))) => {
                room.write(run.claim(), &text);
                if draft.text.is_empty() {
                    draft.first_token_at = Some(Timestamp(runs.context.clock.now()));
                    draft.first_token = Some(Instant::now());
                }
                draft.text.push_str(&text);
                runs.scribe.write(run, &text);
            }
            Some(Ok(Event::Finished(finish))) => return Ending::Finished(finish),
            Some(Err(error)) => return Ending::Failed(error),
            None => return Ending::Stopped(Stop::Ending),
        }
    }
}

fn answer(
    run: Claimed,
    draft: Draft,
    ending: Ending,
    state: AnswerState,
    error: Option<ErrorCode>,
) -> NewAnswer {
    let finish = match ending {
        Ending::Finished(finish) => Some(finish),
        _ => None,
    };
    let usage = finish
        .as_ref()
        .and_then(|finish| finish.usage)
        .map(|usage| Usage {
            input_tokens: Some(i64::from(usage.input_tokens)),
            output_tokens: Some(i64::from(usage.output_tokens)),
            cost_usd: usage.cost_usd,
        });
    let finish_reason = finish
        .as_ref()
        .map(|finish| finish.finish_reason.as_str().to_owned());
    let model = finish
        .as_ref()
        .and_then(|finish| finish.model.clone())
        .or(draft.model);
    let generation_id = finish
        .and_then(|finish| finish.generation_id)
        .or(draft.generation_id);
    NewAnswer {
        run,
        content: Arc::from(draft.text),
        state,
        model,
        finish_reason,
        error,
        generation_id,
        usage,
        prompt: draft.prompt,
        first_token_at: draft.first_token_at,
        place: None,
    }
}

/// Stores the end of a run, for as long as it takes: until it is stored, refused, or the process gives up. Says why it was not
/// stored.
pub(super) async fn store_answer(
    runs: &Runs,
    room: &Room,
    mut answer: NewAnswer,
    mut place: Option<OwnedSemaphorePermit>,
) -> Option<&'static str> {
    let run = answer.run.clone();
    // The session's next run may keep the place, unless other sessions wait for one here.
    answer.place = if runs.may_chain() { place.take() } else { None };
    let refused = loop {
        let again = copy(&answer);
        match runs.context.appender.answer(answer).await {
            Ok(AnswerOutcome::Stored(_)) => break None,
            Ok(AnswerOutcome::Fenced) => {
                runs.context.metrics.answers.late_write_refused();
                tracing::warn!(run = %run.run_id, fence = run.fence.0, "a late answer was refused: the run is another's by now");
                give_up(runs, room, &run);
                break Some("fenced");
            }
            Ok(AnswerOutcome::Missing) => {
                give_up(runs, room, &run);
                break Some("session_missing");
            }
            Err(StoreError::Unavailable(_)) if !runs.context.tasks.stop().is_cancelled() => {
                tracing::error!(run = %run.run_id, "an answer waits for the database");
                tokio::time::sleep(DATABASE_PAUSE).await;
                answer = again;
            }
            Err(error) => {
                tracing::error!(error = %error, run = %run.run_id, "an answer could not be stored");
                let label = error.label();
                give_up(runs, room, &run);
                break Some(label);
            }
        }
    };
    runs.scribe.end(&run);
    drop(place);
    refused
}

/// The run is not ours any more; what became of it, an answer by somebody else for one, is in the store.
fn give_up(runs: &Runs, room: &Room, run: &Claimed) {
    room.abandon(run.claim());
    runs.context.feed.hinted(run.key.session_id);
}

/// The answer once more, without its place: that went with the first try.
fn copy(answer: &NewAnswer) -> NewAnswer {
    NewAnswer {
        run: answer.run.clone(),
        content: Arc::clone(&answer.content),
        state: answer.state,
        model: answer.model.clone(),
        finish_reason: answer.finish_reason.clone(),
        error: answer.error,
        generation_id: answer.generation_id.clone(),
        usage: answer.usage,
        prompt: answer.prompt.clone(),
        first_token_at: answer.first_token_at,
        place: None,
    }
}

/// Puts a run that has shown nothing back into its queue, for as long as it takes: a run that nobody carries on and nobody
/// may claim holds its session.
pub(super) async fn release(runs: &Runs, room: &Room, run: &Claimed) {
    runs.scribe.end(run);
    let released = loop {
        match runs.context.store.release_run(run).await {
            Err(error @ StoreError::Unavailable(_)) if !runs.context.tasks.stop().is_cancelled() => {
                tracing::warn!(error = %error, run = %run.run_id, "a run's release waits for the database");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            other => break other,
        }
    };
    match released {
        Ok(Some(watchers)) => {
            room.abandon(run.claim());
            room.post(&crate::notify::mailbox::Signal::Run {
                run_id: run.run_id,
                state: "queued",
                attempt: run.attempt,
            });
            runs.context.feed.tell(run.key.session_id, &watchers);
            runs.offer_work();
        }
        Ok(None) => room.abandon(run.claim()),
        Err(error) => {
            tracing::warn!(error = %error, run = %run.run_id, "a run could not be released; its lease will run out");
            room.abandon(run.claim());
        }
    }
}
