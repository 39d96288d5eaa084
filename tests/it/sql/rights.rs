//! Who may read, write and call what: each role does its work, and nothing else in the whole schema.

use sqlx::postgres::PgListener;
use sqlx::{Executor, PgConnection};

use super::{acting_as, count, execute, forbidden, names, seeded};
use crate::support::PATIENCE;
use crate::support::database::TestDatabase;

/// The tables and views in which a role may do one of these, be it in one column.
async fn where_it_may(connection: &mut PgConnection, role: &str, table: &str, column: &str) -> Vec<String> {
    let sql = format!(
        "SELECT c.relname::text FROM pg_class AS c
         WHERE c.relnamespace = 'agent'::regnamespace AND c.relkind = ANY ('{{r,p,v,m}}')
           AND (has_table_privilege('{role}', c.oid, '{table}')
                OR has_any_column_privilege('{role}', c.oid, '{column}'))
         ORDER BY 1"
    );
    names(connection, &sql).await
}

/// Where a role may change anything.
async fn where_it_may_write(connection: &mut PgConnection, role: &str) -> Vec<String> {
    let table = "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER";
    where_it_may(connection, role, table, "INSERT, UPDATE, REFERENCES").await
}

/// The functions that a role may call.
async fn callable(connection: &mut PgConnection, role: &str) -> Vec<String> {
    let sql = format!(
        "SELECT proname::text FROM pg_proc
         WHERE pronamespace = 'agent'::regnamespace AND has_function_privilege('{role}', oid, 'EXECUTE') ORDER BY 1"
    );
    names(connection, &sql).await
}

const WRITES: [&str; 6] = [
    "INSERT INTO agent.sessions (user_id, session_id) VALUES ('u_42', gen_random_uuid())",
    "UPDATE agent.sessions SET title = 'mine'",
    "UPDATE agent.notifications SET content = 'mine'",
    "DELETE FROM agent.messages",
    "TRUNCATE agent.usage",
    "CREATE TABLE agent.mine ()",
];

#[tokio::test]
async fn a_reader_reads_everything_and_changes_nothing() {
    let database = seeded().await;
    let mut superuser = database.pool.acquire().await.unwrap();
    let relations = where_it_may(&mut superuser, "agent", "SELECT", "SELECT").await;
    let all = "SELECT count(*) FROM pg_class WHERE relnamespace = 'agent'::regnamespace AND relkind IN ('r', 'p', 'v')";
    let all = usize::try_from(count(&mut superuser, all).await).unwrap();
    assert_eq!(relations.len(), all, "{relations:?}");
    let mut reader = acting_as(&database, "agent_reader").await;
    for relation in relations {
        let sql = format!("SELECT count(*) FROM agent.{relation}");
        let rows = count(&mut superuser, &sql).await;
        assert!(rows > 0, "the seed shows nothing of {relation}");
        assert_eq!(count(&mut reader, &sql).await, rows, "{relation}");
    }
    assert_eq!(
        callable(&mut superuser, "agent_reader").await,
        ["owner_word", "search", "words_of"]
    );
    assert_eq!(where_it_may_write(&mut superuser, "agent_reader").await, [""; 0]);
    for sql in WRITES {
        forbidden(&mut reader, sql).await;
    }
    forbidden(&mut reader, "SELECT agent.erase_user('u_42')").await;
}

#[tokio::test]
async fn a_user_changes_nothing_not_even_what_is_theirs() {
    let database = seeded().await;
    let mut superuser = database.pool.acquire().await.unwrap();
    assert_eq!(where_it_may_write(&mut superuser, "agent_user").await, [""; 0]);
    assert_eq!(
        callable(&mut superuser, "agent_user").await,
        ["current_user_id", "owner_word", "search", "words_of"]
    );
    let mut user = acting_as(&database, "agent_user").await;
    execute(&mut user, "SET LOCAL agent.user_id = 'u_42'").await;
    for sql in WRITES {
        forbidden(&mut user, sql).await;
    }
    forbidden(
        &mut user,
        "SELECT agent.delete_session('u_42', gen_random_uuid())",
    )
    .await;
}

