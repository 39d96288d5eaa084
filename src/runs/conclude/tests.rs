//! How a run ends: every ending, with and without text, before and at the last attempt.

use super::{Conclusion, Ending, Shown, conclude};
use crate::llm::{Detail, Finish, FinishReason, LlmError, Wait};
use crate::log::AnswerState;
use crate::protocol::error::ErrorCode;
use crate::runs::Stop;

const MAX_ATTEMPTS: u32 = 2;

fn concluded(ending: &Ending, shown: Shown, attempt: u32) -> Conclusion {
    conclude(ending, shown, attempt, MAX_ATTEMPTS)
}

fn finished(finish_reason: FinishReason) -> Ending {
    Ending::Finished(Finish {
        finish_reason,
        model: None,
        usage: None,
        generation_id: None,
    })
}

/// A fault leaves what was shown as an incomplete answer, and a failed one where nothing was, whatever the attempt.
#[track_caller]
fn is_a_fault(ending: &Ending, code: ErrorCode) {
    for attempt in [1, MAX_ATTEMPTS, 9] {
        assert_eq!(
            concluded(ending, Shown::Text, attempt),
            Conclusion::Answer(AnswerState::Incomplete, Some(code))
        );
        assert_eq!(
            concluded(ending, Shown::Nothing, attempt),
            Conclusion::Answer(AnswerState::Failed, Some(code))
        );
    }
}

#[track_caller]
fn is_always(ending: &Ending, conclusion: Conclusion) {
    for shown in [Shown::Text, Shown::Nothing] {
        for attempt in [1, MAX_ATTEMPTS, 9] {
            assert_eq!(concluded(ending, shown, attempt), conclusion);
        }
    }
}

#[test]
fn an_answer_that_came_to_its_end_is_complete() {
    for reason in [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ToolCalls,
        FinishReason::Unknown,
    ] {
        is_always(&finished(reason), Conclusion::Answer(AnswerState::Complete, None));
    }
}

#[test]
fn an_answer_that_a_filter_cut_is_a_fault() {
    is_a_fault(&finished(FinishReason::ContentFilter), ErrorCode::ContentFiltered);
}

#[test]
fn every_fault_of_the_provider_has_its_code() {
    let detail = || Detail::new("the provider's words");
    for (error, code) in [
        (LlmError::Unreachable(detail()), ErrorCode::ProviderUnavailable),
        (LlmError::TimedOut(Wait::Bytes), ErrorCode::ProviderTimeout),
        (
            LlmError::Busy {
                retry_after: None,
                detail: detail(),
            },
            ErrorCode::ProviderBusy,
        ),
        (
            LlmError::Unavailable {
                retry_after: None,
                detail: detail(),
            },
            ErrorCode::ProviderUnavailable,
        ),
        (
            LlmError::CircuitOpen {
                retry_after: std::time::Duration::ZERO,
            },
            ErrorCode::ProviderUnavailable,
        ),
        (LlmError::Malformed(detail()), ErrorCode::ProviderUnavailable),
        (
            LlmError::TooLarge { limit_bytes: 1 },
            ErrorCode::ProviderUnavailable,
        ),
        (
            LlmError::Empty {
                finish_reason: FinishReason::Stop,
            },
            ErrorCode::ProviderUnavailable,
        ),
        (LlmError::Refused(detail()), ErrorCode::ProviderUnavailable),
        (LlmError::Filtered(detail()), ErrorCode::ContentFiltered),
        (LlmError::ContextTooLong(detail()), ErrorCode::ContextTooLong),
        (LlmError::ModelUnavailable(detail()), ErrorCode::ModelUnavailable),
        (LlmError::Rejected(detail()), ErrorCode::Internal),
        (LlmError::Incomplete(detail()), ErrorCode::ProviderUnavailable),
    ] {
        is_a_fault(&Ending::Failed(error), code);
    }
}

#[test]
fn a_run_that_was_cancelled_keeps_what_it_has() {
    is_always(
        &Ending::Stopped(Stop::Cancelled),
        Conclusion::Answer(AnswerState::Cancelled, None),
    );
}

#[test]
fn a_run_that_is_anothers_stores_nothing() {
    is_always(&Ending::Stopped(Stop::Lost), Conclusion::Drop);
}

#[test]
fn a_run_that_showed_nothing_is_released_while_there_are_attempts_left() {
    for ending in [Ending::Stopped(Stop::Ending), Ending::Unprepared] {
        assert_eq!(concluded(&ending, Shown::Nothing, 1), Conclusion::Release);
        for attempt in [MAX_ATTEMPTS, 9] {
            assert_eq!(
                concluded(&ending, Shown::Nothing, attempt),
                Conclusion::Answer(AnswerState::Failed, Some(ErrorCode::Internal))
            );
        }
        for attempt in [1, MAX_ATTEMPTS] {
            assert_eq!(
                concluded(&ending, Shown::Text, attempt),
                Conclusion::Answer(AnswerState::Incomplete, Some(ErrorCode::Internal)),
                "what was shown is never taken back"
            );
        }
    }
}
