//! How much one user, one address or one socket may ask for in a time, and how long to wait when it asked for
//! more.
//!
//! Owns the rates of queries, connection attempts and failed authentications ([`Limiter`], in memory, each
//! node for itself), of bytes ([`ByteMeter`], one a connection) and of frames ([`FrameMeter`], one a socket). Refuses to count things that last
//! (sessions, queued queries, runs): those are counted where they live; only their numbers stand in
//! [`LimitSettings`]. Asked by `http` before the upgrade and by `ws` for each frame; `app` calls
//! [`Limiter::housekeep`] each minute.

mod bytes;
mod failures;
mod frames;
mod stored;

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::ids::UserId;
pub use bytes::{ByteMeter, ByteRate};
use failures::FailureLimiter;
pub use frames::FrameMeter;
pub use stored::StoredBytes;

/// The limits of a node. `None` is what a setting of 0 means: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Queries of one user a minute, over the long run.
    pub queries_per_minute: Option<NonZeroU32>,
    /// Queries that one user may send at once; `None` = a whole minute's worth.
    pub query_burst: Option<NonZeroU32>,
    /// Frames of one socket a second, over the long run; three times as many at once.
    pub frames_per_second: Option<NonZeroU32>,
    /// Bytes from one connection.
    pub inbound: Option<ByteRate>,
    /// Connection attempts from one address a minute.
    pub connections_per_minute_per_address: Option<NonZeroU32>,
    /// Refused credentials from one address a minute; once spent, further attempts are refused unread.
    pub auth_failures_per_minute_per_address: Option<NonZeroU32>,
    /// Commands and HTTP requests of one user a minute.
    pub commands_per_minute: Option<NonZeroU32>,
    /// Text that one user keeps, in megabytes.
    pub stored_mb_per_user: Option<NonZeroU32>,
    /// Sockets that one user holds open.
    pub connections_per_user: Option<NonZeroU32>,
    /// Sessions that one user keeps.
    pub sessions_per_user: Option<NonZeroU32>,
    /// Queries that wait in one session.
    pub queue_depth: Option<NonZeroU32>,
    /// Answers being written at once for one user.
    pub runs_per_user: Option<NonZeroU32>,
    /// Answers being written at once by one node.
    pub runs_per_node: Option<NonZeroU32>,
}

/// Asked too much: which limit it was, and the wait after which asking again is accepted (if nothing else is
/// asked meanwhile). Whole milliseconds, rounded up, because that is what `retry_after_ms` can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limited by {limit}, retry after {} ms", .retry_after.as_millis())]
pub struct LimitedBy {
    /// Name of the limit, one of a closed set, fit for a metric's label.
    pub limit: &'static str,
    /// The wait.
    pub retry_after: Duration,
}

/// The rates of all users and addresses that this node sees. `C` is the source of time: governor's own unless
/// a test steps it by hand.
#[derive(Debug)]
pub struct Limiter<C: Clock = DefaultClock> {
    queries: Option<Keyed<UserId, C>>,
    commands: Option<Keyed<UserId, C>>,
    connections: Option<Keyed<AddressKey, C>>,
    auth_failures: Option<FailureLimiter<C>>,
    clock: C,
}

type Keyed<K, C> = RateLimiter<K, DefaultKeyedStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What one party can be told apart by: an IPv4 address, or the /64 that a provider hands to one customer,
/// who can choose freely among its 2^64 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AddressKey(IpAddr);

