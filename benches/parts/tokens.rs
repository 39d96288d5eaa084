//! How often the way of a token allocates: from the provider's bytes to its text, and from there to each connection's frame. Called
//! by `main`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use agent_websocket::clock::Clock;
use agent_websocket::ids::{Fence, MessageId, RunId, Seq, SessionId, SessionKey, UserId};
use agent_websocket::llm::{Event, Provider, Request, Settings};
use agent_websocket::log::Claim;
use agent_websocket::notify::hub::Hub;
use agent_websocket::prompt::{ChatMessage, ChatRole};
use agent_websocket::protocol::server::{Delta, ServerFrame};
use agent_websocket::protocol::text::Timestamp;
use agent_websocket::session::replay::{Answer, Step};
use anyhow::{Context, ensure};

use super::log;
use super::pure::measure;

const TOKENS: [usize; 2] = [500, 4500];

pub(crate) fn on_their_way() -> anyhow::Result<()> {
    from_the_provider()?;
    to_a_connection()
}

/// What 4,000 tokens more cost more: the call itself is in neither figure.
fn from_the_provider() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut counted = Vec::new();
    for tokens in TOKENS {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/api/v1", listener.local_addr()?);
        let provider = Provider::open_router(Settings::new(url.parse()?))?;
        // On a thread of its own, whose allocations are not counted.
        let serving = std::thread::spawn(move || serve(&listener, tokens));
        let mut heard = Ok(0);
        let allocations = allocation_counter::measure(|| {
            heard = runtime.block_on(hear(&provider));
        });
        serving
            .join()
            .map_err(|_| anyhow::anyhow!("the provider's thread panicked"))??;
        ensure!(heard? == tokens, "a token was lost");
        counted.push(allocations.count_total as f64);
    }
    let [few, many] = counted[..] else {
        anyhow::bail!("two counts are compared");
    };
    let more = (TOKENS[1] - TOKENS[0]) as f64;
    println!(
        "{:<52} {:>12} {:>14.3}",
        "token: from the provider's bytes to text",
        "",
        (many - few) / more
    );
    Ok(())
}

async fn hear(provider: &Provider) -> anyhow::Result<usize> {
    let mut generation = provider.start(Request {
        model: "bench/model".to_owned(),
        fallbacks: Vec::new(),
        messages: vec![ChatMessage {
            role: ChatRole::User,
            content: "Go".into(),
        }],
        temperature: 0.7,
        max_tokens: 10_000,
        user: "u".to_owned(),
        session: "s".to_owned(),
    });
    let mut words = 0;
    while let Some(event) = generation.next().await {
        if let Event::Text(text) = event? {
            words += text.matches("word").count();
        }
    }
    Ok(words)
}

/// One answer, a chunk for each token, written as fast as it is taken.
fn serve(listener: &TcpListener, tokens: usize) -> anyhow::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.ends_with(b"}") {
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "the request ended early");
        request.extend_from_slice(piece.get(..read).context("a read longer than its buffer")?);
    }
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    for _ in 0..tokens {
        chunk(
            &mut stream,
            "{\"id\":\"g\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"}}]}",
        )?;
    }
    chunk(
        &mut stream,
        "{\"id\":\"g\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
    )?;
    chunk(&mut stream, "[DONE]")?;
    Ok(stream.write_all(b"0\r\n\r\n")?)
}

fn chunk(stream: &mut impl Write, data: &str) -> std::io::Result<()> {
    let event = format!("data: {data}\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
}

/// A token is written into the room; the connection takes it from there and encodes its frame.
fn to_a_connection() -> anyhow::Result<()> {
    const WRITTEN: usize = 1000;
    let now = Timestamp(Clock::system().now());
    let key = SessionKey {
        user_id: UserId::new("bench")?,
        session_id: SessionId::new(),
    };
    let room = Hub::default().room(&key, Instant::now());
    let question = log::of(1).pop().context("no question")?;
    room.load(Seq::START, None);
    room.offer(question.clone());
    let mut bytes = 0;
    let mut deltas = 0;
    let mut write = || {
        let claim = Claim {
            run_id: RunId::new(),
            fence: Fence(1),
        };
        let answer = Answer {
            run_id: claim.run_id,
            attempt: 1,
            in_reply_to: question.message_id,
            query_seq: question.seq,
            message_id: MessageId::new(),
            started_at: now,
            text: String::new(),
        };
        room.begin(claim, answer);
        let (mut cursor, _) = room.cursor(question.seq);
        cursor.set_live();
        for _ in 0..WRITTEN {
            room.write(claim, " word");
            loop {
                let part = match room.next(&mut cursor) {
                    Step::Delta(part) => part,
                    Step::Thinking { .. } => continue,
                    _ => break,
                };
                deltas += 1;
                bytes += frame(key.session_id, part, now).len();
            }
        }
        room.abandon(claim);
    };
    write();
    measure("token: written, taken by one connection, encoded", WRITTEN, write);
    ensure!(deltas >= 2 * WRITTEN && bytes > deltas, "a token was lost");
    Ok(())
}

fn frame(session_id: SessionId, part: agent_websocket::session::replay::Part, now: Timestamp) -> String {
    ServerFrame::Delta(Delta {
        content: part.text.into(),
        timestamp: now,
        session_id,
        message_id: part.message_id,
        run_id: part.run_id,
        attempt: part.attempt,
        offset: part.offset,
        replay: false,
    })
    .encode()
}
