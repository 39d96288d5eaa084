//! The dialect of the AI SDK's `WebSocketChatTransport`: its frames become our verbs, our frames become its chunks.
//!
//! Owns which of our frames belong to which of its requests, and nothing else: sessions, order, resume, limits and time are
//! `ws::connection`'s, as with any client. Only the user's last message is taken from a request; what was said before stands in the log.
//! Pure: a frame in, frames out.
//!
//! ```text
//!   send    ─► (auth) (resume) query or regenerate ─► accepted ─► thinking, delta, response of its run ─► chunks, end
//!   resume  ─► (auth)  resume ─► the catch-up, up to live ─► start, chunks of the run that it showed; or no-active
//!   abort   ─► cancel of its run
//! ```
//!
//! A connection is in one session at a time, so it follows one chat at a time: a request for another chat ends those of the chat
//! before with an error. Their answers go on, and a resume shows them.

mod asking;
mod catch_up;
mod stream;

use std::collections::VecDeque;

use uuid::Uuid;

use crate::ids::RunId;
use crate::protocol::ai_sdk::{ChatId, Question, RequestId, Response};
use crate::protocol::client::ClientFrame;
use crate::protocol::error::ErrorCode;
use crate::protocol::server::{Accepted, Done, ErrorFrame, Notification, Outcome, ServerFrame, Status};
use catch_up::{CatchUp, Resumable};
use stream::{Goal, Stream};

/// What is left to be asked for a request.
#[derive(Clone, Debug)]
enum Intent {
    /// This.
    Frame(ClientFrame),
    /// Another answer; to what, only the catch-up shows.
    Regenerate(Option<String>, Question),
}

/// One connection's requests, and what is known of its session.
#[derive(Debug, Default)]
pub(super) struct Translation {
    /// The requests that are not over.
    streams: Vec<Stream>,
    /// What is left to be asked, and for which request.
    left: VecDeque<Intent>,
    in_hand: Option<RequestId>,
    /// The chat that the connection is in, and the one that it goes to.
    chat: Option<ChatId>,
    headed: Option<ChatId>,
    /// The last token that stood in a frame, as a hash.
    token: Option<Uuid>,
    shown: CatchUp,
    /// Why a run failed: told just before its response.
    failure: Option<(RunId, String)>,
}

impl Translation {
    /// What a frame of ours is in the client's words.
    pub(super) fn tell(&mut self, frame: &ServerFrame<'_>) -> Vec<Response> {
        let mut out = Vec::new();
        match frame {
            ServerFrame::Notification(notification) => self.notification(notification, &mut out),
            ServerFrame::Status(status) => self.status(status, &mut out),
            ServerFrame::Query(query) => {
                self.shown
                    .query(query.id.as_deref(), query.message_id, query.run_id);
                if let (Some(id), Some(run)) = (&query.id, query.run_id) {
                    self.stored(id, Goal::Run(run));
                }
            }
            ServerFrame::Delta(delta) => {
                self.shown.delta(delta);
                for stream in self.streams_of(delta.run_id) {
                    stream.delta(delta, &mut out);
                }
            }
            ServerFrame::Response(response) => {
                self.shown.response(response);
                let failure = self.failure.take().map(|(_, text)| text);
                let is_its =
                    |stream: &mut Stream| response.run_id.is_some() && stream.run() == response.run_id;
                for stream in self.streams.extract_if(.., is_its) {
                    stream.finish(response, failure.as_deref(), &mut out);
                }
            }
            ServerFrame::Error(error) => self.error(error, &mut out),
        }
        out
    }

    fn streams_of(&mut self, run: RunId) -> impl Iterator<Item = &mut Stream> {
        self.streams
            .iter_mut()
            .filter(move |stream| stream.run() == Some(run))
    }

    /// What was to be stored is: the requests that wait for it go on.
    fn stored(&mut self, name: &str, goal: Goal) -> Option<RequestId> {
        let is_awaited =
            |stream: &&mut Stream| matches!(&stream.goal, Goal::Stored(own) if own.as_str() == name);
        let stream = self.streams.iter_mut().find(is_awaited)?;
        stream.goal = goal;
        Some(stream.request().clone())
    }

