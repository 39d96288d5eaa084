//! The conversation as a person sees it: what each event writes, and whether it is the person's turn.
//!
//! Owns what was asked and not answered yet. Refuses I/O but for the paper; [`super::run`] carries out what it returns.

use std::io;
use std::time::Duration;

use serde_json::json;

use super::command::{self, COMMANDS, Known, Meaning};
use super::listing;
use super::paper::{Paper, Tone};
use crate::client::Event;
use crate::client::frames::{Accepted, Done, Failure, Query, Response};
use crate::client::news::{News, Shown};
use crate::client::says::{self, Outgoing};
use crate::ids::MessageId;

/// What is to be done now.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    GoOn,
    Send(Outgoing),
    Leave,
}

/// What the person waits for.
#[derive(Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// The receipt of a question with this id.
    Receipt(String),
    /// An answer to this message.
    Answer(MessageId),
    /// The result of a command with this id.
    Result(String),
    /// The result of a command that asks for another answer.
    Again(String),
    /// Another session, after the result of a command with this id.
    Switch(String),
    /// The end of a session's catch-up: of the first one, or of another.
    Session,
}

/// The conversation.
pub(super) struct Talk {
    pub(super) paper: Paper,
    /// Text is shown as it is written.
    streams: bool,
    waiting: Waiting,
    /// The answer that is being written, and whether it was asked for here.
    writing: Option<(MessageId, Tone)>,
    known: Known,
    cancelling: bool,
    failed: bool,
}

impl Talk {
    pub(super) fn new(paper: Paper, streams: bool) -> Self {
        Self {
            paper,
            streams,
            waiting: Waiting::Session,
            writing: None,
            known: Known::default(),
            cancelling: false,
            failed: false,
        }
    }

