//! What was turned away: by limits, and for its token.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::Counts;

/// The limits that refuse something, by the names that clients are told.
pub const LIMITS: [&str; 11] = [
    "auth_failures_per_address",
    "commands_per_user",
    "connections_per_address",
    "connections_per_user",
    "cost_per_day",
    "frames_per_socket",
    "queries_per_user",
    "queue_depth",
    "sessions_per_user",
    "stored_bytes_per_user",
    "tokens_per_day",
];

/// Counts refusals.
#[derive(Clone, Debug)]
pub struct Refusals {
    limits: Counts,
    tokens: Counts,
    revocations_fresh: Gauge,
}

impl Refusals {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let limits = Counts::register(
            registry,
            "limit_refusals",
            "What limits refused, or would have refused in a dry run",
            "limit",
            LIMITS,
        );
        let tokens = Counts::register(
            registry,
            "tokens_refused",
            "Tokens and tickets that were not accepted, by reason",
            "reason",
            [],
        );
        let revocations_fresh = Gauge::default();
        registry.register(
            "revocations_fresh",
            "1 while what was revoked is read each second; 0 while the database does not answer and an older list counts",
            revocations_fresh.clone(),
        );
        Self {
            limits,
            tokens,
            revocations_fresh,
        }
    }

    /// A limit refused something; one of [`LIMITS`].
    pub fn by_limit(&self, limit: &'static str) {
        self.limits.count(limit);
    }

    /// All reasons for which tokens are refused: each is shown from the start.
    pub fn reasons_for_tokens(&self, reasons: impl Iterator<Item = &'static str>) {
        for reason in reasons {
            self.tokens.show(reason);
        }
    }

    /// A token was refused, for one of these reasons.
    pub fn token(&self, reason: &'static str) {
        self.tokens.count(reason);
    }

    /// What was revoked is known up to now.
    pub fn revocations_are_fresh(&self) {
        self.revocations_fresh.set(1);
    }

    /// What was revoked could not be read.
    pub fn revocations_are_stale(&self) {
        self.revocations_fresh.set(0);
    }
}
