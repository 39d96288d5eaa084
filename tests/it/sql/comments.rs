//! Whoever opens the schema in a client finds each name explained.

use super::names;
use crate::support::database::TestDatabase;

/// Everything in the schema that has a name, with its comment.
const NAMED: &str = "
    WITH relations AS (
        SELECT c.oid, c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'agent'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ),
    named (name, comment) AS (
        SELECT relname::text, obj_description(oid, 'pg_class') FROM relations
        UNION ALL
        SELECT relname || '.' || attname, col_description(oid, attnum)
        FROM relations JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT proname || '()', obj_description(oid, 'pg_proc') FROM pg_proc
        WHERE pronamespace = 'agent'::regnamespace
        UNION ALL
        SELECT 'the schema', obj_description('agent'::regnamespace, 'pg_namespace')
    )";

#[tokio::test]
async fn every_table_view_column_and_function_says_what_it_is() {
    let database = TestDatabase::new().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let bare = "SELECT name FROM named WHERE comment IS NULL OR comment !~ '\\w\\W*$' ORDER BY name";
    let without = names(&mut connection, &format!("{NAMED} {bare}")).await;
    assert!(without.is_empty(), "no COMMENT: {}", without.join(", "));

    let all = names(&mut connection, &format!("{NAMED} SELECT name FROM named")).await;
    for known in ["messages", "transcript.rating", "migrations.version", "notify()"] {
        assert!(all.iter().any(|name| name == known), "{known} was not looked at");
    }
}
