//! What a connection or a request may use, and what it may ask for: the verbs of the contract, once, for WebSocket and HTTP.
//!
//! Owns the checks that depend on settings (rates, models) and the translation of outcomes into refusals. Refuses to know
//! sockets and status codes: `ws` and `http` put the results on their wire. `app` builds it.

mod ask;
pub mod export;
mod notifications;
mod quota;
mod revocation;
mod sessions;
mod tickets;
mod users;
pub mod views;

pub use revocation::{RevocationBell, RevocationWatch};
pub use sessions::CatchUp;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{AuthError, Authenticator};
use crate::clock::Clock;
use crate::config::Settings;
use crate::feed::{Feed, PresenceBook};
use crate::ids::NodeId;
use crate::limits::{LimitedBy, Limiter, StoredBytes};
use crate::metrics::Metrics;
use crate::notify::hub::Hub;
use crate::notify::listener::ListenerState;
use crate::notify::notifier::Notifier;
use crate::notify::turnstile::Turnstile;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::text::Timestamp;
use crate::runs::Runs;
use crate::shutdown::Tasks;
use crate::store::append::Appender;
use crate::store::quota::StorageMeter;
use crate::store::{Store, StoreError};

/// Everything a connection or a request may use.
pub struct Service {
    /// The settings.
    pub settings: Settings,
    /// This process.
    pub node: NodeId,
    /// Checks tokens.
    pub auth: Authenticator,
    /// Rates.
    pub limiter: Limiter,
    /// How much text users keep, as it was found lately.
    pub stored: StoredBytes,
    /// Sums it up where that is too long ago.
    pub storage_meter: StorageMeter,
    /// The time.
    pub clock: Clock,
    /// The database.
    pub store: Store,
    /// The way into the log.
    pub appender: Appender,
    /// The rooms and the users.
    pub hub: Arc<Hub>,
    /// Where connections pass that were told something with thousands of others.
    pub turnstile: Turnstile,
    /// Keeps rooms in step.
    pub feed: Feed,
    /// The runs.
    pub runs: Arc<Runs>,
    /// Tells other processes.
    pub notifier: Notifier,
    /// Whether NOTIFY is heard.
    pub listener: ListenerState,
    /// What operators watch.
    pub metrics: Metrics,
    /// Makes what was revoked be looked at.
    pub revocations: RevocationBell,
    /// Who is connected here, to be written.
    pub presence: PresenceBook,
    /// Starts tasks.
    pub tasks: Tasks,
}

/// The rest holds what people wrote, and has no business in a log.
impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("node", &self.node)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Now, as frames write it.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now())
    }

    /// How long a token that ends at this moment still lives. One that ended within the leeway has a second, so that its
    /// holder is told what happened.
    pub fn lifetime(&self, expires_at: time::OffsetDateTime) -> Duration {
        let left = expires_at - self.clock.now();
        Duration::try_from(left)
            .unwrap_or_default()
            .max(Duration::from_secs(1))
    }

    /// What a client is told whose token was not accepted; one that could not be checked may be good.
    pub(crate) fn refuse_token(&self, error: AuthError) -> Refusal {
        tracing::debug!(reason = error.label(), "a token was refused");
        self.metrics.refusals.token(error.label());
        if error.is_retryable() {
            let content = "Tokens cannot be checked now; try again";
            return Refusal::new(ErrorCode::Internal, content).after(Duration::from_secs(1));
        }
        Refusal::new(ErrorCode::Unauthorized, error.client_text())
    }
}

/// What a client is told when the database failed: the cause is in the log.
pub(crate) fn unavailable(error: &StoreError) -> Refusal {
    tracing::error!(error = %error, kind = error.label(), "the database failed");
    Refusal::internal()
}

/// What a client is told when it asked too often.
fn limited(limit: &LimitedBy) -> Refusal {
    Refusal::new(
        ErrorCode::RateLimited,
        format!("Too many requests ({}); try again later", limit.limit),
    )
    .after(limit.retry_after)
}

/// A limit of the settings as the number that the store takes: 0 = off.
pub(crate) fn limit_or_off(limit: Option<std::num::NonZeroU32>) -> u32 {
    limit.map_or(0, std::num::NonZeroU32::get)
}
