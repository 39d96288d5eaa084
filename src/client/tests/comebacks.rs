use std::time::Duration;

use super::super::address::{Address, InvalidAddress};
use super::super::comeback::{Comeback, after_close, after_status, wait};
use super::super::frames::Reconnect;
use crate::protocol::close::CloseReason;

const RECONNECT: Reconnect = Reconnect {
    base_ms: 500,
    max_ms: 30_000,
    jitter_ms: 100,
};

#[test]
fn each_close_reason_of_the_server_has_the_comeback_that_the_contract_names() {
    for reason in CloseReason::ALL {
        let expected = match reason {
            CloseReason::SessionTimeout | CloseReason::ClientClosed => Comeback::Asleep,
            CloseReason::InternalError
            | CloseReason::Restarting
            | CloseReason::Overloaded
            | CloseReason::Flooding
            | CloseReason::TooManyConnections => Comeback::BackOff,
            CloseReason::TokenExpired => Comeback::NewToken,
            CloseReason::Silent | CloseReason::SlowReader => Comeback::Soon,
            CloseReason::ProtocolError
            | CloseReason::BinaryFrame
            | CloseReason::InvalidUtf8
            | CloseReason::MessageTooLarge
            | CloseReason::Replaced
            | CloseReason::BadFrames
            | CloseReason::Unauthorized
            | CloseReason::IdentityChanged
            | CloseReason::NoSuchSession
            | CloseReason::SessionDeleted => Comeback::Stop,
        };
        assert_eq!(after_close(reason.code()), expected, "{reason:?}");
    }
}

#[test]
fn unknown_codes_mean_back_below_4500_and_not_above() {
    for (code, expected) in [
        (1001, Comeback::BackOff),
        (1005, Comeback::BackOff),
        (1006, Comeback::BackOff),
        (3000, Comeback::BackOff),
        (4444, Comeback::BackOff),
        (4499, Comeback::BackOff),
        (4510, Comeback::Stop),
        (4999, Comeback::Stop),
    ] {
        assert_eq!(after_close(code), expected, "{code}");
    }
}

#[test]
fn a_refused_upgrade_is_tried_again_only_where_time_helps() {
    for (status, expected) in [
        (400, Comeback::Stop),
        (401, Comeback::Stop),
        (403, Comeback::Stop),
        (404, Comeback::Stop),
        (421, Comeback::Stop),
        (429, Comeback::BackOff),
        (502, Comeback::BackOff),
        (503, Comeback::BackOff),
        (504, Comeback::BackOff),
    ] {
        assert_eq!(after_status(status), expected, "{status}");
    }
}

#[test]
fn the_wait_is_anywhere_up_to_a_limit_that_doubles() {
    let ms = |failed, random| wait(RECONNECT, failed, None, random).as_millis();
    assert_eq!(ms(0, 0.0), 0);
    assert_eq!(ms(0, 1.0), 600);
    assert_eq!(ms(1, 1.0), 1100);
    assert_eq!(ms(3, 0.5), 2050);
    assert_eq!(ms(10, 1.0), 30_100);
    assert_eq!(ms(u32::MAX, 1.0), 30_100, "it neither overflows nor grows beyond");
}

#[test]
fn nobody_comes_back_before_the_server_asked_for_it() {
    for failed in [0, 5, 40] {
        for random in [0.0, 0.3, 0.999] {
            let asked = Duration::from_millis(2228);
            let waits = wait(RECONNECT, failed, Some(asked), random);
            assert!(waits >= asked && waits <= asked + Duration::from_millis(500));
        }
    }
}

#[test]
fn an_address_is_taken_in_the_forms_that_people_paste() {
    for (text, socket, health) in [
        (
            "ws://127.0.0.1:8080/v1/ws",
            "ws://127.0.0.1:8080/v1/ws",
            "http://127.0.0.1:8080/healthz",
        ),
        (
            "127.0.0.1:8080",
            "ws://127.0.0.1:8080/v1/ws",
            "http://127.0.0.1:8080/healthz",
        ),
        (
            "https://agent.example.com",
            "wss://agent.example.com/v1/ws",
            "https://agent.example.com/healthz",
        ),
        (
            "https://example.com/agent/",
            "wss://example.com/agent/v1/ws",
            "https://example.com/agent/healthz",
        ),
        (
            "wss://example.com/functions/v1/agent_websocket",
            "wss://example.com/functions/v1/agent_websocket",
            "https://example.com/healthz",
        ),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.socket(), socket);
        assert_eq!(address.http("/healthz"), health);
    }
    for (text, fault) in [
        ("ftp://example.com", InvalidAddress::Form),
        ("http://", InvalidAddress::Form),
        ("", InvalidAddress::Form),
        ("wss://me:secret@example.com", InvalidAddress::Extra),
        ("wss://example.com/v1/ws?access_token=x", InvalidAddress::Extra),
    ] {
        assert_eq!(text.parse::<Address>(), Err(fault), "{text}");
    }
}
