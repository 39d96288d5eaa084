//! docs/scaling.md and deploy/partition.sql: that the log's tables can be cut up by user, and what the cutting keeps. How the
//! service does on such tables is in `parts`.

use agent_websocket::store::Store;
use sqlx::AssertSqlSafe;

use super::{count, execute, forbidden, names, seeded};
use crate::support::database::TestDatabase;
use crate::tidy::read;

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

/// Everything that the schema says of its tables, views and functions, a line each; of the parts nothing.
const SCHEMA: &str = r"
    WITH whole AS (
        SELECT c.oid, c.relname, c.relkind, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.reloptions
        FROM pg_class AS c
        WHERE c.relnamespace = 'agent'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition)
    SELECT format('relation %s: owner %s, grants %s, row security %s %s, %s', c.relname, c.relowner::regrole, g.acl,
                  c.relrowsecurity, c.relforcerowsecurity, obj_description(c.oid, 'pg_class'))
    FROM whole AS c
    -- Beside the owner's own, which are there whether they are written out or not.
    CROSS JOIN LATERAL (SELECT string_agg(a::text, ' ' ORDER BY a::text) AS acl
                        FROM unnest(c.relacl) AS a WHERE a::text NOT LIKE c.relowner::regrole || '=%') AS g
    UNION ALL
    SELECT format('column %s.%s: %s%s%s, grants %s, %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attnotnull THEN ' not null' END, ' ' || pg_get_expr(d.adbin, d.adrelid), a.attacl,
                  col_description(c.oid, a.attnum))
    FROM whole AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT format('constraint %s of %s: %s', k.conname, c.relname, pg_get_constraintdef(k.oid))
    FROM whole AS c JOIN pg_constraint AS k ON k.conrelid = c.oid
    UNION ALL
    SELECT format('index: %s, valid %s', replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '), i.indisvalid)
    FROM whole AS c JOIN pg_index AS i ON i.indrelid = c.oid
    UNION ALL
    SELECT format('policy %s of %s: %s', p.policyname, p.tablename, p::text) FROM whole AS c
    JOIN pg_policies AS p ON p.schemaname = 'agent' AND p.tablename = c.relname
    UNION ALL
    SELECT format('view %s: %s %s', c.relname, c.reloptions, pg_get_viewdef(c.oid)) FROM whole AS c WHERE c.relkind = 'v'
    UNION ALL
    SELECT format('function %s: owner %s, grants %s, %s %s', p.oid::regprocedure, p.proowner::regrole,
                  (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(p.proacl) AS a), obj_description(p.oid),
                  pg_get_functiondef(p.oid))
    FROM pg_proc AS p WHERE p.pronamespace = 'agent'::regnamespace AND p.prokind = 'f'
    UNION ALL
    SELECT format('trigger %s', pg_get_triggerdef(t.oid))
    FROM whole AS c JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    ORDER BY 1";

/// Every row of the tables that are cut.
async fn rows(database: &TestDatabase) -> Vec<String> {
    let mut rows = Vec::new();
    for table in LOG {
        let sql = format!("SELECT '{table} ' || t::text FROM agent.{table} AS t ORDER BY 1");
        let of_table: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&database.pool)
            .await
            .unwrap();
        assert!(!of_table.is_empty(), "{table}");
        rows.extend(of_table);
    }
    rows
}

const CUT: &str =
    "SELECT count(*) FROM pg_class WHERE relnamespace = 'agent'::regnamespace AND relkind = 'p'";

