//! The end of a connection, whatever brought it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Connection, End};
use crate::protocol::close::CloseReason;

/// How long closes may go on when the server stops.
const LAST_CLOSE: Duration = Duration::from_millis(1600);

impl Connection {
    /// The one way out: leave, let the client see why, tell the story in one line.
    pub(super) async fn finish(mut self: Box<Self>, end: End) {
        self.attached = None;
        self.seat.leave();
        let reason = match end {
            End::Close(reason) => Some(reason),
            End::Gone => None,
        };
        self.service.metrics.sockets.ended(reason);
        tracing::info!(
            connection = %self.seat.connection(),
            user = self.principal.as_ref().map(|principal| principal.user_id.as_str()),
            closed = reason.map_or("gone", CloseReason::label),
            duration_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            frames_in = self.frames_in,
            frames_out = self.frames_out,
            "connection"
        );
        if let End::Close(reason) = end {
            let stop = self.service.tasks.stop().clone();
            tokio::select! {
                () = self.socket.close(reason) => {}
                // A slow reader is not waited for by a server that ends.
                () = stopped_for(&stop, LAST_CLOSE) => {}
            }
        }
    }
}

/// Some time after a signal.
async fn stopped_for(stop: &CancellationToken, time: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(time).await;
}
