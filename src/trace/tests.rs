//! Contexts that W3C's text allows and those that it does not; what a ratio lets through.

use proptest::prelude::*;

use super::{Parent, Sampled, SpanId, TraceId};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[test]
fn a_context_is_read_and_written_as_it_was() {
    for (flags, sampled) in [("01", Sampled::Yes), ("00", Sampled::No)] {
        let text = format!("00-{TRACE}-{SPAN}-{flags}");
        let parent: Parent = text.parse().unwrap();
        assert_eq!(parent.trace.to_string(), TRACE);
        assert_eq!(parent.span.to_string(), SPAN);
        assert_eq!(parent.sampled, sampled);
        assert_eq!(parent.to_string(), text);
    }
}

#[test]
fn flags_and_versions_to_come_are_read_as_far_as_they_are_known() {
    for text in [
        format!("00-{TRACE}-{SPAN}-ff"),
        format!("01-{TRACE}-{SPAN}-03"),
        format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"),
    ] {
        let parent: Parent = text.parse().unwrap();
        assert_eq!(parent.sampled, Sampled::Yes, "{text}");
        assert_eq!(parent.trace.to_string(), TRACE);
    }
}

#[test]
fn what_is_not_exactly_a_context_is_none() {
    let zeros = "0".repeat(32);
    for text in [
        String::new(),
        TRACE.to_owned(),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00-{TRACE}-{SPAN}-0g"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("00-{TRACE}-{SPAN}-01 "),
        format!(" 00-{TRACE}-{SPAN}-01"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("01-{TRACE}-{SPAN}-01more"),
        format!("00-{zeros}-{SPAN}-01"),
        format!("00-{TRACE}-{}-01", &zeros[..16]),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-+{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}0-{SPAN}-01"),
        format!("00-{TRACE}-{}-01", &SPAN[1..]),
        format!("00_{TRACE}_{SPAN}_01"),
        format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
        format!("00-{}é-{SPAN}-01", &TRACE[2..]),
    ] {
        assert!(text.parse::<Parent>().is_err(), "{text:?}");
    }
}

#[test]
fn ids_are_written_with_all_their_digits() {
    assert_eq!(TraceId(1).to_string(), format!("{:0>32}", 1));
    assert_eq!(SpanId(0xa).to_string(), format!("{:0>16}", "a"));
    assert_ne!(TraceId::random(), TraceId::random());
    assert_ne!(SpanId::random(), SpanId::random());
}

#[test]
fn a_ratio_lets_its_part_through_and_the_ends_all_or_none() {
    let ids: Vec<TraceId> = (0..10_000).map(|_| TraceId::random()).collect();
    let among = |ratio| ids.iter().filter(|id| id.is_among(ratio)).count();
    assert_eq!(among(0.0), 0);
    assert_eq!(among(1.0), ids.len());
    // Twenty standard deviations to either side.
    assert!((1_500..3_500).contains(&among(0.25)), "{}", among(0.25));
    assert!(TraceId(u128::MAX).is_among(1.0));
    assert!(!TraceId(1 << 100).is_among(0.0));
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader_and_what_it_takes_is_sound(text in "\\PC{0,80}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}") {
        if let Ok(parent) = text.parse::<Parent>() {
            prop_assert_eq!(parent.to_string().parse::<Parent>(), Ok(parent));
        }
    }

    #[test]
    fn a_larger_part_holds_the_smaller(id in 1_u128.., less in 0.0..=1.0, more in 0.0..=1.0) {
        let (less, more) = if less <= more { (less, more) } else { (more, less) };
        prop_assert!(!TraceId(id).is_among(less) || TraceId(id).is_among(more));
    }
}
