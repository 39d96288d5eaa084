//! The socket itself: frames out with a deadline, frames in with a verdict, an end that the client sees.
//!
//! Owns everything that RFC 6455 and the library leave to us. Refuses to know what the frames say. `ws::connection` uses it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};

use super::partial::Partial;
use crate::http::meter::InboundBytes;
use crate::protocol::close::CloseReason;

/// How long a client may take to answer our close, and to finish sending what we refused.
const CLOSE_WITHIN: Duration = Duration::from_millis(1500);

/// How long the close of a slow reader may take: its code stands behind what the kernel still holds for it, 64 KiB, which
/// at 1 KiB/s takes a minute. The connection has left everything else by then.
const SLOW_CLOSE_WITHIN: Duration = Duration::from_secs(75);

/// Why a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// We close it, for this reason.
    Close(CloseReason),
    /// It is gone: cut.
    Gone,
}

/// What came in.
#[derive(Debug)]
pub(super) enum Received {
    /// A text frame.
    Text(Utf8Bytes),
    /// A binary one.
    Binary(Bytes),
    /// A ping or a pong: a sign of life.
    Life,
    /// Part of a message that has been under way for too long.
    Unfinished,
}

/// How long things may take on a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// One write.
    pub(super) write: Duration,
    /// One message of the client's, from its first byte to its last.
    pub(super) message: Duration,
}

/// A step of the library's socket towards something.
type PollSocket = fn(&mut WebSocket, &mut Context<'_>) -> Poll<Result<(), axum::Error>>;

/// A WebSocket with deadlines.
#[derive(Debug)]
pub(super) struct Socket {
    inner: WebSocket,
    write_timeout: Duration,
    inbound: InboundBytes,
    partial: Partial,
    /// Wakes us when the message that is under way has taken too long. Made only while one is.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(inner: WebSocket, timing: Timing, inbound: InboundBytes) -> Self {
        Self {
            inner,
            write_timeout: timing.write,
            partial: Partial::new(timing.message, inbound.total()),
            inbound,
            alarm: None,
        }
    }

    /// Puts a text frame into the socket's buffer.
    ///
    /// # Errors
    /// As [`Socket::feed`].
    pub(super) fn feed_text(&mut self, text: String) -> impl Future<Output = Result<(), End>> {
        self.feed(Message::Text(text.into()))
    }

    /// Puts a ping into the socket's buffer.
    ///
    /// # Errors
    /// As [`Socket::feed`].
    pub(super) fn feed_ping(&mut self) -> impl Future<Output = Result<(), End>> {
        self.feed(Message::Ping(Bytes::new()))
    }

    /// Puts a message into the socket's buffer, once that has room; it goes out with the next flush.
    ///
    /// # Errors
    /// [`End::Close`] when the client took nothing for the time of a write, [`End::Gone`] when it is gone.
    pub(super) async fn feed(&mut self, message: Message) -> Result<(), End> {
        self.in_time(SinkExt::poll_ready_unpin).await?;
        self.inner.start_send_unpin(message).map_err(|_| End::Gone)
    }

    /// Sends what is in the buffer.
    pub(super) fn flush(&mut self) -> impl Future<Output = Result<(), End>> {
        self.in_time(SinkExt::poll_flush_unpin)
    }

    /// Drives the socket until it is done with this, within the time for a write. The clock is asked only once it has to wait.
    async fn in_time(&mut self, poll: PollSocket) -> Result<(), End> {
        let mut alarm: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if let Poll::Ready(done) = poll(&mut self.inner, cx) {
                return Poll::Ready(done.map_err(|_| End::Gone));
            }
            let alarm = alarm.get_or_insert_with(|| Box::pin(sleep(self.write_timeout)));
            alarm
                .as_mut()
                .poll(cx)
                .map(|()| Err(End::Close(CloseReason::SlowReader)))
        })
        .await
    }

    /// Waits for the next frame. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Result<Received, End> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, End>> {
        if let Poll::Ready(message) = self.inner.poll_next_unpin(cx) {
            return Poll::Ready(self.received(message));
        }
        // All that came in was looked at; what is left of it is the beginning of a message.
        let now = Instant::now();
        let Some(deadline) = self.partial.deadline(self.inbound.total(), now.into_std()) else {
            self.alarm = None;
            return Poll::Pending;
        };
        let deadline = Instant::from_std(deadline);
        if now >= deadline {
            return Poll::Ready(Ok(Received::Unfinished));
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        // It cannot be over yet.
        let _ = alarm.as_mut().poll(cx);
        Poll::Pending
    }

    fn received(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<Received, End> {
        let total = self.inbound.total();
        match message {
            Some(Ok(Message::Text(text))) => {
                self.partial.message(total);
                Ok(Received::Text(text))
            }
            Some(Ok(Message::Binary(bytes))) => {
                self.partial.message(total);
                Ok(Received::Binary(bytes))
            }
            Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                self.partial.control(payload.len(), total);
                Ok(Received::Life)
            }
            Some(Ok(Message::Close(_))) => Err(End::Close(CloseReason::ClientClosed)),
            None => Err(End::Gone),
            Some(Err(error)) => Err(verdict(error)),
        }
    }

    /// Ends the connection so that the client sees the code: our close frame goes out, then what the client still sends
    /// is read away for a moment. After a frame that was refused nothing more can be read here; `http::linger` does then.
    pub(super) async fn close(mut self, reason: CloseReason) {
        let patience = if reason == CloseReason::SlowReader {
            SLOW_CLOSE_WITHIN
        } else {
            CLOSE_WITHIN
        };
        let deadline = Instant::now() + patience;
        if reason == CloseReason::ClientClosed {
            // The library has put the answer into its buffer, and sends it only when it is driven once more.
            let _ = timeout_at(deadline, self.inner.flush()).await;
            return;
        }
        let frame = CloseFrame {
            code: reason.code(),
            reason: Utf8Bytes::from_static(reason.reason()),
        };
        if !matches!(
            timeout_at(deadline, self.inner.send(Message::Close(Some(frame)))).await,
            Ok(Ok(()))
        ) {
            return;
        }
        while let Ok(Some(Ok(_))) = timeout_at(deadline, self.inner.recv()).await {}
    }
}

/// What a failed read means.
fn verdict(error: axum::Error) -> End {
    let Ok(error) = error.into_inner().downcast::<tungstenite::Error>() else {
        return End::Gone;
    };
    match *error {
        tungstenite::Error::Capacity(_) => End::Close(CloseReason::MessageTooLarge),
        tungstenite::Error::Utf8(_) => End::Close(CloseReason::InvalidUtf8),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            End::Gone
        }
        tungstenite::Error::Protocol(_) => End::Close(CloseReason::ProtocolError),
        _ => End::Gone,
    }
}
