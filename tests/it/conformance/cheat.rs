//! A proxy before a node that changes what the server says: a server that claims to keep the contract, and does not.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What becomes of a frame: nothing, itself, others. A close is `{"close": code}`. Made anew for each connection.
pub(super) type Tamper = Arc<dyn Fn() -> Box<dyn FnMut(Value) -> Vec<Value> + Send> + Send + Sync>;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const FINAL: u8 = 0x80;

/// Makes of each frame what a function says.
pub(super) fn tamper(how: impl Fn(Value) -> Vec<Value> + Clone + Send + Sync + 'static) -> Tamper {
    Arc::new(move || Box::new(how.clone()))
}

/// Changes each frame.
pub(super) fn change(how: impl Fn(&mut Value) + Clone + Send + Sync + 'static) -> Tamper {
    tamper(move |mut frame| {
        how(&mut frame);
        vec![frame]
    })
}

/// Loses some frames.
pub(super) fn lose(is: fn(&Value) -> bool) -> Tamper {
    tamper(move |frame| if is(&frame) { vec![] } else { vec![frame] })
}

/// Sends some frames twice.
pub(super) fn double(is: fn(&Value) -> bool) -> Tamper {
    tamper(move |frame| {
        if is(&frame) {
            vec![frame.clone(), frame]
        } else {
            vec![frame]
        }
    })
}

/// Sends some frames after the one that follows.
pub(super) fn swap(is: fn(&Value) -> bool) -> Tamper {
    Arc::new(move || {
        let mut held = None;
        Box::new(move |frame| {
            if is(&frame) {
                held = Some(frame);
                return vec![];
            }
            std::iter::once(frame).chain(held.take()).collect()
        })
    })
}

/// The proxy; dropping it cuts everything.
pub(super) struct Cheat {
    /// Where clients connect.
    pub(super) base: String,
    _serving: JoinSet<()>,
}

impl Cheat {
    pub(super) async fn before(node: &str, tamper: Tamper) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let mut serving = JoinSet::new();
        let node = node.to_owned();
        serving.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (node, mut tamper) = (node.clone(), tamper());
                carried.spawn(async move {
                    let Ok(server) = TcpStream::connect(&node).await else {
                        return;
                    };
                    let (mut from_client, to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    let back = answers(from_server, to_client, &mut tamper);
                    tokio::select! {
                        _ = copy(&mut from_client, &mut to_server) => {}
                        _ = back => {}
                    }
                });
            }
        });
        Self {
            base,
            _serving: serving,
        }
    }
}

/// Carries what the server says: frames after an upgrade, else bytes.
async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    tamper: &mut (dyn FnMut(Value) -> Vec<Value> + Send),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    to.write_all(&head).await?;
    if !head.starts_with(b"HTTP/1.1 101") {
        copy(&mut from, &mut to).await?;
        return Ok(());
    }
    loop {
        let (code, payload) = read_frame(&mut from).await?;
        let frame = match code {
            TEXT => serde_json::from_slice(&payload).unwrap(),
            CLOSE if payload.len() >= 2 => json!({ "close": u16::from_be_bytes([payload[0], payload[1]]) }),
            _ => {
                write_frame(&mut to, code, &payload).await?;
                continue;
            }
        };
        for frame in tamper(frame) {
            if let Some(close) = frame["close"].as_u64() {
                let close = u16::try_from(close).unwrap();
                write_frame(&mut to, CLOSE, &close.to_be_bytes()).await?;
            } else {
                write_frame(&mut to, TEXT, frame.to_string().as_bytes()).await?;
            }
        }
    }
}

/// One frame of a server: whole, and not masked.
async fn read_frame(from: &mut OwnedReadHalf) -> std::io::Result<(u8, Vec<u8>)> {
    let (first, second) = (from.read_u8().await?, from.read_u8().await?);
    assert_eq!(first & FINAL, FINAL, "the server sends whole frames");
    let length = match second {
        126 => usize::from(from.read_u16().await?),
        127 => usize::try_from(from.read_u64().await?).unwrap(),
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    from.read_exact(&mut payload).await?;
    Ok((first & 0x0f, payload))
}

async fn write_frame(to: &mut OwnedWriteHalf, code: u8, payload: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![FINAL | code];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..=125) => frame.push(u8::try_from(short).unwrap()),
        Ok(medium) => {
            frame.push(126);
            frame.extend(medium.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    to.write_all(&frame).await
}
