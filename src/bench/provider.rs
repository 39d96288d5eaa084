//! The scripted provider: an HTTP server of chat completions that writes the tokens that the question asks for.
//!
//! A question holds `[[bench tokens=64 together=1 every_ms=20]]`: so many tokens, so many of them in one write, so long between
//! writes. Each token begins with `@<ns>@`, this process's monotonic time at its write, so that the load knows each
//! token's age. It runs on a thread of its own and does no more than a socket needs. Refuses everything but streams. Called
//! by `bed`; the load reads the stamps.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::figures::now_ns;
use crate::http::listen;

/// A longer request than any of the suites makes.
const MAX_REQUEST: usize = 8 * 1024 * 1024;

/// What an answer is to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) tokens: usize,
    /// How many tokens go into one write.
    pub(super) together: usize,
    /// Between two writes; 0 = as fast as it goes.
    pub(super) every_ms: u64,
}

impl Script {
    /// A short answer in one write, 330 characters with the stamps: what is measured is the way, not the words.
    pub(super) const AT_ONCE: Self = Self {
        tokens: 15,
        together: 15,
        every_ms: 0,
    };

    /// How long the provider takes for it, if it waits.
    pub(super) fn lasts(&self) -> Duration {
        let writes = self.tokens.div_ceil(self.together.max(1));
        Duration::from_millis(self.every_ms * u64::try_from(writes).unwrap_or(u64::MAX))
    }

    /// The last script in a request: the newest question's.
    fn find(request: &str) -> Option<Self> {
        let at = request.rfind(MARK)? + MARK.len();
        let mut numbers = request.get(at..)?.split("]]").next()?.split_whitespace();
        let mut number = |name: &str| numbers.next()?.strip_prefix(name)?.parse::<u64>().ok();
        Some(Self {
            tokens: usize::try_from(number("tokens=")?).ok()?.min(1_000_000),
            together: usize::try_from(number("together=")?).ok()?.clamp(1, 100_000),
            every_ms: number("every_ms=")?.min(60_000),
        })
    }
}

const MARK: &str = "[[bench ";

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tokens,
            together,
            every_ms,
        } = self;
        write!(
            f,
            "{MARK}tokens={tokens} together={together} every_ms={every_ms}]]"
        )
    }
}

/// The stamps in a text, in order.
pub(super) fn stamps(text: &[u8]) -> impl Iterator<Item = u64> {
    // Split by the mark, every second part is a stamp; what is no number is none.
    text.split(|byte| *byte == b'@').skip(1).filter_map(|part| {
        let digits = part.iter().all(u8::is_ascii_digit) && part.len() >= STAMP_DIGITS;
        digits.then(|| {
            part.iter()
                .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'))
        })
    })
}

/// A moment, as [`stamps`] reads it again.
pub(super) fn stamp(ns: u64) -> String {
    format!("@{ns:0STAMP_DIGITS$}@")
}

/// Stamps are padded to this, so that no other number is taken for one.
const STAMP_DIGITS: usize = 15;

/// The provider; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Provider {
    /// Starts it on a free port of loopback.
    pub(super) fn start() -> anyhow::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts it where a deployment will look for it. To be called within a runtime.
    pub(super) fn start_at(address: SocketAddr) -> anyhow::Result<Self> {
        // A floor that called for 400 streams at once found room for the 128 that the standard library lets wait, and some of its calls
        // came again a second later: of a run of 8 seconds it lost one.
        let listener = listen::bind(address)
            .and_then(TcpListener::into_std)
            .with_context(|| address.to_string())?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("provider".to_owned())
            .spawn(move || {
                let served = runtime.block_on(async {
                    tokio::select! {
                        served = serve(listener) => served,
                        _ = stopped => Ok(()),
                    }
                });
                if let Err(error) = served {
                    tracing::error!(%error, "the scripted provider stopped");
                }
            })
            .context("a thread for the scripted provider")?;
        Ok(Self { address, _stop: stop })
    }
}

async fn serve(listener: std::net::TcpListener) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(answer_all(stream));
            }
            // A relay that hangs up is no fault.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers the requests of one connection, one after the other.
async fn answer_all(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut read = Vec::with_capacity(4096);
    loop {
        let length = loop {
            if let Some(length) = complete(&read)? {
                break length;
            }
            anyhow::ensure!(read.len() <= MAX_REQUEST, "too long a request");
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let script = Script::find(std::str::from_utf8(read.get(..length).unwrap_or_default())?)
            .unwrap_or(Script::AT_ONCE);
        read.drain(..length);
        answer(&mut stream, &script).await?;
    }
}

/// The length of the first request, once all of it is here.
fn complete(read: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(read.get(..end).unwrap_or_default())?.to_ascii_lowercase();
    let body: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .context("a request without its length")?
        .trim()
        .parse()?;
    let length = end + 4 + body;
    Ok((read.len() >= length).then_some(length))
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Writes the answer of a script, and nothing of it before its time.
async fn answer(stream: &mut TcpStream, script: &Script) -> anyhow::Result<()> {
    let mut next = Instant::now();
    let mut written = 0;
    let mut events = String::new();
    let mut chunk = String::from(HEAD);
    while written < script.tokens {
        if script.every_ms > 0 {
            sleep_until(next).await;
            next += Duration::from_millis(script.every_ms);
        } else if written > 0 {
            // Other streams' turn: each write is to be one of its own at the other end.
            tokio::task::yield_now().await;
        }
        events.clear();
        let together = script.together.min(script.tokens - written);
        for _ in 0..together {
            token(&mut events)?;
        }
        written += together;
        if written == script.tokens {
            end(&mut events, script)?;
        }
        write!(chunk, "{:x}\r\n{events}\r\n", events.len())?;
        if written == script.tokens {
            chunk.push_str("0\r\n\r\n");
        }
        stream.write_all(chunk.as_bytes()).await?;
        chunk.clear();
    }
    Ok(())
}

fn token(events: &mut String) -> fmt::Result {
    write!(
        events,
        "data: {{\"id\":\"gen-1\",\"model\":\"bench/scripted\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"@{:0STAMP_DIGITS$}@word \"}},\
         \"finish_reason\":null}}]}}\n\n",
        now_ns()
    )
}

fn end(events: &mut String, script: &Script) -> fmt::Result {
    write!(
        events,
        "data: {{\"id\":\"gen-1\",\"model\":\"bench/scripted\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\"}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":10,\"completion_tokens\":{0},\"total_tokens\":{1}}}}}\n\ndata: [DONE]\n\n",
        script.tokens,
        script.tokens + 10
    )
}

#[cfg(test)]
mod tests;
