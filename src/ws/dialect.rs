//! Which words a socket's client uses: this contract's own, or those of the AI SDK.
//!
//! The only place where the two differ. `ws::connection` reads and writes through it.

use super::ai_sdk::Translation;
use crate::notify::mailbox::Broadcast;
use crate::protocol::ai_sdk;
use crate::protocol::client::{self, BadFrame, ClientFrame};
use crate::protocol::server::ServerFrame;

/// What a path speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    /// PROTOCOL.md.
    #[default]
    Own,
    /// That of the AI SDK's `WebSocketChatTransport`.
    AiSdk,
}

impl Dialect {
    /// The sub-protocol that its clients offer.
    pub(super) fn subprotocol(self) -> &'static str {
        match self {
            Self::Own => crate::protocol::SUBPROTOCOL,
            Self::AiSdk => ai_sdk::SUBPROTOCOL,
        }
    }
}

/// One connection's dialect and what it has to remember for it.
#[derive(Debug)]
pub(super) enum Speech {
    /// Nothing.
    Own,
    /// The requests that are open.
    AiSdk(Box<Translation>),
}

impl Speech {
    pub(super) fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Own => Self::Own,
            Dialect::AiSdk => Self::AiSdk(Box::default()),
        }
    }

    /// Reads a frame. `None` when it asks nothing.
    ///
    /// # Errors
    /// What to answer; the connection lives on.
    pub(super) fn read(&mut self, text: &str) -> Result<Option<ClientFrame>, BadFrame> {
        match self {
            Self::Own => client::parse(text).map(Some),
            Self::AiSdk(translation) => translation.take_in(text).map(|()| translation.next()),
        }
    }

    /// What a frame that was read asks besides, once the verb before was answered.
    pub(super) fn next(&mut self) -> Option<ClientFrame> {
        match self {
            Self::Own => None,
            Self::AiSdk(translation) => translation.next(),
        }
    }

    /// A frame of ours in the client's words, of which there may be none or many.
    pub(super) fn write(&mut self, frame: &ServerFrame<'_>) -> Written {
        match self {
            Self::Own => Written::One(frame.encode()),
            Self::AiSdk(translation) => {
                let responses = translation.tell(frame);
                Written::Many(responses.iter().map(ai_sdk::Response::encode).collect())
            }
        }
    }

    /// The same of a notification that many are told of.
    pub(super) fn write_broadcast(&mut self, broadcast: &Broadcast) -> Written {
        match self {
            Self::Own => Written::One(broadcast.text.clone()),
            Self::AiSdk(_) => self.write(&ServerFrame::notification(broadcast.pushed.clone())),
        }
    }
}

/// What goes out for a frame of ours.
#[derive(Debug)]
pub(super) enum Written {
    /// This.
    One(String),
    /// These, in their order.
    Many(Vec<String>),
}
