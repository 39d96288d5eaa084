//! A connection of one task's own, beside the pool.
//!
//! The pool pings a connection twice when it comes back, and hands out another one each time, whose plans are still to be made.
//! A task that asks all day has its own: the writers of the log and of unfinished answers, who sums up what users keep, who looks for
//! notifications, and who keeps the process's lease.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::StoreError;

/// How it plans: each statement once, and as what it is, look-ups by key, also where the tables are small on that day. Planning
/// anew took longer than a batch of the writer.
const PLANNING: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_seqscan", "off"),
];

/// How long a connection is used, as the pool uses its own: where the address leads elsewhere by then, the next one goes there.
const LIFETIME: Duration = Duration::from_mins(30);

/// A connection that is made when it is needed, again after a failure, and again after [`LIFETIME`].
pub(super) struct Line {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    opened_at: Instant,
}

/// Without the options, which hold the database's password.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    /// Not connected yet.
    pub(super) fn new(options: &PgConnectOptions) -> Self {
        Self {
            options: options.clone().options(PLANNING),
            connection: None,
            opened_at: Instant::now(),
        }
    }

    /// The connection, for one piece of work. It is kept only by who gives it back with [`Line::keep`]: after a failure it may be
    /// broken, and where somebody stopped waiting it is in the middle of something.
    ///
    /// # Errors
    /// When none can be made.
    pub(super) async fn take(&mut self) -> Result<PgConnection, StoreError> {
        if let Some(connection) = self.connection.take()
            && self.opened_at.elapsed() < LIFETIME
        {
            return Ok(connection);
        }
        let connection = self.options.connect().await?;
        self.opened_at = Instant::now();
        Ok(connection)
    }

    /// Keeps a connection whose work came to its end.
    pub(super) fn keep(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
    }
}
