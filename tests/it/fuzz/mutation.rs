//! How a sample becomes a case: cut, doubled, spliced with another, and strewn with what parsers find hard.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::MOST_BYTES;

/// Pieces that mean something to one of the formats, or ought to mean nothing.
const HARD: [&[u8]; 34] = [
    b"\0",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"-0",
    b"9223372036854775808",
    b"0.1",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\x92\x80",
    b"\xc2",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"\n\n",
    b"data:",
    b"data: :",
    b": ",
    b".",
    b"=",
    b"\"type\":\"query\",",
];

/// A sample, changed in one to four ways.
pub(super) fn mutated(random: &mut StdRng, samples: &[&[u8]]) -> Vec<u8> {
    let mut bytes = samples.choose(random).unwrap().to_vec();
    for _ in 0..random.random_range(1..=4) {
        change(random, samples, &mut bytes);
        bytes.truncate(MOST_BYTES);
    }
    bytes
}

/// The same, as text.
pub(super) fn mutated_text(random: &mut StdRng, samples: &[&str]) -> String {
    let samples: Vec<&[u8]> = samples.iter().map(|sample| sample.as_bytes()).collect();
    String::from_utf8_lossy(&mutated(random, &samples)).into_owned()
}

fn change(random: &mut StdRng, samples: &[&[u8]], bytes: &mut Vec<u8>) {
    let at = random.random_range(0..=bytes.len());
    let end = random.random_range(at..=bytes.len().min(at + 40));
    match random.random_range(0..8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => insert(bytes, at, HARD.choose(random).unwrap()),
        3 => insert(bytes, at, &[random.random()]),
        4 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        5 => {
            // A few times as a rule, now and then until the case is as large as one may be.
            let times = if random.random_ratio(1, 50) {
                MOST_BYTES
            } else {
                random.random_range(1..20)
            };
            let piece = bytes[at..end].repeat(times.min(MOST_BYTES / (end - at).max(1)));
            insert(bytes, at, &piece);
        }
        6 => {
            let other = samples.choose(random).unwrap();
            let from = random.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        _ => {
            let piece = bytes[at..end].to_vec();
            let to = random.random_range(0..=bytes.len());
            insert(bytes, to, &piece);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}
