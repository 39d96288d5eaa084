//! What a connection of the AI SDK's dialect was shown of its session: the newest questions, and where the last answer is.
//!
//! The text of an answer is kept only during a catch-up, and only for a request that has asked to resume. Pure; `ws::ai_sdk` asks it.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::stream::Stream;
use crate::ids::{MessageId, RunId, SessionId};
use crate::protocol::server::{Delta, Response, Thinking};

/// The most questions that are remembered: more than a catch-up shows.
const MAX_QUESTIONS: usize = 256;

/// A question in the log.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    name: Option<String>,
    pub(super) message: MessageId,
    pub(super) run: RunId,
    /// Whether there is an answer to it.
    pub(super) answered: bool,
}

/// The answer that is being written.
#[derive(Debug)]
struct Writing {
    session: SessionId,
    run: RunId,
    message: MessageId,
    text: Option<Delta<'static>>,
}

/// What was shown.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    asked: VecDeque<Asked>,
    /// A request waits for what follows.
    wanted: bool,
    writing: Option<Writing>,
    last: Option<Response<'static>>,
}

/// What there is to resume.
#[derive(Debug)]
pub(super) enum Resumable {
    /// This run's answer, of which nothing was shown yet.
    Run(RunId),
    /// An answer that is being written.
    Writing(Shown),
    /// The last answer.
    Ended(Box<Response<'static>>),
    /// Nothing.
    Nothing,
}

/// An answer that is being written, as far as it is.
#[derive(Debug)]
pub(super) struct Shown(Writing);

impl Shown {
    pub(super) fn run(&self) -> RunId {
        self.0.run
    }

    pub(super) fn show(&self, stream: &mut Stream, out: &mut Vec<crate::protocol::ai_sdk::Response>) {
        stream.begin(self.0.session, self.0.message, out);
        if let Some(text) = &self.0.text {
            stream.delta(text, out);
        }
    }
}

impl CatchUp {
    /// A catch-up begins; `wanted` says whether the last answer is of interest.
    pub(super) fn begin(wanted: bool) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// The catch-up is over: what there is to resume. The text is forgotten.
    pub(super) fn end(&mut self) -> Resumable {
        self.wanted = false;
        let last = self.last.take();
        if let Some(writing) = self.writing.take() {
            return Resumable::Writing(Shown(writing));
        }
        match (self.asked.back().filter(|asked| !asked.answered), last) {
            (Some(asked), _) => Resumable::Run(asked.run),
            (None, Some(last)) => Resumable::Ended(Box::new(last)),
            (None, None) => Resumable::Nothing,
        }
    }

    pub(super) fn query(&mut self, name: Option<&str>, message: MessageId, run: Option<RunId>) {
        let Some(run) = run else { return };
        if self.asked.iter().any(|asked| asked.message == message) {
            return;
        }
        if self.asked.len() >= MAX_QUESTIONS {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked {
            name: name.map(str::to_owned),
            message,
            run,
            answered: false,
        });
    }

    pub(super) fn thinking(&mut self, thinking: &Thinking<'_>) {
        if self.wanted {
            self.writing = Some(Writing {
                session: thinking.session_id,
                run: thinking.run_id,
                message: thinking.message_id,
                text: None,
            });
        }
    }

    pub(super) fn delta(&mut self, delta: &Delta<'_>) {
        // During a catch-up all text so far is one delta.
        if let Some(writing) = self
            .writing
            .as_mut()
            .filter(|writing| writing.run == delta.run_id)
        {
            let content = Cow::Owned(delta.content.clone().into_owned());
            writing.text = Some(Delta { content, ..*delta });
        }
    }

    pub(super) fn response(&mut self, response: &Response<'_>) {
        if let Some(asked) = self
            .asked
            .iter_mut()
            .find(|asked| Some(asked.message) == response.in_reply_to)
        {
            asked.answered = true;
        }
        if self.wanted {
            let own = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
            self.last = Some(Response {
                content: own(&response.content),
                state: own(&response.state),
                finish_reason: response.finish_reason.as_ref().map(own),
                model: response.model.as_ref().map(own),
                sha256: response.sha256.clone(),
                ..*response
            });
        }
    }

    /// A question by the id that its client gave it.
    pub(super) fn by_name(&self, name: &str) -> Option<&Asked> {
        self.asked
            .iter()
            .rev()
            .find(|asked| asked.name.as_deref() == Some(name))
    }

    /// A question by its id in the log.
    pub(super) fn by_message(&self, message: MessageId) -> Option<&Asked> {
        self.asked.iter().rev().find(|asked| asked.message == message)
    }

    /// Whether the question that a run answers was shown.
    pub(super) fn knows(&self, run: RunId) -> bool {
        self.asked.iter().any(|asked| asked.run == run)
    }
}
