use super::super::frames::{Frame, read};

/// Every example of a server's frame in the contract.
fn examples() -> Vec<String> {
    let contract = include_str!("../../../PROTOCOL.md");
    let mut inside = false;
    let mut found = Vec::new();
    for line in contract.lines() {
        if line.starts_with("```") {
            inside = line == "```json server";
        } else if inside {
            found.push(line.to_owned());
        }
    }
    found
}

#[test]
fn every_frame_of_the_contract_is_known() {
    let examples = examples();
    assert!(examples.len() > 20, "the contract's examples were not found");
    for example in examples {
        let frame = read(&example).unwrap_or_else(|error| panic!("{error}: {example}"));
        assert_ne!(frame, Frame::Unknown, "{example}");
    }
}

#[test]
fn what_is_new_is_ignored() {
    for text in [
        r#"{"type":"hologram","content":""}"#,
        r#"{"type":"notification","event":"sunrise","content":"","timestamp":"2026-11-20T22:39:50.494Z"}"#,
        r#"{"type":"status","content":"of no event"}"#,
    ] {
        assert_eq!(read(text).unwrap(), Frame::Unknown, "{text}");
    }
    let Frame::Error(failure) =
        read(r#"{"type":"error","code":"a_code_of_tomorrow","content":"?","new_field":{"a":[]}}"#).unwrap()
    else {
        panic!("not an error")
    };
    assert_eq!(failure.code, "a_code_of_tomorrow");
}

#[test]
fn what_is_no_frame_is_said_to_be_none() {
    for text in [
        "",
        "hello",
        "[]",
        r#"{"event":"welcome"}"#,
        r#"{"type":"delta","content":"x"}"#,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}