    fn notification(&mut self, notification: &Notification<'_>, out: &mut Vec<Response>) {
        match notification {
            Notification::Welcome(_) => {
                self.chat = self.headed.take().or(self.chat.take());
                let chat = self.chat.clone();
                for stream in self.streams.extract_if(.., |s| Some(&s.chat) != chat.as_ref()) {
                    out.push(stream.error("This connection went to another chat; resume this one"));
                }
                let wanted = self.streams.iter().any(|stream| stream.goal == Goal::Shown);
                self.shown = CatchUp::begin(wanted);
            }
            // It stays unacknowledged: whoever missed it here finds it in the inbox.
            Notification::Message(pushed) => {
                let shows = |stream: &&mut Stream| stream.goal != Goal::Shown;
                out.extend(
                    self.streams
                        .iter_mut()
                        .rfind(shows)
                        .map(|stream| stream.notification(pushed)),
                );
            }
            Notification::Cleared(_) | Notification::Timeout(_) => {}
        }
    }

    fn status(&mut self, status: &Status<'_>, out: &mut Vec<Response>) {
        match status {
            Status::Accepted(accepted) => self.accepted(accepted),
            Status::Thinking(thinking) => {
                self.shown.thinking(thinking);
                for stream in self.streams_of(thinking.run_id) {
                    stream.begin(thinking.session_id, thinking.message_id, out);
                }
            }
            Status::Live(_) => self.live(out),
            Status::Done(done) => self.done(done),
            Status::Run(_)
            | Status::Session(_)
            | Status::Heartbeat(_)
            | Status::TokenExpiring(_)
            | Status::Draining(_)
            | Status::Feedback(_)
            | Status::Auth(_) => {}
        }
    }

    fn accepted(&mut self, accepted: &Accepted<'_>) {
        let Some(re) = &accepted.re else {
            return;
        };
        let (run, message) = (accepted.run_id, accepted.message_id);
        if !accepted.duplicate {
            self.shown.query(Some(re.as_str()), message, Some(run));
            self.stored(re.as_str(), Goal::Run(run));
            return;
        }
        // It was asked before: its answer may be over, or half written.
        if let Some(id) = self.stored(re.as_str(), Goal::Joined(run)) {
            self.left.extend(self.show_again(&id).map(Intent::Frame));
            self.in_hand = Some(id);
        }
    }

    fn done(&mut self, done: &Done<'_>) {
        if let (Some(re), Outcome::Regenerate(asked)) = (&done.re, &done.outcome) {
            self.stored(re.as_str(), Goal::Run(asked.run_id));
        }
    }

    /// The catch-up is over.
    fn live(&mut self, out: &mut Vec<Response>) {
        let resumable = self.shown.end();
        for mut stream in std::mem::take(&mut self.streams) {
            match (&stream.goal, &resumable) {
                (Goal::Shown, Resumable::Nothing) => {
                    out.push(stream.no_active());
                    continue;
                }
                (Goal::Shown, Resumable::Run(run)) => {
                    out.push(stream.start());
                    stream.goal = Goal::Run(*run);
                }
                (Goal::Shown, Resumable::Writing(shown)) => {
                    out.push(stream.start());
                    stream.goal = Goal::Run(shown.run());
                    shown.show(&mut stream, out);
                }
                (Goal::Shown, Resumable::Ended(response)) => {
                    out.push(stream.start());
                    stream.finish(response, None, out);
                    continue;
                }
                (Goal::Joined(run), _) if stream.has_begun() || self.shown.knows(*run) => {
                    stream.goal = Goal::Run(*run);
                }
                (Goal::Joined(_), _) => {
                    out.push(stream.error("This message was answered before"));
                    continue;
                }
                (Goal::Stored(_) | Goal::Run(_), _) => {}
            }
            self.streams.push(stream);
        }
    }

    fn error(&mut self, error: &ErrorFrame<'_>, out: &mut Vec<Response>) {
        if let Some(run) = error.run_id {
            self.failure = Some((run, error.content.clone().into_owned()));
        }
        // One that answers no request comes before the close, which ends them all and lets the client resume.
        let Some(re) = &error.re else {
            return;
        };
        let is_meant =
            |s: &Stream| s.request().name() == *re || matches!(&s.goal, Goal::Stored(name) if name == re);
        let Some(index) = self.streams.iter().position(is_meant) else {
            return;
        };
        let stream = self.streams.swap_remove(index);
        let is_nothing = stream.goal == Goal::Shown && error.code == ErrorCode::NotFound;
        out.push(if is_nothing {
            stream.no_active()
        } else {
            stream.error(&error.content)
        });
        if self.in_hand.as_ref() == Some(stream.request()) {
            // What was left of it is not asked; a token that stood in it is not believed to have been taken.
            self.left.clear();
            self.in_hand = None;
            self.headed = None;
            self.token = None;
        }
    }
}
