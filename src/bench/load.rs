//! The load: clients that connect, ask, and count what comes back.
//!
//! Owns what of a frame is looked at: its kind, the provider's stamps in its text, a few fields of `welcome`. Refuses to be
//! content with less: an answer whose tokens are not all there, or more than were sent, is counted as lost or doubled.
//! Called by the suites.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::figures::{Times, now_ns};
use super::provider::{Script, stamps};
use super::socket::Socket;
use crate::auth::{MintRequest, mint};
use crate::clock::Clock;
use crate::ids::UserId;
use crate::secret::Secret;

/// How long anything that should happen may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long a token is good: longer than any run.
const TOKEN_LIFE: Duration = Duration::from_hours(24);

/// Where the load goes, and who it says it is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) path: &'static str,
    /// Signs the tokens; a floor takes none.
    pub(super) secret: Option<Secret>,
    /// Told apart from earlier runs against the same database.
    pub(super) run: String,
}

impl Target {
    /// The name of a user of this run.
    pub(super) fn user(&self, number: usize) -> String {
        format!("bench-{}-{number}", self.run)
    }

    /// Where a client comes back to its session.
    fn resuming(&self, session: &str, after: u64) -> String {
        let path = if self.secret.is_some() {
            self.path
        } else {
            "/resume"
        };
        format!("{path}?session_id={session}&after={after}")
    }

    fn token(&self, number: usize) -> anyhow::Result<Option<String>> {
        let Some(secret) = &self.secret else {
            return Ok(None);
        };
        let request = MintRequest {
            user_id: &UserId::new(&self.user(number))?,
            ttl: TOKEN_LIFE,
            issuer: None,
            audience: None,
            authorized_party: None,
            scope: None,
            token_id: uuid::Uuid::new_v4(),
        };
        Ok(Some(mint(secret, &request, Clock::system().now())?))
    }
}

/// What many answers took.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// From the question to the whole answer.
    pub(super) answers: Times,
    /// From the question to the first token, of those that were streamed.
    pub(super) firsts: Times,
    /// From the provider's write to the arrival, each token.
    pub(super) ages: Times,
    pub(super) answered: usize,
    pub(super) tokens: usize,
    pub(super) lost: usize,
    pub(super) doubled: usize,
}

impl Tally {
    /// Adds what another client counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.answers.merge(other.answers);
        self.firsts.merge(other.firsts);
        self.ages.merge(other.ages);
        self.answered += other.answered;
        self.tokens += other.tokens;
        self.lost += other.lost;
        self.doubled += other.doubled;
    }
}

/// One connected client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: Socket,
    pub(super) session: String,
    /// `seq` of what was sent before `live`, in the order of arrival.
    pub(super) replayed: Vec<u64>,
    /// Whose it is.
    pub(super) number: usize,
    asked: usize,
}

impl Client {
    /// Connects as the user of this number, and waits until the catch-up is over.
    pub(super) async fn open(target: &Target, number: usize) -> anyhow::Result<Self> {
        Self::open_at(target, number, target.path).await
    }

    /// Comes back to a session, and waits until what came after `after` was sent.
    pub(super) async fn resume(
        target: &Target,
        number: usize,
        session: &str,
        after: u64,
    ) -> anyhow::Result<Self> {
        Self::open_at(target, number, &target.resuming(session, after)).await
    }

    async fn open_at(target: &Target, number: usize, path: &str) -> anyhow::Result<Self> {
        let token = target.token(number)?;
        let opening = async {
            let socket = Socket::open(target.address, path, token.as_deref()).await?;
            let mut client = Self {
                socket,
                session: String::new(),
                replayed: Vec::new(),
                number,
                asked: 0,
            };
            client.until_live().await?;
            Ok(client)
        };
        timeout(PATIENCE, opening)
            .await
            .context("a handshake took too long")?
    }

    async fn until_live(&mut self) -> anyhow::Result<()> {
        loop {
            let frame = self.socket.next().await?;
            if self.session.is_empty()
                && let Some(session) = field(frame, "\"session_id\":\"")
            {
                session.clone_into(&mut self.session);
            }
            if has(frame, "\"event\":\"live\"") {
                return Ok(());
            }
            if has(frame, "\"replay\":true") {
                self.replayed.extend(seq(frame));
            }
        }
    }