#[tokio::test]
async fn a_notifier_notifies_and_neither_reads_nor_changes() {
    let database = seeded().await;
    let mut superuser = database.pool.acquire().await.unwrap();
    assert_eq!(
        where_it_may(&mut superuser, "agent_notifier", "SELECT", "SELECT").await,
        [""; 0]
    );
    assert_eq!(
        where_it_may_write(&mut superuser, "agent_notifier").await,
        ["notifications"]
    );
    assert_eq!(callable(&mut superuser, "agent_notifier").await, ["notify"]);
    let mut notifier = acting_as(&database, "agent_notifier").await;
    for sql in [
        "INSERT INTO agent.notifications (user_id, content) VALUES ('n', 'plain')",
        "INSERT INTO agent.notifications (user_id, content, dedupe_key) VALUES ('n', 'keyed', 'k') ON CONFLICT DO NOTHING",
        "INSERT INTO agent.notifications (user_id, content, dedupe_key) VALUES ('n', 'again', 'k') ON CONFLICT DO NOTHING",
        "SELECT agent.notify(user_id => 'n', content => 'again', dedupe_key => 'k')",
        "SELECT agent.notify(user_id => 'n', content => 'called', in_context => true, session_id => gen_random_uuid())",
    ] {
        execute(&mut notifier, sql).await;
    }
    for sql in WRITES {
        forbidden(&mut notifier, sql).await;
    }
    for reading in [
        "SELECT count(*) FROM agent.notifications",
        "INSERT INTO agent.notifications (user_id, content) VALUES ('n', 'x') RETURNING notification_id",
        "INSERT INTO agent.notifications (user_id, content, dedupe_key) VALUES ('n', 'x', 'k')
         ON CONFLICT (user_id, dedupe_key) DO NOTHING",
        "INSERT INTO agent.notifications (user_id, content, dedupe_key) VALUES ('n', 'x', 'k')
         ON CONFLICT (user_id, dedupe_key) DO UPDATE SET content = 'x'",
        "INSERT INTO agent.notifications (user_id, content, created_at) VALUES ('n', 'x', 'epoch')",
        "DELETE FROM agent.notifications",
    ] {
        forbidden(&mut notifier, reading).await;
    }
    notifier.commit().await.unwrap();
    let arrived = "SELECT content FROM agent.notifications WHERE user_id = 'n' ORDER BY created_at";
    assert_eq!(names(&mut superuser, arrived).await, ["plain", "keyed", "called"]);
}

#[tokio::test]
async fn many_notifications_of_one_statement_make_one_hint() {
    let database = TestDatabase::new().await;
    let mut listener = PgListener::connect_with(&database.pool).await.unwrap();
    listener.listen("agent_notifications").await.unwrap();
    let mut notifier = acting_as(&database, "agent_notifier").await;
    let many = "INSERT INTO agent.notifications (user_id, content)
                SELECT 'u_' || n, 'Tonight at 22:00' FROM generate_series(1, 500) AS n";
    execute(&mut notifier, many).await;
    notifier.commit().await.unwrap();
    // What is sent after it arrives after it.
    database
        .pool
        .execute("NOTIFY agent_notifications, 'the end'")
        .await
        .unwrap();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|payload| payload != "the end") {
        let hint = tokio::time::timeout(PATIENCE, listener.recv()).await;
        heard.push(hint.expect("a hint").unwrap().payload().to_owned());
    }
    assert_eq!(heard, ["", "the end"]);
    assert_eq!(
        database.count("SELECT count(*) FROM agent.notifications").await,
        500
    );
}

#[tokio::test]
async fn the_servers_role_cannot_change_a_message_nor_the_schema() {
    let database = seeded().await;
    let mut superuser = database.pool.acquire().await.unwrap();
    let updates = where_it_may(&mut superuser, "agent_app", "UPDATE", "UPDATE").await;
    for table in ["messages", "chunks", "search_index", "migrations"] {
        assert!(!updates.iter().any(|known| known == table), "{table}");
    }
    let mut app = acting_as(&database, "agent_app").await;
    for sql in [
        "UPDATE agent.messages SET content = 'never said'",
        "UPDATE agent.messages SET state = 'complete' WHERE user_id = 'u_42' AND seq = 5",
        "TRUNCATE agent.messages",
        "DELETE FROM agent.migrations",
        "CREATE TABLE agent.mine ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION agent.mine() RETURNS integer LANGUAGE sql RETURN 1",
        "ALTER TABLE agent.messages ADD COLUMN mine text",
        "ALTER TABLE agent.messages DISABLE ROW LEVEL SECURITY",
        "DROP POLICY reader ON agent.messages",
        "DROP TABLE agent.messages",
        "DROP VIEW agent.transcript",
        "SELECT agent.grant_access()",
        "CREATE ROLE mine",
    ] {
        forbidden(&mut app, sql).await;
    }
    // It does its work, for all users.
    execute(
        &mut app,
        "UPDATE agent.sessions SET title = 'Renamed' WHERE user_id = 'u_7'",
    )
    .await;
    assert_eq!(count(&mut app, "SELECT count(*) FROM agent.messages").await, 11);
    let removed = "SELECT sum(rows_removed)::bigint FROM agent.erase_user('u_42')";
    assert!(count(&mut app, removed).await > 20);
    assert_eq!(count(&mut app, "SELECT count(*) FROM agent.messages").await, 3);
}

#[tokio::test]
async fn nothing_of_the_schema_is_open_to_everybody() {
    let database = TestDatabase::new().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let open = "
        SELECT proname || '()' FROM pg_proc,
               LATERAL aclexplode(coalesce(proacl, acldefault('f', proowner))) AS granted
        WHERE pronamespace = 'agent'::regnamespace AND granted.grantee = 0
        UNION ALL
        SELECT relname::text FROM pg_class, LATERAL aclexplode(relacl) AS granted
        WHERE relnamespace = 'agent'::regnamespace AND granted.grantee = 0
        UNION ALL
        SELECT 'the schema' FROM pg_namespace, LATERAL aclexplode(nspacl) AS granted
        WHERE nspname = 'agent' AND granted.grantee = 0";
    assert_eq!(names(&mut connection, open).await, [""; 0]);
    assert!(
        callable(&mut connection, "agent_app").await.len() > 15,
        "no function was found"
    );
}
