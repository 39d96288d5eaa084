//! A provider's stream: what comes out of its bytes does not depend on how they were cut, and is no more than they were.

use agent_websocket::llm::sse::{Decoder, Item};
use rand::Rng;
use rand::rngs::StdRng;

use super::fuzz;
use super::mutation::mutated;

/// The largest event, in bytes: small, so that cases reach it.
const MAX_EVENT_BYTES: usize = 4096;

const SAMPLES: [&[u8]; 7] = [
    b"data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n",
    b": OPENROUTER PROCESSING\n\ndata: [DONE]\n\n",
    b"\xef\xbb\xbfdata: a\r\ndata: b\r\n\r\n",
    b"event: message\rid: 7\rdata: x\r\r",
    b"data:\n\ndata\n\ndata: : keepalive\n\nid: 1\n\n",
    b"retry: 10\ndata: \xe2\x82\xac \xff\n\n",
    b"<html><body>502 Bad Gateway</body></html>",
];

/// Everything that comes out, and whether it came to an end.
fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Option<String>>, bool) {
    let mut items = Vec::new();
    let mut keep = |item: Item<'_>| {
        items.push(match item {
            Item::Data(text) => Some(text.to_owned()),
            Item::Comment => None,
        });
    };
    let mut decoder = Decoder::new(MAX_EVENT_BYTES);
    let mut fine = true;
    for piece in pieces {
        fine = fine && decoder.push(piece, &mut keep).is_ok();
    }
    fine = fine && decoder.finish(&mut keep).is_ok();
    (items, fine)
}

/// The bytes in pieces of at most so many.
fn pieces<'a>(random: &mut StdRng, bytes: &'a [u8], most: usize) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.random_range(1..=rest.len().min(most)));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[test]
fn no_stream_of_a_provider_comes_out_other_than_it_went_in() {
    fuzz("streams", |random| {
        let bytes = mutated(random, &SAMPLES);
        let whole = decoded(std::iter::once(bytes.as_slice()));
        for most in [1, 7, 4096] {
            let cut = pieces(random, &bytes, most);
            assert_eq!(decoded(cut.into_iter()), whole, "in pieces of {most}: {bytes:?}");
        }
        let (items, _) = whole;
        assert!(items.len() <= bytes.len(), "{bytes:?}");
        for text in items.into_iter().flatten() {
            // A byte that is no character becomes one of three bytes.
            assert!(text.len() <= 3 * MAX_EVENT_BYTES, "{bytes:?}");
        }
    });
}
