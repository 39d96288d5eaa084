//! The load: clients that connect, ask, and count what comes back.
//!
//! Owns what of a frame is looked at: its kind, the provider's stamps in its text, a few fields of `welcome`. Refuses to be
//! content with less: an answer whose tokens are not all there, or more than were sent, is counted as lost or doubled.
//! Called by the suites.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
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
    asked: usize,
}

impl Client {
    /// Connects as the user of this number, and waits until the catch-up is over.
    pub(super) async fn open(target: &Target, number: usize) -> anyhow::Result<Self> {
        let token = target.token(number)?;
        let opening = async {
            let socket = Socket::open(target.address, target.path, token.as_deref()).await?;
            let mut client = Self {
                socket,
                session: String::new(),
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
            if has(frame, "\"event\":\"welcome\"") {
                field(frame, "\"session_id\":\"")
                    .unwrap_or_default()
                    .clone_into(&mut self.session);
            } else if has(frame, "\"event\":\"live\"") {
                return Ok(());
            }
        }
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

/// Connects users `0..count`, a few at a time.
pub(super) async fn open_all(target: &Target, count: usize) -> anyhow::Result<Vec<Client>> {
    open_these(target, 0..count).await
}

/// Connects these users, a few at a time.
pub(super) async fn open_these(
    target: &Target,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<Vec<Client>> {
    use futures_util::{StreamExt, TryStreamExt};
    futures_util::stream::iter(numbers)
        .map(|number| Client::open(target, number))
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

/// Handshakes under way at once.
const AT_A_TIME: usize = 64;

#[cfg(test)]
mod tests;
