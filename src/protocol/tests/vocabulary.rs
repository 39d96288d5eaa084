//! The words and measures of the wire: codes, close codes, timestamps, lengths, hashes, limits of objects.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use time::macros::datetime;

use crate::protocol::client::OnBusy;
use crate::protocol::close::CloseReason;
use crate::protocol::error::ErrorCode;
use crate::protocol::notice::Notice;
use crate::protocol::text::{Text, Timestamp, check_json, complaint, sha256_hex, utf16_len};

/// The codes of the contract, in its order.
const CODES: [&str; 21] = [
    "invalid_json",
    "invalid_message",
    "content_required",
    "unknown_type",
    "unknown_command",
    "too_large",
    "rate_limited",
    "quota_exceeded",
    "busy",
    "queue_full",
    "id_conflict",
    "not_found",
    "forbidden",
    "unauthorized",
    "provider_busy",
    "provider_timeout",
    "provider_unavailable",
    "content_filtered",
    "context_too_long",
    "model_unavailable",
    "internal",
];

#[test]
fn every_error_code_has_one_name_on_the_wire_and_in_the_database() {
    for name in CODES {
        let code: ErrorCode = serde_json::from_value(json!(name)).unwrap();
        assert_eq!(code.as_str(), name);
        assert_eq!(serde_json::to_value(code).unwrap(), json!(name));
        assert_eq!(ErrorCode::from_stored(name), code);
    }
    assert_eq!(ErrorCode::from_stored("of a later version"), ErrorCode::Internal);
}

#[test]
fn only_what_may_pass_by_itself_is_retryable() {
    let retryable: Vec<&str> = CODES
        .into_iter()
        .filter(|name| ErrorCode::from_stored(name).is_retryable())
        .collect();
    assert_eq!(
        retryable,
        [
            "rate_limited",
            "busy",
            "queue_full",
            "provider_busy",
            "provider_timeout",
            "provider_unavailable",
            "internal"
        ]
    );
}

#[test]
fn every_close_reason_has_the_code_of_the_contract() {
    let expected = [
        (CloseReason::SessionTimeout, 1000),
        (CloseReason::ClientClosed, 1000),
        (CloseReason::ProtocolError, 1002),
        (CloseReason::BinaryFrame, 1003),
        (CloseReason::InvalidUtf8, 1007),
        (CloseReason::MessageTooLarge, 1009),
        (CloseReason::InternalError, 1011),
        (CloseReason::Restarting, 1012),
        (CloseReason::Overloaded, 1013),
        (CloseReason::TokenExpired, 4401),
        (CloseReason::Silent, 4408),
        (CloseReason::Replaced, 4409),
        (CloseReason::SlowReader, 4413),
        (CloseReason::Flooding, 4429),
        (CloseReason::BadFrames, 4500),
        (CloseReason::Unauthorized, 4501),
        (CloseReason::IdentityChanged, 4503),
        (CloseReason::NoSuchSession, 4504),
        (CloseReason::TooManyConnections, 4505),
        (CloseReason::SessionDeleted, 4509),
    ];
    assert_eq!(expected.map(|(reason, _)| reason), CloseReason::ALL);
    for (reason, code) in expected {
        assert_eq!(reason.code(), code, "{reason:?}");
    }
    assert_eq!(CloseReason::SessionTimeout.reason(), "Session timeout");
}

#[test]
fn close_codes_and_words_are_told_apart_and_fit_a_close_frame() {
    let mut by_code: HashMap<u16, Vec<CloseReason>> = HashMap::new();
    for reason in CloseReason::ALL {
        by_code.entry(reason.code()).or_default().push(reason);
        assert!(reason.reason().len() <= 123, "{reason:?}");
    }
    // An ordinary end is told by its words.
    let shared = by_code.remove(&1000).unwrap();
    assert_eq!(shared, [CloseReason::SessionTimeout, CloseReason::ClientClosed]);
    assert!(by_code.values().all(|reasons| reasons.len() == 1), "{by_code:?}");
    let words: HashSet<&str> = CloseReason::ALL.into_iter().map(CloseReason::reason).collect();
    let labels: HashSet<&str> = CloseReason::ALL.into_iter().map(CloseReason::label).collect();
    assert_eq!(words.len(), CloseReason::ALL.len());
    assert_eq!(labels.len(), CloseReason::ALL.len());
}

