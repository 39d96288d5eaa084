//! From the client's frames to our verbs: what a request asks, in which order, and when it depends on what the log shows.
//!
//! One verb at a time: `ws::connection` asks for the next when the one before was answered.

use uuid::Uuid;

use super::stream::{Goal, Stream};
use super::{Intent, Translation};
use crate::ids::{MessageId, digest};
use crate::protocol::ai_sdk::{ChatId, Deed, Question, Request, RequestId, Wish, name, parse};
use crate::protocol::client::{
    Auth, BadFrame, ClientFrame, Command, OnBusy, Priority, Query, Resume, SessionRef,
};
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::text::Text;

/// The most requests that one connection may have open.
const MAX_STREAMS: usize = 16;

impl Translation {
    /// Takes a frame of the client's. What it asks comes from [`Self::next`], one at a time.
    ///
    /// # Errors
    /// What to answer; the connection lives on.
    pub(in crate::ws) fn take_in(&mut self, text: &str) -> Result<(), BadFrame> {
        let Request { id, wish } = match parse(text) {
            Ok(request) => request,
            Err((id, bad)) => {
                if let Some(id) = id.filter(|id| !self.is_open(id)) {
                    self.expect_refusal(id);
                }
                return Err(bad);
            }
        };
        match wish {
            Wish::Abort => self.abort(&id),
            Wish::Of(chat, token, deed) => {
                self.admit(&id)?;
                self.authenticate(&id, token);
                self.plan(id, chat, deed);
            }
        }
        Ok(())
    }

    /// What is to be asked next, in our own words.
    pub(in crate::ws) fn next(&mut self) -> Option<ClientFrame> {
        match self.left.pop_front()? {
            Intent::Frame(frame) => Some(frame),
            Intent::Regenerate(message, question) => self.regenerate(message.as_deref(), question),
        }
    }

    fn is_open(&self, id: &RequestId) -> bool {
        self.streams.iter().any(|stream| stream.request() == id)
    }

    /// A request that will be refused: the error finds it by its name.
    fn expect_refusal(&mut self, id: RequestId) {
        let goal = Goal::Stored(id.name());
        self.streams.push(Stream::new(id, ChatId::default(), goal));
    }

    fn admit(&mut self, id: &RequestId) -> Result<(), BadFrame> {
        if self.is_open(id) {
            // Not to be told under this id, which would end the other request.
            let refusal = Refusal::new(ErrorCode::InvalidMessage, "This requestId is in use");
            return Err(BadFrame { re: None, refusal });
        }
        if self.streams.len() >= MAX_STREAMS {
            self.expect_refusal(id.clone());
            let re = Some(id.name());
            let refusal = Refusal::new(ErrorCode::QueueFull, "Too many requests are open");
            return Err(BadFrame { re, refusal });
        }
        Ok(())
    }

    /// A token in a frame counts from there on, as with our own `auth`.
    fn authenticate(&mut self, id: &RequestId, token: Option<Text>) {
        let Some(token) = token else {
            return;
        };
        let known = digest(&["token", token.as_str()]);
        if self.token.replace(known) == Some(known) {
            return;
        }
        let auth = Auth {
            token,
            session_id: None,
            after: None,
        };
        let frame = ClientFrame::Command(Some(id.name()), Command::Auth(auth));
        self.left.push_back(Intent::Frame(frame));
    }

    fn plan(&mut self, id: RequestId, chat: ChatId, deed: Deed) {
        let is_here = self.chat.as_ref() == Some(&chat);
        let uuid = chat.as_uuid();
        let (goal, go_to, then) = match deed {
            Deed::Submit(question) => (
                Goal::Stored(question.id.clone()),
                (!is_here).then_some(SessionRef::NamedOrNew(uuid)),
                Some(Intent::Frame(query(question))),
            ),
            Deed::Regenerate(message, question) => (
                Goal::Stored(id.name()),
                (!is_here).then_some(SessionRef::NamedOrNew(uuid)),
                Some(Intent::Regenerate(message, question)),
            ),
            // Also where the connection is in it: the catch-up shows what there is.
            Deed::Resume => (Goal::Shown, Some(SessionRef::Named(uuid)), None),
        };
        if let Some(session) = go_to {
            self.left.push_back(Intent::Frame(resume(&id, session)));
        }
        self.left.extend(then);
        self.headed = Some(chat.clone());
        self.in_hand = Some(id.clone());
        self.streams.push(Stream::new(id, chat, goal));
    }

    /// Another answer to what the client names, else to its last message. One that is not in the log is asked; one whose answer
    /// is being written shows that.
    fn regenerate(&mut self, message: Option<&str>, question: Question) -> Option<ClientFrame> {
        let id = self.in_hand.clone()?;
        let named = message.and_then(|message| {
            let by_name = self.shown.by_name(name(message).as_str());
            let by_id = || Uuid::parse_str(message).ok().map(MessageId);
            by_name.map(|asked| asked.message).or_else(by_id)
        });
        let last = self
            .shown
            .by_name(question.id.as_str())
            .map(|asked| asked.message);
        let (goal, frame) = if let Some(message) = named.or(last) {
            let asked = self.shown.by_message(message);
            if let Some(asked) = asked.filter(|asked| !asked.answered) {
                (Goal::Joined(asked.run), self.show_again(&id)?)
            } else {
                let command = Command::Regenerate(Some(message));
                let frame = ClientFrame::Command(Some(id.name()), command);
                (Goal::Stored(id.name()), frame)
            }
        } else {
            (Goal::Stored(question.id.clone()), query(question))
        };
        let stream = self.streams.iter_mut().find(|stream| *stream.request() == id)?;
        stream.goal = goal;
        Some(frame)
    }

    /// Has the session shown from the beginning, which shows an answer that is being written.
    pub(super) fn show_again(&self, id: &RequestId) -> Option<ClientFrame> {
        let chat = self.headed.as_ref().or(self.chat.as_ref())?;
        Some(resume(id, SessionRef::Named(chat.as_uuid())))
    }

    /// Ends a request of the client's, and the run that it shows. One that only waits to see what there is ends nothing.
    fn abort(&mut self, id: &RequestId) {
        let Some(index) = self.streams.iter().position(|stream| stream.request() == id) else {
            return;
        };
        if let Some(run) = self.streams.swap_remove(index).run() {
            let cancel = ClientFrame::Command(None, Command::Cancel(Some(run)));
            self.left.push_back(Intent::Frame(cancel));
        }
    }
}

fn query(question: Question) -> ClientFrame {
    ClientFrame::Query(Query {
        id: Some(question.id),
        content: question.content,
        priority: Priority::default(),
        on_busy: OnBusy::default(),
        model: None,
        metadata: None,
    })
}

fn resume(id: &RequestId, session_id: SessionRef) -> ClientFrame {
    let resume = Resume {
        session_id,
        after: None,
    };
    ClientFrame::Command(Some(id.name()), Command::Resume(resume))
}