#[tokio::test]
async fn cutting_keeps_every_row_and_all_that_the_schema_says() {
    let database = seeded().await;
    let mut connection = database.pool.acquire().await.unwrap();
    // Somebody's own view on one of the tables, and one on that.
    let views = "CREATE SCHEMA reports;
                 CREATE VIEW reports.questions AS SELECT user_id, content FROM agent.messages WHERE role = 'user';
                 CREATE VIEW reports.counts AS SELECT user_id, count(*) AS n FROM reports.questions GROUP BY user_id";
    execute(&mut connection, views).await;
    let counts = "SELECT string_agg(user_id || ' ' || n, ', ' ORDER BY user_id) FROM reports.counts";
    let before = (
        names(&mut connection, SCHEMA).await,
        rows(&database).await,
        names(&mut connection, counts).await,
    );
    // A second time, nothing is left to do.
    for _again in 0..2 {
        database.cut().await;
        assert_eq!(count(&mut connection, CUT).await, 8);
    }
    assert_eq!(names(&mut connection, SCHEMA).await, before.0);
    assert_eq!(rows(&database).await, before.1);
    assert_eq!(names(&mut connection, counts).await, before.2);
    // As `agent-websocket check` asks.
    let store = Store::connect(&database.server_url, 1).await.unwrap();
    assert_eq!(store.missing_indexes().await.unwrap(), [""; 0]);
    assert_eq!(store.missing_rights().await.unwrap(), [""; 0]);
    store.close().await;
    let with_rows = "SELECT count(DISTINCT tableoid) FROM agent.messages";
    assert_eq!(count(&mut connection, with_rows).await, 2, "each user in a part");
}

#[tokio::test]
async fn a_part_shows_nobody_more_than_the_whole_does() {
    let database = seeded().await;
    database.cut().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let everything = "SELECT count(*) FROM agent.messages";
    assert_eq!(count(&mut connection, everything).await, 11);
    let parts =
        "SELECT format('agent.%I', c.relname) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'agent.messages'::regclass";
    let parts = names(&mut connection, parts).await;
    assert_eq!(parts.len(), 4);

    execute(
        &mut connection,
        "BEGIN; SET LOCAL ROLE agent_user; SET LOCAL agent.user_id = 'u_42'",
    )
    .await;
    assert_eq!(count(&mut connection, everything).await, 8);
    for part in &parts {
        forbidden(&mut connection, &format!("SELECT * FROM {part}")).await;
    }
    execute(&mut connection, "ROLLBACK; BEGIN; SET LOCAL ROLE agent_reader").await;
    let mut seen = 0;
    for part in &parts {
        seen += count(&mut connection, &format!("SELECT count(*) FROM {part}")).await;
        forbidden(&mut connection, &format!("DELETE FROM {part}")).await;
    }
    assert_eq!(seen, 11);
    execute(&mut connection, "ROLLBACK").await;
}

#[tokio::test]
async fn cutting_refuses_to_lose_what_somebody_put_on_a_table() {
    let database = seeded().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let script = read("deploy/partition.sql");
    for (put, said, take) in [
        (
            "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER audit AFTER INSERT ON agent.messages FOR EACH ROW EXECUTE FUNCTION public.nothing()",
            "trigger audit on agent.messages",
            "DROP TRIGGER audit ON agent.messages",
        ),
        (
            "CREATE POLICY mine ON agent.runs USING (false)",
            "policy mine on agent.runs",
            "DROP POLICY mine ON agent.runs",
        ),
        (
            "CREATE PUBLICATION changes FOR TABLE agent.sessions",
            "publication changes of agent.sessions",
            "DROP PUBLICATION changes",
        ),
        (
            "GRANT SELECT (content) ON agent.messages TO authenticated",
            "grant to authenticated on agent.messages",
            "REVOKE ALL ON agent.messages FROM authenticated",
        ),
        (
            "CREATE MATERIALIZED VIEW public.kept AS SELECT count(*) FROM agent.feedback",
            "cannot drop table agent.feedback_whole",
            "DROP MATERIALIZED VIEW public.kept",
        ),
    ] {
        execute(&mut connection, put).await;
        let refused = sqlx::raw_sql(AssertSqlSafe(script.clone()))
            .execute(&mut *connection)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
        assert_eq!(count(&mut connection, CUT).await, 0, "nothing has changed");
        execute(&mut connection, take).await;
    }
    database.cut().await;
    assert_eq!(count(&mut connection, CUT).await, 8);
}