    /// Whether it is the person's turn.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == Waiting::Nothing && self.writing.is_none()
    }

    /// Whether something that was asked failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    fn aside(&mut self, text: &str) -> io::Result<()> {
        self.paper.line(Tone::Aside, &format!("* {text}"))
    }

    /// A line of the person.
    pub(super) fn said(&mut self, line: &str) -> io::Result<Next> {
        let (frame, waiting) = match command::read(line, &self.known) {
            Meaning::Nothing => return Ok(Next::GoOn),
            Meaning::Quit => return Ok(Next::Leave),
            Meaning::Help => {
                for (usage, what) in COMMANDS {
                    self.paper.line(Tone::Said, &format!("{usage:<17} {what}"))?;
                }
                return Ok(Next::GoOn);
            }
            Meaning::Mistake(why) => {
                self.failed = true;
                self.aside(&why)?;
                return Ok(Next::GoOn);
            }
            Meaning::Query(frame) => (frame, Waiting::Receipt as fn(String) -> Waiting),
            Meaning::Command(frame) => (frame, Waiting::Result as _),
            Meaning::Switch(frame) => (frame, Waiting::Switch as _),
            Meaning::Again(frame) => (frame, Waiting::Again as _),
        };
        self.waiting = waiting(frame.id.clone());
        self.cancelling = false;
        Ok(Next::Send(frame))
    }

    /// Ctrl-C while no line is typed: stops the answer, and a second one ends the program.
    pub(super) fn interrupted(&mut self) -> io::Result<Next> {
        if self.cancelling || self.is_idle() || self.waiting == Waiting::Session {
            self.failed = true;
            return Ok(Next::Leave);
        }
        self.cancelling = true;
        self.aside("stopping the answer; Ctrl-C again leaves")?;
        Ok(Next::Send(says::command("cancel", &json!({}))))
    }

    /// Ctrl-C at the prompt.
    pub(super) fn hint(&mut self) -> io::Result<Next> {
        self.aside("Ctrl-D or /quit leaves")?;
        Ok(Next::GoOn)
    }

    /// Something happened.
    pub(super) fn told(&mut self, event: Event) -> io::Result<Next> {
        match event {
            Event::News(news) => self.news(news)?,
            Event::Down {
                why,
                again: Some(wait),
            } => {
                self.aside(&format!("disconnected: {why}; again in {}", seconds(wait)))?;
            }
            Event::Down { why, again: None } => {
                self.aside(&format!("disconnected: {why}; say something to come back"))?;
            }
        }
        Ok(Next::GoOn)
    }

    fn news(&mut self, news: News) -> io::Result<()> {
        match news {
            News::Opened {
                session_id,
                switched: true,
                user_id,
                ..
            } => self.aside(&format!("session {session_id}, as {user_id}")),
            News::Opened { .. } => self.aside("connected again"),
            News::Gap(gap) => {
                // The answer may be among what is left out.
                if matches!(self.waiting, Waiting::Answer(_)) {
                    self.waiting = Waiting::Nothing;
                }
                let (from, to) = (gap.from.0, gap.to.0);
                self.aside(&format!(
                    "messages {from} to {to} are not shown; /history {} shows the last of them",
                    to + 1
                ))
            }
            News::Live => {
                if self.waiting == Waiting::Session {
                    self.waiting = Waiting::Nothing;
                }
                Ok(())
            }
            News::Asked(query) => self.asked(&query),
            News::Accepted(accepted) => self.accepted(&accepted),
            News::Thinking(thinking) => {
                let tone = if self.waiting == Waiting::Answer(thinking.in_reply_to) {
                    Tone::Said
                } else {
                    Tone::Aside
                };
                self.writing = Some((thinking.message_id, tone));
                Ok(())
            }
            News::Requeued => self.aside("the server that wrote the answer is gone; it will be written anew"),
            News::Text { anew, text, .. } if self.streams => {
                if anew {
                    self.aside("the answer begins anew")?;
                }
                let tone = self.writing.map_or(Tone::Aside, |(_, tone)| tone);
                self.paper.write(tone, &text)
            }
            News::Answered {
                response,
                shown,
                intact,
            } => self.answered(&response, shown, intact),
            News::Notified(notification) => self.aside(&listing::notified(&notification)),
            News::Done(done) => self.done(&done),
            News::Failed(failure) => self.refused(&failure),
            News::Renamed(Some(title)) => self.aside(&format!("the session is now called {title}")),
            News::Deleted => self.aside("the session was deleted"),
            News::Text { .. } | News::Cleared(_) | News::Renamed(None) | News::Idle => Ok(()),
        }
    }

    fn asked(&mut self, query: &Query) -> io::Result<()> {
        if matches!(&self.waiting, Waiting::Receipt(id) if Some(id) == query.id.as_ref()) {
            // Ours: it was stored while the connection broke.
            self.waiting = Waiting::Answer(query.message_id);
            return Ok(());
        }
        self.paper.line(Tone::Aside, &format!("> {}", query.content))
    }

    fn accepted(&mut self, accepted: &Accepted) -> io::Result<()> {
        if matches!(&self.waiting, Waiting::Receipt(id) if Some(id) == accepted.re.as_ref()) {
            self.waiting = Waiting::Answer(accepted.message_id);
        }
        match accepted.queue_position {
            0 => Ok(()),
            before => self.aside(&format!("waits behind {before}")),
        }
    }

    fn answered(&mut self, response: &Response, shown: Shown, intact: bool) -> io::Result<()> {
        let mine = response
            .in_reply_to
            .is_some_and(|query| self.waiting == Waiting::Answer(query));
        let tone = if mine { Tone::Said } else { Tone::Aside };
        match shown {
            Shown::Rest(rest) if self.streams => self.paper.write(tone, &rest)?,
            Shown::TooMuch | Shown::Otherwise if self.streams => {
                self.aside("what was stored of the answer reads:")?;
                self.paper.write(tone, &response.content)?;
            }
            _ => self.paper.write(tone, &response.content)?,
        }
        self.paper.end_line(tone)?;
        if !intact {
            self.failed = true;
            self.aside("this text is not the one that was stored: something between changed it")?;
        }
        if response.state != "complete" {
            self.failed |= mine;
            let why = response
                .error
                .as_ref()
                .map(|fault| format!(" ({})", fault.code))
                .unwrap_or_default();
            self.aside(&format!("the answer is {}{why}", response.state))?;
        }
        self.known.last_answer = Some(response.message_id);
        self.writing = None;
        if mine {
            self.waiting = Waiting::Nothing;
        }
        Ok(())
    }

    fn done(&mut self, done: &Done) -> io::Result<()> {
        let re = done.re.as_deref();
        match &self.waiting {
            Waiting::Result(id) if re == Some(id) => self.waiting = Waiting::Nothing,
            Waiting::Switch(id) if re == Some(id) => {
                self.waiting = Waiting::Session;
                // Its answer, if one is being written, is not this session's.
                self.writing = None;
                return Ok(());
            }
            Waiting::Again(id) if re == Some(id) => {
                let query = done
                    .data
                    .get("in_reply_to")
                    .and_then(|id| id.as_str()?.parse().ok());
                self.waiting = query.map_or(Waiting::Nothing, |id| Waiting::Answer(MessageId(id)));
                return Ok(());
            }
            // A renewed token, and what Ctrl-C sent.
            _ => return Ok(()),
        }
        if done.event == "sessions" {
            self.known.sessions = listing::sessions(done);
        }
        for line in listing::lines(done) {
            self.paper.line(Tone::Said, &line)?;
        }
        Ok(())
    }

    fn refused(&mut self, failure: &Failure) -> io::Result<()> {
        let id = failure.re.as_ref();
        if let Waiting::Receipt(waited)
        | Waiting::Result(waited)
        | Waiting::Again(waited)
        | Waiting::Switch(waited) = &self.waiting
            && id == Some(waited)
        {
            self.waiting = Waiting::Nothing;
            self.failed = true;
        }
        self.aside(&format!("{} ({})", failure.content, failure.code))
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
