//! Plans are made while the tables are empty, and kept: what comes later must be found by key all the same, and not by a walk.
//!
//! Postgres counts the rows and the entries of indexes that are read, those of rows that are gone included. The load is the same thing
//! over and over, so what walks through all that came before reads more than ten thousand.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::eventually;
use crate::support::node::TestNode;
use crate::support::provider::{Script, ScriptedProvider};

const TIMES: i64 = 150;

/// The most that one of them may read in one table or index: what it writes, what it answers, and what asks beside it ten times a
/// second. On a machine that was busy with all other tests it was 8; a walk reads 75 on average.
const EACH: i64 = 30;

/// Rows of tables and entries of indexes that were read since the statistics were reset, by connections that have ended or rest.
async fn read(node: &TestNode) -> BTreeMap<String, i64> {
    let counted: Vec<(String, i64)> = sqlx::query_as(
        "SELECT relname::text, seq_tup_read FROM pg_stat_user_tables WHERE schemaname = 'agent'
         UNION ALL
         SELECT indexrelname::text, idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = 'agent'",
    )
    .fetch_all(&node.database.pool)
    .await
    .unwrap();
    counted.into_iter().filter(|(_, read)| *read > 0).collect()
}

fn walked(read: &BTreeMap<String, i64>) -> Vec<(&String, &i64)> {
    read.iter().filter(|(_, read)| **read > TIMES * EACH).collect()
}

#[tokio::test]
async fn what_was_planned_on_empty_tables_finds_by_key_what_comes_later() {
    let provider = ScriptedProvider::start().await;
    let slow = Script::new().text("so ").delay(Duration::from_millis(10));
    provider.on("slow", slow.text("slow").finish("stop").done());
    // What is begun is stored before it is whole.
    let mut node = TestNode::start(&provider, &[("CHUNK_FLUSH_MS", "1")]).await;
    node.listening().await;
    let mut client = node.connect("u").await;
    client.live().await;
    for nth in 0..TIMES {
        client.ask(&format!("q{nth}"), "slow").await;
        let content = format!("notification {nth}");
        node.database.notify("u", &content).await;
        client.until(|frame| frame["content"] == content.as_str()).await;
        if nth == 0 {
            // By now all is planned, for one session.
            let others = "INSERT INTO agent.sessions (user_id, session_id) SELECT 'other', gen_random_uuid() FROM generate_series(1, 200)";
            node.database.execute(others).await;
        }
    }
    assert!(node.database.count("SELECT count(*) FROM agent.chunks").await >= TIMES / 2);
    node.shut_down().await;
    eventually("the end of each run, which finds its row, is counted", || async {
        read(&node).await.get("runs_pkey") >= Some(&TIMES)
    })
    .await;
    let all = read(&node).await;
    assert_eq!(walked(&all), [], "of {all:#?}");
}
