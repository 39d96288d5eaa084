//! The decoder against a table of streams, and against every way to cut them.

use proptest::prelude::*;

use super::{Decoder, EventTooLarge, Item};

const LIMIT: usize = 64;

/// Decodes `pieces` one after the other; a comment reads as `None`.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Option<String>>, Result<(), EventTooLarge>) {
    let mut items = Vec::new();
    let mut decoder = Decoder::new(LIMIT);
    let mut keep = |item: Item<'_>| {
        items.push(match item {
            Item::Data(data) => Some(data.to_owned()),
            Item::Comment => None,
        });
    };
    let mut result = Ok(());
    for piece in pieces {
        result = decoder.push(piece, &mut keep);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| decoder.finish(&mut keep));
    (items, result)
}

fn check(stream: &[u8], expected: &[Option<&str>]) {
    let shown = String::from_utf8_lossy(stream);
    let expected: Vec<_> = expected.iter().map(|item| item.map(str::to_owned)).collect();
    assert_eq!(
        decode([stream]),
        (expected.clone(), Ok(())),
        "in one piece: {shown:?}"
    );
    assert_eq!(
        decode(stream.chunks(1)),
        (expected, Ok(())),
        "byte by byte: {shown:?}"
    );
}

#[test]
fn every_line_end_and_every_field_decodes_as_specified() {
    check(b"data: a\n\ndata: b\n\n", &[Some("a"), Some("b")]);
    check(b"data: a\r\n\r\ndata: b\r\n\r\n", &[Some("a"), Some("b")]);
    check(b"data: a\r\rdata: b\r\r", &[Some("a"), Some("b")]);
    check(b"data: a\r\n\ndata: b\n\r\n", &[Some("a"), Some("b")]);
    check(b"data: a\r\ndata: b\r\n\r\n", &[Some("a\nb")]);
    check(b"data:a\ndata:  b\ndata\n\n", &[Some("a\n b\n")]);
    check(b"\xEF\xBB\xBFdata: a\n\n", &[Some("a")]);
    check(b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n", &[Some("b")]);
    check(
        b"event: x\nid: 1\nretry: 5\ndatax: y\nnonsense\ndata: a\n\n",
        &[Some("a")],
    );
    check(b"\n\n\r\n", &[]);
    check(b"", &[]);
}

#[test]
fn keep_alives_in_either_shape_are_comments() {
    check(b": OPENROUTER PROCESSING\n\ndata: a\n\n", &[None, Some("a")]);
    check(b":\n:\n", &[None, None]);
    check(
        b"data: : keepalive\n\ndata: :\n\ndata\n\ndata:\n\n",
        &[None, None, None, None],
    );
    check(b"data: a\n: between\ndata: b\n\n", &[None, Some("a\nb")]);
}

#[test]
fn a_block_without_data_is_no_event() {
    check(b"id: 7\n\n: still here\n\ndata: a\n\n", &[None, Some("a")]);
}

#[test]
fn the_end_completes_the_last_event() {
    check(b"data: a\n\ndata: b", &[Some("a"), Some("b")]);
    check(b"data: a\ndata: b\n", &[Some("a\nb")]);
    check(b"data: a\r", &[Some("a")]);
    check(b": bye", &[None]);
}

#[test]
fn without_the_end_half_an_event_stays_unseen() {
    let mut seen = 0;
    let mut decoder = Decoder::new(LIMIT);
    decoder.push(b"data: a\n\ndata: b\n", |_| seen += 1).unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn invalid_utf8_is_replaced_and_split_utf8_is_not() {
    check(b"data: a\xFFb\n\n", &[Some("a\u{FFFD}b")]);
    check("data: grüße 🦀\n\n".as_bytes(), &[Some("grüße 🦀")]);
}

#[test]
fn an_event_over_the_limit_fails_after_those_before_it() {
    let too_large = Err(EventTooLarge {
        max_event_bytes: LIMIT,
    });
    let filler = "x".repeat(LIMIT);
    let endless_line = format!("data: a\n\ndata: {filler}");
    let endless_lines = format!("data: a\n\n{}", "data: 12345\n".repeat(LIMIT));
    let endless_comment = format!("data: a\n\n: {filler}\n");
    for stream in [endless_line, endless_lines, endless_comment] {
        let expected = (vec![Some("a".to_owned())], too_large);
        assert_eq!(decode([stream.as_bytes()]), expected, "in one piece: {stream:?}");
        assert_eq!(
            decode(stream.as_bytes().chunks(1)),
            expected,
            "byte by byte: {stream:?}"
        );
    }
}

#[test]
fn skipped_fields_take_no_memory() {
    let mut decoder = Decoder::new(LIMIT);
    for _ in 0..1_000 {
        decoder.push(b"id: 1234567890\n", |_| {}).unwrap();
    }
    assert!(decoder.line.capacity() + decoder.data.capacity() <= 2 * LIMIT);
}

/// Streams made of the pieces on which framing turns, so that short cases hit the hard cuts.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(&b"data: "[..]),
        1 => Just(&b"data"[..]),
        3 => Just(&b"\n"[..]),
        2 => Just(&b"\r"[..]),
        3 => Just(&b"\r\n"[..]),
        1 => Just(&b"\n\n"[..]),
        2 => Just(&b":"[..]),
        1 => Just(&b"id: 1"[..]),
        1 => Just(&b"\xEF\xBB\xBF"[..]),
        2 => Just("ü🦀".as_bytes()),
        1 => Just(&b"\xFF\xF0\x9F"[..]),
        1 => Just(&b"fifteen bytes.."[..]),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_items(stream in stream(), cuts in prop::collection::vec(0_usize..9, 1..40)) {
        let mut pieces = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle().take(stream.len() * 2) {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(decode(pieces), decode([stream.as_slice()]));
    }

    #[test]
    fn no_bytes_make_it_panic(stream in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(stream.chunks(7));
    }
}