    /// Gives a command and waits for its answer; refuses an `error`.
    pub(super) async fn command(&mut self, name: &str, args: &str) -> anyhow::Result<()> {
        self.asked += 1;
        let id = format!("c{}", self.asked);
        let frame =
            format!("{{\"type\":\"command\",\"content\":\"{name}\",\"args\":{args},\"id\":\"{id}\"}}");
        self.socket.send(frame.as_bytes()).await?;
        let re = format!("\"re\":\"{id}\"");
        let answering = async {
            loop {
                let frame = self.socket.next().await?;
                if has(frame, &re) {
                    ensure!(
                        kind(frame) != b"error",
                        "the server says: {}",
                        String::from_utf8_lossy(frame)
                    );
                    return Ok(());
                }
            }
        };
        timeout(PATIENCE, answering)
            .await
            .context("a command was not answered")?
    }

    /// Asks, and waits for the whole answer.
    pub(super) async fn ask(&mut self, script: &Script, tally: &mut Tally) -> anyhow::Result<()> {
        self.asked += 1;
        let question = format!(
            "{{\"type\":\"query\",\"id\":\"q{}\",\"content\":\"{script} {FILLER}\"}}",
            self.asked
        );
        let asked_at = now_ns();
        self.socket.send(question.as_bytes()).await?;
        timeout(PATIENCE + script.lasts(), self.answer(script, asked_at, tally))
            .await
            .context("an answer was lost")?
    }

    async fn answer(&mut self, script: &Script, asked_at: u64, tally: &mut Tally) -> anyhow::Result<()> {
        let mut streamed = 0;
        loop {
            let frame = self.socket.next().await?;
            let now = now_ns();
            match kind(frame) {
                b"delta" => {
                    for stamp in stamps(frame) {
                        if streamed == 0 {
                            tally.firsts.add(now - asked_at);
                        }
                        tally.ages.add(now.saturating_sub(stamp));
                        streamed += 1;
                    }
                }
                b"response" => {
                    // What the last deltas had not shown yet arrives with the whole.
                    let mut whole = 0;
                    for stamp in stamps(frame) {
                        whole += 1;
                        if whole > streamed && streamed > 0 {
                            tally.ages.add(now.saturating_sub(stamp));
                        }
                    }
                    tally.answers.add(now - asked_at);
                    tally.answered += 1;
                    tally.tokens += streamed.max(whole);
                    tally.lost += script.tokens.saturating_sub(streamed.max(whole));
                    tally.doubled += streamed.max(whole).saturating_sub(script.tokens);
                    return Ok(());
                }
                b"error" => bail!("the server says: {}", String::from_utf8_lossy(frame)),
                _ => {}
            }
        }
    }
}

/// Sixty-odd characters, so that a question is no shorter than people's.
const FILLER: &str = "What would a careful engineer measure first, and what then? Say why.";

/// The kind of a frame: the server writes it first.
pub(super) fn kind(frame: &[u8]) -> &[u8] {
    let rest = frame.strip_prefix(b"{\"type\":\"").unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b'"').unwrap_or_default();
    rest.get(..end).unwrap_or_default()
}

/// Whether a frame has this text.
pub(super) fn has(frame: &[u8], text: &str) -> bool {
    std::str::from_utf8(frame).is_ok_and(|frame| frame.contains(text))
}

/// What stands between this beginning and the next quote.
pub(super) fn field<'a>(frame: &'a [u8], beginning: &str) -> Option<&'a str> {
    let frame = std::str::from_utf8(frame).ok()?;
    let at = frame.find(beginning)? + beginning.len();
    frame.get(at..)?.split('"').next()
}

/// The place in the session that a frame names.
pub(super) fn seq(frame: &[u8]) -> Option<u64> {
    let frame = std::str::from_utf8(frame).ok()?;
    let rest = frame.split("\"seq\":").nth(1)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Connects users `0..count`, a few at a time.
pub(super) async fn open_all(target: &Target, count: usize) -> anyhow::Result<Vec<Client>> {
    open_these(std::slice::from_ref(target), 0..count).await
}

/// Connects these users, a few at a time, to these places in turn.
pub(super) async fn open_these(targets: &[Target], numbers: Range<usize>) -> anyhow::Result<Vec<Client>> {
    let nth = |number: usize| targets.iter().cycle().nth(number % targets.len().max(1));
    stream::iter(numbers)
        .map(|number| async move { Client::open(nth(number).context("nowhere to go")?, number).await })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// Connects one user many times, a few at a time.
pub(super) async fn open_as(target: &Target, number: usize, count: usize) -> anyhow::Result<Vec<Client>> {
    stream::iter(0..count)
        .map(|_| Client::open(target, number))
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// Handshakes under way at once.
const AT_A_TIME: usize = 64;

#[cfg(test)]
mod tests;
