//! A connection whose client may send so many bytes a second: beyond that it is not read, and the kernel tells it so.
//!
//! Under hyper and under the WebSocket alike, because a flood can be made of what neither ever hands to us. Counts all that
//! comes in. Refuses to close anything: who sends too much for too long is the business of those who understand it.
//! `listen` wraps each connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::{ByteMeter, ByteRate};

/// The shortest time for which a connection is not read: a flood is then taken in a few pieces a second, not in thousands.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// How many bytes have come in on a connection, put into its requests' extensions by the accept loop.
#[derive(Clone, Debug, Default)]
pub struct InboundBytes(Arc<AtomicU64>);

impl InboundBytes {
    /// How many there were until now.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that is read no faster than its meter allows.
#[derive(Debug)]
pub(super) struct Metered<S> {
    inner: S,
    meter: ByteMeter,
    inbound: InboundBytes,
    /// Until when it is not read. Made only for a client that sends too much.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S, rate: Option<ByteRate>) -> Self {
        Self {
            inner,
            meter: ByteMeter::new(rate, Instant::now().into_std()),
            inbound: InboundBytes::default(),
            pause: None,
        }
    }

    /// The count of what comes in.
    pub(super) fn inbound(&self) -> InboundBytes {
        self.inbound.clone()
    }

    /// Ready once the connection may be read.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let wait = self.meter.wait(Instant::now().into_std());
            if wait.is_zero() {
                return Poll::Ready(());
            }
            self.pause = Some(Box::pin(sleep(wait.max(LEAST_PAUSE))));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_allowance(cx));
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.meter.take(read, Instant::now().into_std());
        self.inbound.0.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
