//! docs/scaling.md: that the log's tables can be cut up by user.

use super::names;
use crate::support::database::TestDatabase;

/// The tables that grow with what is said.
const LOG: [&str; 8] = [
    "sessions",
    "messages",
    "runs",
    "chunks",
    "feedback",
    "usage",
    "search_index",
    "reservations",
];

#[tokio::test]
async fn every_unique_key_of_the_log_begins_with_the_user() {
    let database = TestDatabase::new().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let tables = LOG.map(|table| format!("'agent.{table}'::regclass")).join(", ");
    let first = format!(
        "SELECT i.indrelid::regclass || ' ' || a.attname FROM pg_index AS i
         JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indisunique AND i.indrelid IN ({tables}) ORDER BY 1"
    );
    let keys = names(&mut connection, &first).await;
    assert!(keys.len() >= LOG.len(), "{keys:?}");
    for key in &keys {
        assert!(
            key.ends_with(" user_id"),
            "{key}: a table cannot be cut up by user"
        );
    }
    // Nor may another table hold a foreign key into it, or it one into another.
    let foreign = format!(
        "SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND (conrelid IN ({tables}) OR confrelid IN ({tables}))"
    );
    assert_eq!(names(&mut connection, &foreign).await, [""; 0]);
}
