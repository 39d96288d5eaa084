//! The parts that compute only. Called by `main`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use agent_websocket::ids::Seq;
use agent_websocket::llm::sse::{Decoder, Item};
use agent_websocket::prompt::{self, Window};
use agent_websocket::session::replay::{Cursor, Step, Tail};
use anyhow::ensure;

use super::log;

/// Each is repeated at least for so long, in windows of which the median counts.
const WINDOW: Duration = Duration::from_millis(100);
const WINDOWS: usize = 7;

/// Prints what one of `items` takes in a run of `work`, and how often it allocates.
pub(crate) fn measure(name: &str, items: usize, mut work: impl FnMut()) {
    let allocations = allocation_counter::measure(&mut work).count_total;
    let mut each = [0.0; WINDOWS].map(|_: f64| {
        let began = Instant::now();
        let mut done = 0;
        while began.elapsed() < WINDOW {
            work();
            done += items;
        }
        began.elapsed().as_secs_f64() * 1e9 / done as f64
    });
    each.sort_by(f64::total_cmp);
    let [_, _, _, each, ..] = each;
    println!(
        "{name:<52} {each:>12.1} {:>14.3}",
        allocations as f64 / items as f64
    );
}

/// Events of a provider, in whole and in pieces as small as a bad network makes them.
pub(crate) fn decode_a_stream() -> anyhow::Result<()> {
    const EVENTS: usize = 1000;
    let event = "data: {\"id\":\"gen-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":\
                 {\"content\":\" word\"},\"finish_reason\":null}]}\n\n";
    let stream = event.repeat(EVENTS);
    for piece in [16 * 1024, 64, 1] {
        let mut decoder = Decoder::new(1024 * 1024);
        let mut decode = || {
            let mut events = 0;
            for bytes in stream.as_bytes().chunks(piece) {
                let pushed = decoder.push(bytes, |item| events += usize::from(matches!(item, Item::Data(_))));
                black_box(pushed).ok();
            }
            events
        };
        ensure!(decode() == EVENTS, "an event was lost");
        measure(
            &format!("decode: an event, {EVENTS} in pieces of {piece} bytes"),
            EVENTS,
            || {
                black_box(decode());
            },
        );
    }
    Ok(())
}

/// A connection that is sent everything that the room has in memory.
pub(crate) fn replay_a_log() -> anyhow::Result<()> {
    for count in [50, 1000] {
        let mut tail = Tail::default();
        for message in log::of(count) {
            tail.offer(message);
        }
        let replay = || {
            let mut cursor = Cursor::new(Seq::START, tail.head());
            let mut sent = 0;
            while let Step::Message(message) = cursor.next(&tail) {
                sent += usize::from(black_box(cursor.entry(&message)).replay);
            }
            sent
        };
        ensure!(replay() == count, "a message was lost");
        measure(&format!("replay: a message, {count} from memory"), count, || {
            black_box(replay());
        });
    }
    Ok(())
}

/// The prompt of the newest question.
pub(crate) fn build_prompts() -> anyhow::Result<()> {
    let window = Window {
        max_messages: 50,
        max_tokens: 100_000,
        system: "You are an assistant.".into(),
    };
    for count in [11, 51, 115] {
        let messages = log::of(count);
        let query = messages.last().map(|query| query.as_ref().clone());
        let query = query.ok_or_else(|| anyhow::anyhow!("no question"))?;
        let build = || prompt::build(&messages, &query, Seq::START, &window);
        let chosen = build().messages.len();
        ensure!(
            chosen == count.min(51) + 1,
            "{chosen} messages in a prompt of {count}"
        );
        measure(
            &format!("prompt: whole, of the newest {count} messages"),
            1,
            || {
                black_box(build());
            },
        );
    }
    Ok(())
}
