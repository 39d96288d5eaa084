//! How a run ends: from what happened and what was shown to what is stored. Pure.

use super::Stop;
use crate::llm::{Finish, FinishReason, LlmCode, LlmError};
use crate::log::AnswerState;
use crate::protocol::error::ErrorCode;

/// What ended the generation.
#[derive(Debug)]
pub(super) enum Ending {
    /// The model came to its end.
    Finished(Finish),
    /// The provider failed.
    Failed(LlmError),
    /// The prompt could not be built, since the database is away.
    Unprepared,
    /// It was told to stop.
    Stopped(Stop),
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// Store an answer.
    Answer(AnswerState, Option<ErrorCode>),
    /// Nothing was shown: let somebody try again.
    Release,
    /// It is not ours any more: store nothing.
    Drop,
}

/// Whether anything of the answer was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Text reached the room.
    Text,
    /// Nothing did.
    Nothing,
}

/// Decides.
pub(super) fn conclude(ending: &Ending, shown: Shown, attempt: u32, max_attempts: u32) -> Conclusion {
    let fault = |code| match shown {
        Shown::Text => Conclusion::Answer(AnswerState::Incomplete, Some(code)),
        Shown::Nothing => Conclusion::Answer(AnswerState::Failed, Some(code)),
    };
    match ending {
        Ending::Finished(finish) if finish.finish_reason == FinishReason::ContentFilter => {
            fault(ErrorCode::ContentFiltered)
        }
        Ending::Finished(_) => Conclusion::Answer(AnswerState::Complete, None),
        Ending::Failed(error) => fault(code(error.code())),
        Ending::Stopped(Stop::Cancelled) => Conclusion::Answer(AnswerState::Cancelled, None),
        Ending::Stopped(Stop::Lost) => Conclusion::Drop,
        Ending::Stopped(Stop::Ending) | Ending::Unprepared => match shown {
            Shown::Nothing if attempt < max_attempts => Conclusion::Release,
            _ => fault(ErrorCode::Internal),
        },
    }
}

/// A provider's fault in the words of the wire.
fn code(code: LlmCode) -> ErrorCode {
    match code {
        LlmCode::ProviderBusy => ErrorCode::ProviderBusy,
        LlmCode::ProviderTimeout => ErrorCode::ProviderTimeout,
        LlmCode::ProviderUnavailable => ErrorCode::ProviderUnavailable,
        LlmCode::ContentFiltered => ErrorCode::ContentFiltered,
        LlmCode::ContextTooLong => ErrorCode::ContextTooLong,
        LlmCode::ModelUnavailable => ErrorCode::ModelUnavailable,
        LlmCode::Internal => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests;
