//! Where an issuer publishes its keys, and how often and how long to ask there.
//!
//! Owns the rules that need no fetch: which addresses are safe to take keys from, and how long an answer
//! counts as fresh. Used by [`super`], and by `config` to check the address before the start.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

/// How often and how long. The defaults are those of the issuers' own libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksPolicy {
    /// For one fetch as a whole, and for how long a token waits for it. 5 s.
    pub timeout: Duration,
    /// Least time between two fetches, failed ones too. 30 s.
    pub cool_down: Duration,
    /// How long keys count as fresh where the answer does not say. 10 min.
    pub default_ttl: Duration,
    /// Least that `Cache-Control: max-age` is taken for. 60 s.
    pub min_ttl: Duration,
    /// Most that it is taken for, so that a withdrawn key stops to work within this time. 24 h.
    pub max_ttl: Duration,
    /// For how long keys that are no longer fresh are used while the issuer does not answer. 24 h.
    pub stale_for: Duration,
}

/// Where an issuer publishes its keys: `https`, or `http` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl(Url);

/// A text that is no [`JwksUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an https address (http is accepted only for this machine, such as http://127.0.0.1:8000/jwks.json)"
)]
pub struct InvalidJwksUrl;

impl JwksPolicy {
    pub(in crate::auth) fn ttl(self, cache_control: Option<&str>) -> Duration {
        let directives = || cache_control.unwrap_or_default().split(',').map(str::trim);
        let max_age = directives().find_map(|directive| {
            let (name, seconds) = directive.split_once('=')?;
            let seconds = seconds.trim_matches('"').parse().ok()?;
            name.eq_ignore_ascii_case("max-age")
                .then(|| Duration::from_secs(seconds))
        });
        let uncached = |d: &str| d.eq_ignore_ascii_case("no-store") || d.eq_ignore_ascii_case("no-cache");
        let asked = if directives().any(uncached) {
            Some(Duration::ZERO)
        } else {
            max_age
        };
        asked
            .unwrap_or(self.default_ttl)
            .max(self.min_ttl)
            .min(self.max_ttl)
    }
}

impl Default for JwksPolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            cool_down: Duration::from_secs(30),
            default_ttl: Duration::from_mins(10),
            min_ttl: Duration::from_mins(1),
            max_ttl: Duration::from_hours(24),
            stale_for: Duration::from_hours(24),
        }
    }
}

impl JwksUrl {
    /// Checks an address.
    ///
    /// # Errors
    ///
    /// When it is no `https` address, nor an `http` one of this machine: whoever sits between could hand us
    /// keys.
    pub fn new(text: &str) -> Result<Self, InvalidJwksUrl> {
        let url = Url::parse(text).map_err(|_| InvalidJwksUrl)?;
        let accepted =
            url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)));
        if accepted {
            Ok(Self(url))
        } else {
            Err(InvalidJwksUrl)
        }
    }

    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the client with the timeout and without redirects"
    )]
    pub(super) fn client(&self, timeout: Duration) -> reqwest::Result<reqwest::Client> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout);
        // A proxy set for the outside world must not see requests to this machine.
        let builder = if is_local(&self.0) {
            builder.no_proxy()
        } else {
            builder.https_only(true)
        };
        builder.build()
    }
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
