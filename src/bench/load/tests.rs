use super::{field, has, kind, seq};

#[test]
fn a_frame_is_known_by_its_beginning() {
    assert_eq!(kind(br#"{"type":"delta","content":"a"}"#), b"delta");
    assert_eq!(kind(b"[]"), b"");
}

#[test]
fn fields_are_found_without_parsing() {
    let frame = br#"{"type":"notification","event":"welcome","session_id":"abc","head":0}"#;
    assert!(has(frame, "\"event\":\"welcome\""));
    assert_eq!(field(frame, "\"session_id\":\""), Some("abc"));
    assert_eq!(field(frame, "\"seq\":\""), None);
    assert_eq!(seq(frame), None);
    assert_eq!(seq(br#"{"type":"query","seq":17,"content":"a"}"#), Some(17));
    assert_eq!(seq(br#"{"type":"query","seq":17}"#), Some(17));
}
