//! What is kept of foreign words.

use super::*;

#[test]
fn foreign_names_are_one_bounded_line() {
    let name = plain(&format!("a\r\nb\0\u{1b}[31m\u{85}{}", "x".repeat(1_000)), 20);
    assert_eq!(name, format!("a  b  [31m {}", "x".repeat(9)));
}

#[test]
fn a_broken_connection_names_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);
    let detail = Detail::of_error(&Outer(std::io::Error::other("refused")));
    assert_eq!(detail.to_string(), "outer: refused");
}

#[test]
fn a_complaint_is_its_number_and_its_name_and_never_a_sentence() {
    let of = |names: &[Option<&str>]| Detail::of_complaint(Some(400), names.iter().copied()).to_string();
    assert_eq!(
        of(&[None, Some("rate_limit_exceeded")]),
        "status 400, rate_limit_exceeded"
    );
    assert_eq!(of(&[Some("two words"), Some("name")]), "status 400, name");
    for sentence in [
        "",
        "Hello",
        "hello!",
        "sk-or-v1-7",
        "eyJhbGciOi.x",
        "_x",
        "7",
        "na\u{2028}me",
        &"x".repeat(49),
    ] {
        assert_eq!(of(&[Some(sentence)]), "status 400", "{sentence:?}");
    }
    assert_eq!(Detail::of_complaint(None, []).to_string(), "no status");
}

#[test]
fn json_that_cannot_be_read_is_not_quoted() {
    let unexpected = serde_json::from_str::<u8>("\n \"what the model said\"").unwrap_err();
    assert_eq!(
        Detail::of_json(&unexpected).to_string(),
        "unexpected JSON at line 2 column 22"
    );
    let broken = serde_json::from_str::<u8>("what the model said").unwrap_err();
    assert_eq!(Detail::of_json(&broken).to_string(), "no JSON at line 1 column 1");
}
