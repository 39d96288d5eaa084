//! The fetching of published keys, against a real HTTP server on this machine that counts and misbehaves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use futures_util::future::join_all;
use jsonwebtoken::Algorithm;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::{AuthError, Authenticator, JwksPolicy, JwksUrl, KeyRefresher, KeySource};
use super::key_set::{eddsa_token, jwk};
use super::{NOW, ed25519, issuer, only};
use crate::clock::Clock;

const TICK: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::from_hours(1);

/// Keys that grow old at once and are looked for again at once, but stay usable.
const RESTLESS: JwksPolicy = JwksPolicy {
    timeout: Duration::from_secs(5),
    cool_down: TICK,
    default_ttl: TICK,
    min_ttl: TICK,
    max_ttl: TICK,
    stale_for: NEVER,
};

/// Keys that stay fresh, while a token may ask for others at any time.
const CALM: JwksPolicy = JwksPolicy {
    cool_down: Duration::ZERO,
    default_ttl: NEVER,
    max_ttl: NEVER,
    ..RESTLESS
};

#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

/// An issuer's website; stops with the test.
struct Issuer {
    answer: Arc<Mutex<Answer>>,
    paths: mpsc::UnboundedReceiver<String>,
    url: JwksUrl,
    tasks: JoinSet<()>,
}

type Shared = (Arc<Mutex<Answer>>, mpsc::UnboundedSender<String>);

impl Issuer {
    async fn start(answer: Answer) -> Self {
        let answer = Arc::new(Mutex::new(answer));
        let (sender, paths) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = JwksUrl::new(&format!("http://{}/jwks.json", listener.local_addr().unwrap())).unwrap();
        let app = Router::new()
            .fallback(respond)
            .with_state((answer.clone(), sender));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            answer,
            paths,
            url,
            tasks,
        }
    }

    fn authenticator(&self, policy: JwksPolicy) -> (Authenticator, KeyRefresher) {
        let source = KeySource::Published {
            url: self.url.clone(),
            policy,
        };
        let clock = Clock::manual(NOW).0;
        let settings = only(issuer(source));
        let (authenticator, mut refreshers) = Authenticator::from_settings(&settings, clock).unwrap();
        (authenticator, refreshers.pop().unwrap())
    }

    /// An authenticator whose keys are fetched, and whose first fetch is no longer among `paths`.
    async fn running(&mut self, policy: JwksPolicy) -> Authenticator {
        let (authenticator, refresher) = self.authenticator(policy);
        self.tasks.spawn(refresher.run());
        authenticator.verify(&token(1)).await.unwrap();
        self.fetched().await;
        authenticator
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    async fn fetched(&mut self) -> String {
        self.paths.recv().await.unwrap()
    }
}

