//! Which texts are ids.

use super::UserId;

#[test]
fn a_user_id_is_1_to_255_bytes_without_control_characters() {
    let longest = "u".repeat(255);
    for good in ["u", "u_42", "auth0|5f7c", "Ünïcode 名前", "a b", longest.as_str()] {
        assert_eq!(UserId::new(good).unwrap().as_str(), good);
    }
    let too_long = "u".repeat(256);
    // 128 characters, but 256 bytes: the limit is of bytes.
    let too_wide = "é".repeat(128);
    for bad in [
        "",
        "\0",
        "a\0b",
        "a\nb",
        "a\rb",
        "\u{7f}",
        "\u{85}",
        too_long.as_str(),
        too_wide.as_str(),
    ] {
        assert!(UserId::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_user_id_serializes_as_its_text() {
    assert_eq!(
        serde_json::to_string(&UserId::new("u_42").unwrap()).unwrap(),
        r#""u_42""#
    );
}
