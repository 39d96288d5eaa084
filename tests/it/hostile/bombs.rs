//! JSON that is meant to hurt: each piece is one error, the socket lives on, and too many of them end it (T14).

use std::time::Duration;

use serde_json::Value;

use super::{Target, report};
use crate::support::client::TestClient;
use crate::support::node::token;

/// How large a bomb is, in bytes: some of them fit into the burst that a connection has.
const SIZE: usize = 48 * 1024;

fn query(fields: &str) -> String {
    format!(r#"{{"type":"query","id":"f","content":"x",{fields}}}"#)
}

/// What is sent, and the code that answers it.
type Bomb = (&'static str, String, &'static str);

/// Shapes: depth, breadth, length.
fn shapes() -> Vec<Bomb> {
    let open = "[".repeat(SIZE);
    let nested = |n: usize| {
        query(&format!(
            r#""metadata":{}1{}"#,
            r#"{"a":"#.repeat(n),
            "}".repeat(n)
        ))
    };
    let in_field = query(&format!(r#""metadata":{open}"#));
    let names = (0..SIZE / 10).fold(String::new(), |names, n| names + &format!(r#""{n:05}":0,"#));
    let long_name = format!(r#"{{"{}":1,"type":"query"}}"#, "x".repeat(SIZE));
    vec![
        ("brackets without end", open, "invalid_json"),
        ("brackets in a field", in_field, "invalid_json"),
        ("objects in objects", nested(4000), "invalid_message"),
        ("depth of nine", nested(9), "invalid_message"),
        (
            "many fields",
            format!(r#"{{{names}"type":"query"}}"#),
            "invalid_message",
        ),
        ("a name without end", long_name, "invalid_message"),
        ("blanks without end", " ".repeat(SIZE), "invalid_json"),
    ]
}

/// Names that come twice.
fn repetitions() -> Vec<Bomb> {
    let keys = r#""k":null,"#.repeat(SIZE / 10);
    let types = r#"{"type":"query","type":"command","content":"x"}"#;
    vec![
        ("a field twice", query(r#""content":"y""#), "invalid_message"),
        ("a type twice", types.to_owned(), "invalid_message"),
        (
            "a field many times",
            format!(r#"{{{keys}"type":"query"}}"#),
            "invalid_message",
        ),
    ]
}

fn numbers() -> Vec<Bomb> {
    let digits = "9".repeat(SIZE);
    let metadata = |n: &str| query(&format!(r#""metadata":{{"n":{n}}}"#));
    vec![
        ("a number beyond any", metadata("1e999999999"), "invalid_message"),
        ("a number of many digits", metadata(&digits), "invalid_message"),
        (
            "an exponent of many digits",
            metadata(&format!("1e{digits}")),
            "invalid_message",
        ),
    ]
}

/// Characters that are none, or that Postgres cannot hold.
fn characters() -> Vec<Bomb> {
    let metadata = |object: &str| query(&format!(r#""metadata":{object}"#));
    let escapes = format!(r#"{{"type":"{}"}}"#, "\\u0041".repeat(SIZE / 6));
    vec![
        (
            "NUL in the text",
            metadata(r#"{"a":"\u0000"}"#),
            "invalid_message",
        ),
        ("NUL in a name", metadata(r#"{"\u0000":1}"#), "invalid_message"),
        (
            "a lone surrogate",
            metadata(r#"{"a":"\ud800"}"#),
            "invalid_message",
        ),
        (
            "surrogates the wrong way round",
            metadata(r#"{"a":"\udc00\ud800"}"#),
            "invalid_message",
        ),
        ("escapes without end", escapes, "unknown_type"),
    ]
}

#[tokio::test]
async fn each_bomb_is_one_error_and_the_socket_lives_until_there_were_too_many() {
    let mut target = Target::start(&[]).await;
    let mut mallory = TestClient::connect(&target.server.base, &token("mallory"), "").await;
    mallory.live().await;
    let before = target.usage();
    let all = [shapes(), repetitions(), numbers(), characters()].concat();
    for (what, text, code) in &all {
        mallory.send_text(text).await;
        let answer = mallory
            .next()
            .await
            .unwrap_or_else(|end| panic!("{what}: {end:?}"));
        assert_eq!(answer["type"], "error", "{what}: {answer}");
        assert_eq!(answer["code"], *code, "{what}: {answer}");
        assert!(
            answer["content"].as_str().unwrap().len() < 400,
            "{what}: {answer}"
        );
    }
    let cost = target.cost(before);
    cost.assert_within(2, Duration::from_secs(2));
    mallory.ask("good", "And now a good one").await;
    report(
        "T14",
        &format!("{} bombs, each answered by an error", all.len()),
        cost,
    );

    let mut further = 0;
    let end = loop {
        mallory.send_text("[[[[").await;
        match mallory.next().await {
            Ok(answer) => assert_eq!(answer["code"], "invalid_json"),
            Err(end) => break end,
        }
        further += 1;
    };
    assert_eq!(end.map(|close| u16::from(close.code)), Some(4500));
    let borne = all.len() + further;
    assert!((20..=40).contains(&borne), "{borne} in a minute");
    report(
        "T14",
        "bad frames in a row",
        format!("closed with 4500 after {borne}"),
    );
    assert_eq!(stored(&target).await, Vec::<Value>::new());
    target.assert_unharmed().await;
}

/// What of the bombs is in the log: nothing may be.
async fn stored(target: &Target) -> Vec<Value> {
    sqlx::query_scalar(
        "SELECT to_jsonb(m) FROM agent.messages AS m
         WHERE m.user_id = 'mallory' AND m.role = 'user' AND m.content <> 'And now a good one'",
    )
    .fetch_all(&target.database.pool)
    .await
    .unwrap()
}