async fn respond(State((answer, paths)): State<Shared>, request: axum::extract::Request) -> Response<Body> {
    paths.send(request.uri().path().to_owned()).ok();
    let answer = answer.lock().unwrap().clone();
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

fn token(n: u8) -> String {
    eddsa_token(&json!({ "kid": n.to_string() }), &ed25519(n))
}

fn keys(numbers: &[u8]) -> Answer {
    let keys: Vec<_> = numbers
        .iter()
        .map(|n| jwk(&n.to_string(), &ed25519(*n), Algorithm::EdDSA))
        .collect();
    Answer {
        status: 200,
        headers: Vec::new(),
        body: json!({ "keys": keys }).to_string(),
    }
}

#[tokio::test]
async fn it_is_ready_once_the_keys_are_fetched_and_tokens_wait_for_that() {
    let mut issuer = Issuer::start(keys(&[1])).await;
    let (authenticator, refresher) = issuer.authenticator(CALM);
    assert!(!authenticator.is_ready());
    issuer.tasks.spawn(refresher.run());
    assert!(authenticator.verify(&token(1)).await.is_ok());
    assert!(authenticator.is_ready());
}

#[tokio::test]
async fn without_its_task_tokens_are_refused_as_our_trouble_after_the_timeout() {
    let issuer = Issuer::start(keys(&[1])).await;
    let (authenticator, _refresher) = issuer.authenticator(JwksPolicy {
        timeout: TICK,
        ..CALM
    });
    let error = authenticator.verify(&token(1)).await.unwrap_err();
    assert_eq!(error, AuthError::KeysUnavailable);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_the_issuer_nothing_within_the_cool_down() {
    let mut issuer = Issuer::start(keys(&[1])).await;
    let authenticator = issuer
        .running(JwksPolicy {
            cool_down: NEVER,
            ..CALM
        })
        .await;
    let flood = async {
        for n in 2..=200 {
            assert_eq!(authenticator.verify(&token(n)).await, Err(AuthError::UnknownKey));
        }
    };
    tokio::time::timeout(CALM.timeout, flood)
        .await
        .expect("none of them waits for a fetch");
    assert!(issuer.paths.try_recv().is_err(), "no further fetch");
    assert!(authenticator.verify(&token(1)).await.is_ok());
}

#[tokio::test]
async fn all_tokens_of_a_new_key_wait_for_one_fetch() {
    let mut issuer = Issuer::start(keys(&[1])).await;
    let authenticator = issuer.running(CALM).await;
    issuer.answers(keys(&[1, 2]));
    let new = token(2);
    let outcomes = join_all((0..50).map(|_| authenticator.verify(&new))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    issuer.fetched().await;
    assert!(issuer.paths.try_recv().is_err(), "fifty tokens, one fetch");
}

#[tokio::test]
async fn keys_are_looked_for_again_when_they_grow_old() {
    let mut issuer = Issuer::start(keys(&[1])).await;
    let authenticator = issuer.running(RESTLESS).await;
    issuer.answers(keys(&[2]));
    // The first may still have carried the old key; when the third begins, the second has been taken over.
    issuer.fetched().await;
    issuer.fetched().await;
    issuer.fetched().await;
    assert_eq!(
        authenticator.verify(&token(1)).await,
        Err(AuthError::UnknownKey),
        "withdrawn"
    );
    assert!(authenticator.verify(&token(2)).await.is_ok());
}

#[tokio::test]
async fn old_keys_keep_working_whatever_the_issuer_answers() {
    let good = keys(&[2]).body;
    let answer = |status, body: &str| Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
    };
    let redirect = Answer {
        status: 302,
        headers: vec![("location", "/elsewhere")],
        body: good.clone(),
    };
    let too_long = format!("{}{good}", " ".repeat(256 * 1024));
    let cases = [
        ("an error", answer(500, &good)),
        ("a redirect", redirect),
        ("an error page", answer(200, "<html>")),
        ("no keys", answer(200, r#"{"keys":[]}"#)),
        ("too many bytes", answer(200, &too_long)),
    ];
    for (name, broken) in cases {
        let mut issuer = Issuer::start(keys(&[1])).await;
        let authenticator = issuer.running(RESTLESS).await;
        issuer.answers(broken);
        for _ in 0..3 {
            assert_eq!(
                issuer.fetched().await,
                "/jwks.json",
                "{name}: no redirect is followed"
            );
        }
        assert!(authenticator.verify(&token(1)).await.is_ok(), "{name}");
        assert!(
            authenticator.verify(&token(2)).await.is_err(),
            "{name}: nothing of the answer is used"
        );
        assert!(authenticator.is_ready(), "{name}");
    }
}

#[tokio::test]
async fn keys_that_are_too_old_are_not_used() {
    let mut issuer = Issuer::start(keys(&[1])).await;
    let authenticator = issuer
        .running(JwksPolicy {
            stale_for: Duration::ZERO,
            ..RESTLESS
        })
        .await;
    issuer.answers(Answer {
        status: 500,
        headers: Vec::new(),
        body: String::new(),
    });
    for _ in 0..3 {
        issuer.fetched().await;
    }
    assert!(!authenticator.is_ready());
    assert_eq!(
        authenticator.verify(&token(1)).await,
        Err(AuthError::KeysUnavailable)
    );
}

#[tokio::test]
async fn the_task_ends_with_the_last_authenticator() {
    let issuer = Issuer::start(keys(&[1])).await;
    let (authenticator, refresher) = issuer.authenticator(JwksPolicy {
        cool_down: NEVER,
        ..CALM
    });
    drop(authenticator);
    tokio::time::timeout(Duration::from_secs(5), refresher.run())
        .await
        .unwrap();
}

#[test]
fn freshness_is_what_the_issuer_says_within_bounds() {
    let cases = [
        (None, 600),
        (Some(""), 600),
        (Some("public"), 600),
        (Some("max-age=300"), 300),
        (Some("public, MAX-AGE=300, must-revalidate"), 300),
        (Some("max-age=\"300\""), 300),
        (Some("max-age=1"), 60),
        (Some("max-age=99999999"), 86_400),
        (Some("max-age=-1"), 600),
        (Some("max-age=x"), 600),
        (Some("s-maxage=5"), 600),
        (Some("no-store"), 60),
        (Some("max-age=300, no-cache"), 60),
    ];
    for (cache_control, seconds) in cases {
        let ttl = JwksPolicy::default().ttl(cache_control);
        assert_eq!(ttl, Duration::from_secs(seconds), "{cache_control:?}");
    }
}

#[test]
fn keys_come_over_https_or_from_this_machine() {
    for good in [
        "https://issuer.test/.well-known/jwks.json",
        "http://127.0.0.1:8000/jwks",
        "http://[::1]/jwks",
        "http://localhost:8000/jwks",
    ] {
        assert!(JwksUrl::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "issuer.test",
        "http://issuer.test/jwks",
        "http://127.0.0.1.issuer.test/jwks",
        "http://localhost.issuer.test/jwks",
        "http://10.0.0.1/jwks",
        "file:///etc/jwks.json",
        "ftp://localhost/jwks",
        "data:application/json,{}",
    ] {
        assert!(JwksUrl::new(bad).is_err(), "{bad}");
    }
}
