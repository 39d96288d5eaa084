use super::{Script, complete, stamps};

#[test]
fn the_newest_script_of_a_request_counts() {
    let old = Script::AT_ONCE;
    let new = Script {
        tokens: 100,
        together: 1,
        every_ms: 20,
    };
    assert_eq!(Script::find(&format!("{old} hello, {new} again")), Some(new));
    assert_eq!(Script::find("[[bench nonsense]]"), None);
    assert_eq!(new.lasts().as_millis(), 2000);
}

#[test]
fn stamps_are_told_from_other_text() {
    let text = b"{\"content\":\"@000000000000012@word @000000000000345@word\",\"mail\":\"a@1@b\"}";
    assert_eq!(stamps(text).collect::<Vec<_>>(), [12, 345]);
}

#[test]
fn a_request_is_complete_with_its_body() {
    let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST";
    assert_eq!(complete(request).unwrap(), Some(request.len() - 4));
    assert_eq!(complete(&request[..40]).unwrap(), None);
    assert!(complete(b"POST / HTTP/1.1\r\n\r\n").is_err());
}
