//! What is kept of foreign words.

use super::*;

#[test]
fn a_detail_is_one_bounded_line() {
    let detail = Detail::new(format!("a\r\nb\0\u{1b}[31m\u{85}{}", "x".repeat(1_000))).to_string();
    assert!(detail.starts_with("a  b  [31m x"), "{detail:?}");
    assert_eq!(detail.chars().count(), Detail::MAX_CHARS);
}

#[test]
fn a_detail_of_an_error_names_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);
    let detail = Detail::of_error(&Outer(std::io::Error::other("refused")));
    assert_eq!(detail.to_string(), "outer: refused");
}
