//! A WebSocket client that does little: it exists so that the load takes less of the machine than what is measured.
//!
//! Owns one connection, reads whole frames into one buffer that it uses again, answers pings. Refuses TLS, fragments (the
//! server sends none) and text that it would have to check: it hands out bytes. Called by `load`.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A first buffer: most frames fit, and thousands of connections stay small.
const BUFFER: usize = 2048;

/// A longer frame than any the server sends.
const MAX_FRAME: usize = 8 * 1024 * 1024;

/// Bits and lengths of a frame's head (RFC 6455, 5.2).
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const MEDIUM: u8 = 0x7e;
const LONG: u8 = 0x7f;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A connection after its upgrade.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    inbox: Vec<u8>,
    /// What of the inbox has been handed out, and where what was read ends.
    taken: usize,
    filled: usize,
    outbox: Vec<u8>,
}

/// Where a frame's payload lies in the inbox.
struct Frame {
    code: u8,
    from: usize,
    to: usize,
}

impl Socket {
    /// Connects and upgrades. `path` holds the query; the token goes into the header.
    pub(super) async fn open(address: SocketAddr, path: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let mut socket = Self {
            stream,
            inbox: vec![0; BUFFER],
            taken: 0,
            filled: 0,
            outbox: Vec::new(),
        };
        let key = base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 16]>());
        let authorization =
            token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{authorization}\r\n"
        );
        socket.stream.write_all(request.as_bytes()).await?;
        socket.upgraded().await?;
        Ok(socket)
    }

    /// Reads the answer to the upgrade.
    async fn upgraded(&mut self) -> anyhow::Result<()> {
        loop {
            self.fill().await?;
            let read = self.inbox.get(..self.filled).unwrap_or_default();
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                ensure!(
                    read.starts_with(b"HTTP/1.1 101"),
                    "the upgrade was refused: {}",
                    String::from_utf8_lossy(read).lines().next().unwrap_or_default()
                );
                self.taken = end + 4;
                return Ok(());
            }
        }
    }

    /// Sends one text frame, masked as a client must.
    pub(super) async fn send(&mut self, text: &[u8]) -> io::Result<()> {
        self.write(TEXT, text).await
    }

    async fn write(&mut self, code: u8, payload: &[u8]) -> io::Result<()> {
        let mask = rand::random::<[u8; 4]>();
        self.outbox.clear();
        self.outbox.push(FINAL | code);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short @ 0..=125), _) => self.outbox.push(MASKED | short),
            (_, Ok(medium)) => {
                self.outbox.push(MASKED | MEDIUM);
                self.outbox.extend(medium.to_be_bytes());
            }
            _ => {
                self.outbox.push(MASKED | LONG);
                self.outbox.extend((payload.len() as u64).to_be_bytes());
            }
        }
        self.outbox.extend(mask);
        self.outbox.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        self.stream.write_all(&self.outbox).await
    }

    /// The next text frame's bytes. Fails when the server closes.
    pub(super) async fn next(&mut self) -> anyhow::Result<&[u8]> {
        loop {
            let Some(frame) = self.complete()? else {
                self.fill().await?;
                continue;
            };
            self.taken = frame.to;
            match frame.code {
                TEXT | BINARY => return Ok(self.inbox.get(frame.from..frame.to).unwrap_or_default()),
                PING => {
                    let payload = self.inbox.get(frame.from..frame.to).unwrap_or_default().to_vec();
                    self.write(PONG, &payload).await?;
                }
                PONG => {}
                CLOSE => {
                    let payload = self.inbox.get(frame.from..frame.to).unwrap_or_default();
                    let (code, reason) = payload.split_at(payload.len().min(2));
                    let code = code.iter().fold(0_u16, |code, byte| code << 8 | u16::from(*byte));
                    bail!("closed by the server: {code} {}", String::from_utf8_lossy(reason));
                }
                code => bail!("a frame of an unknown kind: {code}"),
            }
        }
    }

    /// Whether the next frame is already here.
    fn complete(&self) -> anyhow::Result<Option<Frame>> {
        let read = self.inbox.get(self.taken..self.filled).unwrap_or_default();
        let [first, second, rest @ ..] = read else {
            return Ok(None);
        };
        ensure!(
            first & FINAL != 0 && second & MASKED == 0,
            "a fragment, or a masked frame"
        );
        let width = match *second {
            MEDIUM => 2,
            LONG => 8,
            _ => 0,
        };
        let Some(wide) = rest.get(..width) else {
            return Ok(None);
        };
        let length = match width {
            0 => usize::from(*second),
            _ => wide
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte)),
        };
        ensure!(length <= MAX_FRAME, "a frame of {length} bytes");
        let from = self.taken + 2 + width;
        let to = from + length;
        Ok((to <= self.filled).then_some(Frame {
            code: first & 0x0f,
            from,
            to,
        }))
    }

    /// Reads more, making room first.
    async fn fill(&mut self) -> anyhow::Result<()> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        } else if self.filled == self.inbox.len() {
            self.inbox.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
            if self.filled == self.inbox.len() {
                ensure!(self.inbox.len() <= MAX_FRAME, "too long a frame");
                self.inbox.resize(self.inbox.len() * 2, 0);
            }
        }
        let room = self.inbox.get_mut(self.filled..).unwrap_or_default();
        let read = self.stream.read(room).await?;
        ensure!(read > 0, "the connection was cut");
        self.filled += read;
        Ok(())
    }

    /// Ends it as a network that goes away does: by a reset, which also leaves no port behind that is not free.
    pub(super) fn cut(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }
}
