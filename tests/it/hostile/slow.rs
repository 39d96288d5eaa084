//! A client that asks for much and reads nothing: little waits for it, it is closed, and its answer is stored whole (T13).

use std::time::Duration;

use super::{Target, report, seconds};
use crate::support::eventually;
use crate::support::provider::Script;
use crate::support::raw::{Part, TEXT};

/// What the model says, in pieces that come as fast as they are taken.
const PIECE: usize = 40_000;
const PIECES: usize = 10;

/// Answers that are asked for: far more than buffers hold.
const ANSWERS: usize = 12;

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_and_its_answers_are_stored() {
    // All of its queries are let in, and run one after the other.
    let changes = [("WRITE_TIMEOUT_MS", "1000"), ("RATE_LIMIT_BURST", "20")];
    let mut target = Target::start(&changes).await;
    let text = "0123456789".repeat(PIECE / 10);
    let answer = (0..PIECES).fold(Script::new(), |script, _| script.text(&text));
    target.provider.on("lot", answer.finish("stop").done());
    let mut slow = target.attacker().await;
    let before = target.usage();
    let began = std::time::Instant::now();
    for n in 0..ANSWERS {
        let query = format!(r#"{{"type":"query","id":"q{n}","content":"Tell me a lot"}}"#);
        slow.frame(TEXT, Part::Last, query.as_bytes()).await.unwrap();
    }
    eventually("the slow client is closed", || async {
        target.has_closed("slow_reader")
    })
    .await;
    let closed = began.elapsed();
    // What it asked before it was closed was accepted, though it never read so.
    let accepted = target
        .database
        .count("SELECT count(*) FROM agent.messages WHERE user_id = 'mallory' AND role = 'user'")
        .await;
    assert!(accepted > 0, "nothing was asked");
    eventually("its answers are stored", || async {
        let stored: Vec<i64> = sqlx::query_scalar(
            "SELECT octet_length(content)::bigint FROM agent.messages
             WHERE user_id = 'mallory' AND role = 'assistant' AND state = 'complete'",
        )
        .fetch_all(&target.database.pool)
        .await
        .unwrap();
        let whole = i64::try_from(PIECE * PIECES).unwrap();
        assert!(stored.iter().all(|length| *length == whole), "{stored:?}");
        i64::try_from(stored.len()) == Ok(accepted)
    })
    .await;
    let cost = target.cost(before);
    cost.assert_within(24, Duration::from_secs(30));
    target.assert_unharmed().await;
    let figures = format!("{cost}, closed after {}", seconds(closed));
    let what = format!("{accepted} answers of 400 KB that nobody reads, all stored");
    report("T13", &what, figures);
}