#[test]
fn a_timestamp_is_rfc_3339_in_utc_with_milliseconds() {
    for (moment, written) in [
        (datetime!(2026-11-20 08:05:09.007 UTC), "2026-11-20T08:05:09.007Z"),
        (datetime!(2026-11-20 08:05:09 UTC), "2026-11-20T08:05:09.000Z"),
        (
            datetime!(2026-11-20 08:05:09.999_999 UTC),
            "2026-11-20T08:05:09.999Z",
        ),
        (datetime!(2026-11-20 01:05:09.1 +2:30), "2026-11-19T22:35:09.100Z"),
        (datetime!(0999-01-01 0:00 UTC), "0999-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(Timestamp(moment).to_string(), written);
        assert_eq!(serde_json::to_value(Timestamp(moment)).unwrap(), json!(written));
    }
}

#[test]
fn a_timestamp_is_read_from_any_rfc_3339_and_nothing_else() {
    let read = |text: &str| serde_json::from_value::<Timestamp>(json!(text));
    for text in [
        "2026-11-20T08:05:09.007Z",
        "2026-11-20t10:05:09.0070+02:00",
        "2026-11-20T08:05:09.007-00:00",
    ] {
        assert_eq!(
            read(text).unwrap(),
            Timestamp(datetime!(2026-11-20 08:05:09.007 UTC)),
            "{text}"
        );
    }
    for text in [
        "",
        "now",
        "2026-11-20",
        "2026-11-20T08:05:09",
        "2026-13-20T08:05:09Z",
        "1789",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(serde_json::from_value::<Timestamp>(json!(1_789_000_000)).is_err());
}

#[test]
fn lengths_count_utf_16_code_units() {
    for (text, length) in [
        ("", 0),
        ("abc", 3),
        ("é", 1),
        ("名前", 2),
        ("🦀", 2),
        ("e\u{301}", 2),
        ("👩‍👩‍👧", 8),
    ] {
        assert_eq!(utf16_len(text), length, "{text}");
    }
}

#[test]
fn a_hash_is_of_the_utf_8_in_lower_case_hex() {
    assert_eq!(
        sha256_hex(""),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        sha256_hex("abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn a_text_holds_anything_but_nul() {
    for text in ["", " ", "a\nb", "\u{1}", "\u{feff}", "\u{fffd}", "🦀"] {
        assert_eq!(Text::new(text.to_owned()).unwrap().as_str(), text);
    }
    assert!(Text::new("\0".to_owned()).is_err());
    assert!(serde_json::from_str::<Text>(r#""a\u0000b""#).is_err());
    assert_eq!(
        serde_json::to_value(Text::new("a".to_owned()).unwrap()).unwrap(),
        json!("a")
    );
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

/// Objects in arrays in objects, so many in all, the outermost an object.
fn nested(levels: usize) -> Value {
    (0..levels).rev().fold(json!(1), |value, level| {
        if level % 2 == 0 {
            json!({ "k": value })
        } else {
            json!([value])
        }
    })
}

#[test]
fn an_object_is_bounded_in_size_and_depth_and_holds_no_nul() {
    for good in [
        json!({}),
        json!({ "k": "v".repeat(4096 - 8) }),
        // A control character takes six bytes when written.
        json!({ "k": "\u{1}".repeat((4096 - 8) / 6) }),
        nested(8),
    ] {
        assert_eq!(check_json(&object(good)), Ok(()));
    }
    for bad in [
        json!({ "k": "v".repeat(4096 - 7) }),
        json!({ "k": "\u{1}".repeat((4096 - 8) / 6 + 1) }),
        nested(9),
        json!({ "a\0": 1 }),
        json!({ "a": "\0" }),
        json!({ "a": [[{ "b\0": 1 }]] }),
        json!({ "a": [["\0"]] }),
    ] {
        assert!(check_json(&object(bad.clone())).is_err(), "{bad}");
    }
}

#[test]
fn a_notices_data_is_what_the_table_takes() {
    let checked = |data: Value| {
        let notice = json!({ "user_id": "u", "content": "c", "data": data });
        serde_json::from_value::<Notice>(notice).unwrap().check()
    };
    for good in [
        json!({}),
        nested(32),
        json!({ "a": "\\\\u0000" }),
        json!({ "n": 1e308 }),
    ] {
        assert_eq!(checked(good.clone()), Ok(()), "{good}");
    }
    for bad in [
        nested(33),
        json!({ "a": "\0" }),
        json!({ "a": ["v".repeat(12 * 1024)] }),
    ] {
        assert!(checked(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_complaint_names_fields_and_repeats_no_value() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        #[expect(dead_code, reason = "only what cannot be read is looked at")]
        after: Option<i64>,
        #[expect(dead_code, reason = "only what cannot be read is looked at")]
        on_busy: Option<OnBusy>,
    }
    let complaint = |json: &str| complaint(&serde_json::from_str::<Fields>(json).unwrap_err());
    let values = [
        (
            r#"{"after":"a \"token\", expected"}"#,
            "invalid type: string, expected i64",
        ),
        (
            r#"{"on_busy":"a token"}"#,
            "unknown word, expected one of `enqueue`",
        ),
        (
            r#"{"on_busy":"`, expected token"}"#,
            "unknown word, expected one of `enqueue`",
        ),
        (r#"{"then":1}"#, "unknown field `then`, expected `after`"),
        ("{\"a\\nb\":1}", "unknown field `a b`, expected `after`"),
    ];
    for (json, start) in values {
        let text = complaint(json);
        assert!(
            text.starts_with(start) && !text.contains("token"),
            "{json}: {text}"
        );
    }
    let long = complaint(&format!(r#"{{"{}":1}}"#, "x".repeat(1_000)));
    assert_eq!(long.chars().count(), 200);
}

proptest! {
    #[test]
    fn a_length_is_what_javascript_says(text in any::<String>()) {
        prop_assert_eq!(utf16_len(&text), u64::try_from(text.encode_utf16().count()).unwrap());
    }

    #[test]
    fn a_timestamp_survives_the_wire(ms in -62_000_000_000_000_i64..250_000_000_000_000) {
        let moment = time::OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(ms);
        let written = serde_json::to_value(Timestamp(moment)).unwrap();
        prop_assert_eq!(serde_json::from_value::<Timestamp>(written).unwrap(), Timestamp(moment));
    }
}
