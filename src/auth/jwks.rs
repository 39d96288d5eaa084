//! Fetches an issuer's published keys (JWKS) and keeps them fresh.
//!
//! One task, [`KeyRefresher`], does all fetching; whoever verifies reads what it last published and may only
//! ask it to look again. So there is never more than one fetch under way, nothing of it is lost when a client
//! goes away, and tokens with invented key ids cost the issuer one request per cool-down, however many nodes'
//! clients send them. Refuses plain HTTP beyond this machine, redirects, and long answers.

mod source;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Header;
use reqwest::header::CACHE_CONTROL;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::key_set::{KeySet, KeySetError};
use super::{AuthError, AuthSetupError, IssuerSettings, Principal, token};
pub use source::{InvalidJwksUrl, JwksPolicy, JwksUrl};

const MAX_BODY_BYTES: usize = 256 * 1024;

/// The readers' side.
#[derive(Debug)]
pub(super) struct Jwks {
    published: watch::Receiver<Published>,
    /// The fetch after which a token still lacked its key. A number rather than a nudge: a nudge given while
    /// the fetch was under way would cause one more after it.
    wanted: watch::Sender<u64>,
    timeout: Duration,
}

/// The task that fetches. Run it for as long as the [`super::Authenticator`] is used.
#[derive(Debug)]
#[must_use = "without it no key is ever fetched and every token is refused"]
pub struct KeyRefresher {
    client: reqwest::Client,
    url: JwksUrl,
    policy: JwksPolicy,
    issuer: Arc<IssuerSettings>,
    published: watch::Sender<Published>,
    wanted: watch::Receiver<u64>,
}

/// What the last fetch left behind.
#[derive(Clone, Debug)]
struct Published {
    /// How many fetches there were, failed ones too.
    n_fetches: u64,
    keys: Option<Arc<KeySet>>,
    usable_until: Instant,
    /// No fetch before this.
    cool_down_until: Instant,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("request failed")]
    Request(#[from] reqwest::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("answer is longer than {MAX_BODY_BYTES} bytes")]
    TooLong,
    #[error(transparent)]
    Document(#[from] KeySetError),
}

pub(super) fn start(
    url: &JwksUrl,
    policy: JwksPolicy,
    issuer: &Arc<IssuerSettings>,
) -> Result<(Jwks, KeyRefresher), AuthSetupError> {
    let client = url.client(policy.timeout).map_err(AuthSetupError::Client)?;
    let now = Instant::now();
    let nothing = Published {
        n_fetches: 0,
        keys: None,
        usable_until: now,
        cool_down_until: now,
    };
    let (sender, receiver) = watch::channel(nothing);
    let (wish, wanted) = watch::channel(0);
    let jwks = Jwks {
        published: receiver,
        wanted: wish,
        timeout: policy.timeout,
    };
    let (url, issuer) = (url.clone(), Arc::clone(issuer));
    Ok((
        jwks,
        KeyRefresher {
            client,
            url,
            policy,
            issuer,
            published: sender,
            wanted,
        },
    ))
}

impl Jwks {
    pub(super) async fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Principal, AuthError> {
        let header = token::unverified_header(token)?;
        let mut published = self.published.clone();
        // Marked as seen before looking: a fetch that ends in between then counts as a change.
        let seen = published.borrow_and_update().clone();
        match seen.verify(&header, token, now) {
            Err(AuthError::UnknownKey | AuthError::KeysUnavailable) if seen.may_fetch() => {}
            outcome => return outcome,
        }
        self.want_another_than(seen.n_fetches);
        // Elapsed or closed: decide on what is there.
        let _ = tokio::time::timeout(self.timeout, published.changed()).await;
        let seen = published.borrow().clone();
        seen.verify(&header, token, now)
    }

    /// Only ever upwards, so that a slow caller does not undo the wish of one that saw more.
    fn want_another_than(&self, n_fetches: u64) {
        self.wanted.send_if_modified(|wanted| {
            let newer = n_fetches > *wanted;
            *wanted = n_fetches.max(*wanted);
            newer
        });
    }

    pub(super) fn is_ready(&self) -> bool {
        self.published.borrow().usable().is_some()
    }
}

impl Published {
    fn usable(&self) -> Option<&KeySet> {
        self.keys
            .as_deref()
            .filter(|_| Instant::now() < self.usable_until)
    }

    fn may_fetch(&self) -> bool {
        Instant::now() >= self.cool_down_until
    }

    fn verify(&self, header: &Header, token: &str, now: OffsetDateTime) -> Result<Principal, AuthError> {
        self.usable()
            .ok_or(AuthError::KeysUnavailable)?
            .verify(header, token, now)
    }
}

impl KeyRefresher {
    /// Fetches at once, then whenever the keys grow old or a token names an unknown one. Ends when the last
    /// authenticator is dropped; may be dropped at any point.
    pub async fn run(mut self) {
        loop {
            let fresh_for = match self.fetch().await {
                Ok((keys, ttl)) => self.publish(keys, ttl),
                Err(error) => self.keep(&error),
            };
            if !self.wait(fresh_for).await {
                return;
            }
        }
    }

    fn publish(&self, keys: KeySet, ttl: Duration) -> Duration {
        tracing::debug!(
            n_keys = keys.n_keys(),
            ttl_s = ttl.as_secs(),
            "fetched the issuer's keys"
        );
        let now = Instant::now();
        self.published.send_modify(|published| {
            published.n_fetches += 1;
            published.keys = Some(Arc::new(keys));
            published.usable_until = now + ttl + self.policy.stale_for;
            published.cool_down_until = now + self.policy.cool_down;
        });
        ttl
    }

    /// The keys of an earlier fetch stay in use; those who wait for this one learn that it brought nothing.
    fn keep(&self, error: &FetchError) -> Duration {
        let error: &dyn std::error::Error = error;
        let issuer = self.issuer.issuer.as_deref();
        tracing::warn!(error, issuer, "cannot fetch the issuer's keys");
        let cool_down_until = Instant::now() + self.policy.cool_down;
        self.published.send_modify(|published| {
            published.n_fetches += 1;
            published.cool_down_until = cool_down_until;
        });
        self.policy.cool_down
    }

    /// Waits out the cool-down, then until the keys are no longer fresh or someone wants others. `false` when
    /// nobody is left to want any.
    async fn wait(&mut self, fresh_for: Duration) -> bool {
        let now = Instant::now();
        let n_fetches = self.published.borrow().n_fetches;
        let next = async {
            tokio::time::sleep_until(now + self.policy.cool_down).await;
            tokio::select! {
                () = tokio::time::sleep_until(now + fresh_for) => true,
                wish = self.wanted.wait_for(|wanted| *wanted == n_fetches) => wish.is_ok(),
            }
        };
        tokio::select! {
            go_on = next => go_on,
            () = self.published.closed() => false,
        }
    }

    async fn fetch(&self) -> Result<(KeySet, Duration), FetchError> {
        let mut response = self.client.get(self.url.url()).send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let cache_control = response
            .headers()
            .get(CACHE_CONTROL)
            .and_then(|value| value.to_str().ok());
        let ttl = self.policy.ttl(cache_control);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok((KeySet::parse(&body, &self.issuer)?, ttl))
    }
}
