//! A TCP connection that ends so that the client can read our last words.
//!
//! Closing a socket with unread data makes the kernel reset it, and a reset throws away what the client has not read yet:
//! the 413 of a body too large, the close frame 1009 of a message too large. So what the client still sends is read away
//! for a moment. `listen` wraps each connection; neither hyper nor the WebSocket knows of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::shutdown::Tasks;

/// How long a client may go on sending after our last word.
const LINGER: Duration = Duration::from_millis(1500);

/// How much of it is read at a time, in bytes.
const SCRAP_BYTES: usize = 4 * 1024;

/// How much of it is read away, in bytes: a large file that was sent by mistake, and no flood.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// A connection that lingers once nobody holds it any more.
#[derive(Debug)]
pub(super) struct Lingering {
    /// Taken out when it is dropped.
    stream: Option<TcpStream>,
    tasks: Tasks,
}

impl Lingering {
    pub(super) fn new(stream: TcpStream, tasks: Tasks) -> Self {
        let stream = Some(stream);
        Self { stream, tasks }
    }

    fn inner(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.inner()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(TcpStream::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_shutdown(cx)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        // Outside of a runtime the process ends, and the kernel closes what is left.
        if let (Some(stream), Ok(_)) = (self.stream.take(), Handle::try_current()) {
            let stop = self.tasks.stop().clone();
            self.tasks.spawn("linger", async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = timeout(LINGER, read_away(stream)) => {}
                }
            });
        }
    }
}

/// Says that nothing more will come, then reads until the client says so too, or has said too much.
async fn read_away(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut scrap = vec![0; SCRAP_BYTES];
    let mut read = 0;
    while let Ok(n @ 1..) = stream.read(&mut scrap).await {
        read += n;
        if read > MOST_BYTES {
            return;
        }
    }
}
