//! A TCP client that says exactly what a test wants, byte by byte, and answers nothing by itself.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::PATIENCE;

/// Opcodes of RFC 6455.
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The receive buffer of a client that means to read little, in bytes.
const SMALL_WINDOW: u32 = 4096;

/// Its send buffer: what it could send is then what was taken, give or take this.
const SMALL_SEND_BUFFER: u32 = 16 * 1024;

/// One TCP connection.
pub(crate) struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Whether a frame ends its message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Last,
    More,
}

/// A client's frame, masked with zeros.
pub(crate) fn frame(opcode: u8, part: Part, payload: &[u8]) -> Vec<u8> {
    let fin = if part == Part::Last { 0x80 } else { 0 };
    let mut bytes = vec![fin | opcode];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 0x7e);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 0x7f);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

impl RawClient {
    pub(crate) async fn connect(base: &str) -> Self {
        Self {
            stream: TcpStream::connect(base).await.unwrap(),
            received: Vec::new(),
        }
    }

    /// Connects as one who may be sent little before it has to read.
    pub(crate) async fn with_a_small_window(base: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(SMALL_WINDOW).unwrap();
        socket.set_send_buffer_size(SMALL_SEND_BUFFER).unwrap();
        Self {
            stream: socket.connect(base.parse().unwrap()).await.unwrap(),
            received: Vec::new(),
        }
    }

    /// Connects and upgrades; gives the head of the response too.
    pub(crate) async fn upgrade(base: &str, path: &str, headers: &[(&str, &str)]) -> (Self, String) {
        Self::connect(base).await.upgraded(base, path, headers).await
    }

    /// Upgrades; gives the head of the response too.
    pub(crate) async fn upgraded(self, base: &str, path: &str, headers: &[(&str, &str)]) -> (Self, String) {
        let mut client = self;
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: {base}\r\n");
        for (name, value) in super::http::UPGRADE.iter().chain(headers) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        client.send(format!("{head}\r\n").as_bytes()).await.unwrap();
        let head = client.head().await;
        (client, head)
    }

    /// The head of a response, in lower case.
    pub(crate) async fn head(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.read().await, "the connection ended before the response");
        };
        let rest = self.received.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut self.received, rest)).unwrap();
        head.to_ascii_lowercase()
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .expect("the server takes no bytes")
    }

    /// Sends the same bytes again and again, and reads nothing, until a moment or the end of the connection: how many went
    /// out.
    pub(crate) async fn flood(&mut self, bytes: &[u8], until: Instant) -> usize {
        let (mut sent, mut at) = (0, 0);
        while let Ok(Ok(n)) = timeout_at(until, self.stream.write(&bytes[at..])).await {
            sent += n;
            at = (at + n) % bytes.len();
        }
        sent
    }

    /// Sends a frame, masked with zeros.
    pub(crate) async fn frame(&mut self, opcode: u8, part: Part, payload: &[u8]) -> std::io::Result<()> {
        self.send(&frame(opcode, part, payload)).await
    }

    /// The next frame: opcode and payload; `None` when the connection ended, properly or not.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// The code and the reason of the close frame; what comes before it is passed over, and answered by nothing.
    pub(crate) async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            let (opcode, payload) = self.next().await?;
            if opcode == CLOSE {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                return Some((code, String::from_utf8(payload[2..].to_vec()).unwrap()));
            }
        }
    }

    /// Throws away what has come, without waiting for more.
    pub(crate) async fn forget(&mut self) {
        while let Ok(Ok(n)) = timeout(Duration::ZERO, self.stream.read_buf(&mut self.received)).await {
            self.received.clear();
            if n == 0 {
                break;
            }
        }
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(&mut self) {
        while self.read().await {}
    }

    /// Reads some bytes; `false` at the end.
    async fn read(&mut self) -> bool {
        timeout(PATIENCE, self.stream.read_buf(&mut self.received))
            .await
            .expect("nothing came, not even the end")
            .is_ok_and(|n| n > 0)
    }

    /// A whole frame, if one has arrived; a server's frames are not masked.
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let bytes = &self.received;
        let opcode = *bytes.first()? & 0x0f;
        let (header, length) = match usize::from(*bytes.get(1)?) {
            126 => (
                4,
                usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
            ),
            127 => {
                let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
                (10, usize::try_from(length).ok()?)
            }
            length => (2, length),
        };
        let payload = bytes.get(header..header + length)?.to_vec();
        self.received.drain(..header + length);
        Some((opcode, payload))
    }
}