impl Limiter {
    /// A limiter that has seen nobody yet.
    pub fn new(settings: &LimitSettings) -> Self {
        Self::with_clock(settings, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limiter<C> {
    /// The same with another source of time, for tests.
    pub fn with_clock(settings: &LimitSettings, clock: C) -> Self {
        let per_address = |limit: Option<NonZeroU32>| limit.map(Quota::per_minute);
        let queries = settings
            .queries_per_minute
            .map(|rate| Quota::per_minute(rate).allow_burst(settings.query_burst.unwrap_or(rate)));
        let commands = settings.commands_per_minute.map(Quota::per_minute);
        Self {
            commands: commands.map(|quota| RateLimiter::dashmap_with_clock(quota, clock.clone())),
            queries: queries.map(|quota| RateLimiter::dashmap_with_clock(quota, clock.clone())),
            connections: per_address(settings.connections_per_minute_per_address)
                .map(|quota| RateLimiter::dashmap_with_clock(quota, clock.clone())),
            auth_failures: per_address(settings.auth_failures_per_minute_per_address)
                .map(|quota| FailureLimiter::new(quota, clock.clone())),
            clock,
        }
    }

    /// Counts a query of this user.
    ///
    /// # Errors
    ///
    /// When the user has sent too many: answer `rate_limited`, do not store the query.
    pub fn check_query(&self, user: &UserId) -> Result<(), LimitedBy> {
        check(self.queries.as_ref(), user, &self.clock, "queries_per_user")
    }

    /// Counts a command or an HTTP request of this user.
    ///
    /// # Errors
    ///
    /// When the user has sent too many: answer `rate_limited`, do not carry it out.
    pub fn check_command(&self, user: &UserId) -> Result<(), LimitedBy> {
        check(self.commands.as_ref(), user, &self.clock, "commands_per_user")
    }

    /// Counts a connection attempt from this address, whatever becomes of it.
    ///
    /// # Errors
    ///
    /// When there were too many from there: answer 429 before the upgrade.
    pub fn check_connection(&self, address: IpAddr) -> Result<(), LimitedBy> {
        check(
            self.connections.as_ref(),
            &AddressKey::of(address),
            &self.clock,
            "connections_per_address",
        )
    }

    /// Whether a credential from this address may be looked at. Counts nothing, so good tokens never run into
    /// it.
    ///
    /// # Errors
    ///
    /// When too many from there were bad: answer 429 without verifying the token.
    pub fn check_auth_failure(&self, address: IpAddr) -> Result<(), LimitedBy> {
        self.auth_failures
            .as_ref()
            .map_or(Ok(()), |failures| failures.check(AddressKey::of(address)))
    }

    /// Counts a refused credential from this address.
    ///
    /// # Errors
    ///
    /// When this one spent what was left: as [`Self::check_auth_failure`] will answer from now on.
    pub fn record_auth_failure(&self, address: IpAddr) -> Result<(), LimitedBy> {
        self.auth_failures
            .as_ref()
            .map_or(Ok(()), |failures| failures.record(AddressKey::of(address)))
    }

    /// Forgets those whose allowance is full again; without it every user and address ever seen would stay in
    /// memory. To be called each minute.
    pub fn housekeep(&self) {
        for users in [&self.queries, &self.commands].into_iter().flatten() {
            users.retain_recent();
            users.shrink_to_fit();
        }
        if let Some(connections) = &self.connections {
            connections.retain_recent();
            connections.shrink_to_fit();
        }
        if let Some(failures) = &self.auth_failures {
            failures.housekeep();
        }
    }

    /// How many users and addresses are remembered now, for a gauge.
    pub fn n_keys(&self) -> usize {
        self.queries.as_ref().map_or(0, RateLimiter::len)
            + self.commands.as_ref().map_or(0, RateLimiter::len)
            + self.connections.as_ref().map_or(0, RateLimiter::len)
            + self.auth_failures.as_ref().map_or(0, FailureLimiter::n_keys)
    }
}

impl LimitedBy {
    fn new(limit: &'static str, wait: Duration) -> Self {
        let retry_after_ms = wait.as_nanos().div_ceil(1_000_000);
        Self {
            limit,
            retry_after: Duration::from_millis(u64::try_from(retry_after_ms).unwrap_or(u64::MAX)),
        }
    }
}

impl AddressKey {
    fn of(address: IpAddr) -> Self {
        // A dual-stack listener reports IPv4 peers as ::ffff:a.b.c.d, which all share one /64.
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.into()),
            IpAddr::V6(v6) => Self(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into()),
        }
    }
}

fn check<K: std::hash::Hash + Eq + Clone, C: Clock>(
    limiter: Option<&Keyed<K, C>>,
    key: &K,
    clock: &C,
    limit: &'static str,
) -> Result<(), LimitedBy> {
    let Some(limiter) = limiter else { return Ok(()) };
    limiter.check_key(key).map_err(|until| {
        let now = clock.now();
        LimitedBy::new(limit, until.earliest_possible().duration_since(now).into())
    })
}

#[cfg(test)]
mod tests;
