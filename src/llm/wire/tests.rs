//! How forgiving the shapes are, and that the way of a token borrows.

use super::*;

#[test]
fn a_token_without_escapes_is_borrowed() {
    let json = r#"{"id":"gen-1","choices":[{"index":0,"delta":{"content":"plain"},"finish_reason":"stop"}]}"#;
    let chunk: Chunk<'_> = serde_json::from_str(json).unwrap();
    let choice = chunk.choices.unwrap().remove(0);
    let texts = [chunk.id, choice.delta.unwrap().content, choice.finish_reason];
    assert!(
        texts
            .iter()
            .flatten()
            .all(|text| matches!(text.0, Cow::Borrowed(_))),
        "{texts:?}"
    );
    assert_eq!(texts.iter().flatten().count(), 3);
}

#[test]
fn a_token_with_escapes_is_copied() {
    let chunk: Chunk<'_> =
        serde_json::from_str(r#"{"choices":[{"delta":{"content":"a\n\ud83e\udd80"}}]}"#).unwrap();
    let text = chunk.choices.unwrap().remove(0).delta.unwrap().content.unwrap();
    assert_eq!(text.0, "a\n🦀");
}

#[test]
fn what_only_informs_may_have_any_type() {
    let odd = [
        r#"{"usage":null,"error":null,"choices":null,"id":null,"model":null}"#,
        r#"{"usage":[],"x":1}"#,
        r#"{"usage":{"prompt_tokens":"many","completion_tokens":null,"cost":{}}}"#,
        r#"{"error":{"code":{},"message":7,"type":[],"metadata":"x","availability":[]}}"#,
        r#"{"error":{"code":70000,"metadata":{"error_type":1,"reasons":null}}}"#,
    ];
    for json in odd {
        serde_json::from_str::<Chunk<'_>>(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    }
}

#[test]
fn what_carries_the_answer_must_be_what_it_is() {
    for json in [
        r#"{"choices":[{"delta":{"content":[]}}]}"#,
        r#"{"choices":{}}"#,
        "7",
        "\"x\"",
    ] {
        assert!(serde_json::from_str::<Chunk<'_>>(json).is_err(), "{json}");
    }
}

#[test]
fn a_code_is_a_number_in_either_spelling() {
    let number = |json| serde_json::from_str::<Scalar>(json).unwrap().number();
    assert_eq!(number("429"), Some(429));
    assert_eq!(number("\"429\""), Some(429));
    assert_eq!(number("\"server_error\""), None);
    assert_eq!(number("-1"), None);
}
