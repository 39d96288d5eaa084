//! Sockets: frames, how they came back, how they ended.

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::labels::{Count, Counts};
use crate::protocol::close::CloseReason;

/// How a connection found its session: a new one, one that it knew all of, one of which it was sent the rest, or one of
/// which it was sent the newest part.
pub const RESUMES: [&str; 4] = ["new", "current", "replayed", "gap"];

/// The end of a socket that nobody closed.
const GONE: &str = "gone";

/// Counts sockets.
#[derive(Clone, Debug)]
pub struct Sockets {
    frames_received: Count,
    frames_sent: Count,
    ended: Counts,
    resumes: Counts,
    resume_depth: Histogram,
    replay_bytes: Histogram,
}

impl Sockets {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let frames = Counts::register(
            registry,
            "frames",
            "Text frames of the protocol: in from clients, out to them",
            "direction",
            ["in", "out"],
        );
        let ended = Counts::register(
            registry,
            "connections_ended",
            "Sockets that ended, by reason; gone is a cut, slow_reader a client that did not read in time",
            "reason",
            CloseReason::ALL.iter().map(|reason| reason.label()).chain([GONE]),
        );
        let resumes = Counts::register(
            registry,
            "resumes",
            "How connections found their session: new; current, nothing was missed; replayed, all that was missed was sent; \
             gap, only the newest part of it was",
            "outcome",
            RESUMES,
        );
        // What was missed in a tunnel, in a night, in a month.
        let resume_depth =
            Histogram::new([0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0]);
        registry.register(
            "resume_depth_messages",
            "Messages sent to a connection that came back to a session before it was live",
            resume_depth.clone(),
        );
        // 256 bytes to 16 MiB; a catch-up ends at 8.
        let replay_bytes = Histogram::new(exponential_buckets(256.0, 4.0, 9));
        registry.register(
            "replay_bytes",
            "Text of those messages, in bytes",
            replay_bytes.clone(),
        );
        Self {
            frames_received: frames.of("in"),
            frames_sent: frames.of("out"),
            ended,
            resumes,
            resume_depth,
            replay_bytes,
        }
    }

    /// A frame came in.
    pub fn received(&self) {
        self.frames_received.inc();
    }

    /// A frame goes out.
    pub fn sent(&self) {
        self.frames_sent.inc();
    }

    /// A socket ended, for a reason or by being cut.
    pub fn ended(&self, reason: Option<CloseReason>) {
        self.ended.count(reason.map_or(GONE, CloseReason::label));
    }

    /// A connection found its session; one of [`RESUMES`].
    pub fn found(&self, outcome: &'static str) {
        self.resumes.count(outcome);
    }

    /// A connection that came back was sent this before it was live.
    pub fn caught_up(&self, messages: u64, bytes: u64) {
        self.resume_depth.observe(messages as f64);
        self.replay_bytes.observe(bytes as f64);
    }
}
