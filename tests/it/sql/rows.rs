//! One user's rows only: what role `agent_user` sees, by each way of naming the user, in every table and view.

use super::{acting_as, count, execute, forbidden, names, seeded};
use crate::support::database::TestDatabase;

/// The ways of naming the user: of a service of one's own, of `PostgREST` today, and of `PostgREST` before.
const WAYS: [&str; 3] = [
    "SET LOCAL agent.user_id = 'u_42'",
    r#"SET LOCAL request.jwt.claims = '{"sub": "u_42", "role": "authenticated"}'"#,
    "SET LOCAL request.jwt.claim.sub = 'u_42'",
];

/// Tables and views that have rows of users.
const OF_USERS: &str = "
    SELECT c.relname::text FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
    WHERE c.relnamespace = 'agent'::regnamespace AND c.relkind = ANY ('{r,p,v,m}')";

/// Where `agent_user` may look.
async fn readable(database: &TestDatabase) -> Vec<String> {
    let mut connection = database.pool.acquire().await.unwrap();
    let sql = format!("{OF_USERS} AND has_table_privilege('agent_user', c.oid, 'SELECT') ORDER BY 1");
    names(&mut connection, &sql).await
}

/// Rows in a relation, and those of them that are `u_42`'s.
async fn seen(connection: &mut sqlx::PgConnection, relation: &str) -> (i64, i64) {
    let all = format!("SELECT count(*) FROM agent.{relation}");
    let own = format!("{all} WHERE user_id = 'u_42'");
    (count(connection, &all).await, count(connection, &own).await)
}

#[tokio::test]
async fn a_user_sees_all_of_their_rows_and_no_others_in_every_table_and_view() {
    let database = seeded().await;
    let relations = readable(&database).await;
    assert_eq!(
        relations.len(),
        14,
        "of 11 tables all but chunks, reservations and tickets, and 6 views: {relations:?}"
    );
    for relation in &relations {
        let mut superuser = database.pool.acquire().await.unwrap();
        let (all, own) = seen(&mut superuser, relation).await;
        assert!(
            0 < own && own < all,
            "the seed shows nothing of {relation}: {own} of {all}"
        );
        for way in WAYS {
            let mut user = acting_as(&database, "agent_user").await;
            execute(&mut user, way).await;
            assert_eq!(
                seen(&mut user, relation).await,
                (own, own),
                "{relation} after {way}"
            );
        }
    }
}

#[tokio::test]
async fn where_no_user_is_named_nothing_is_seen() {
    let database = seeded().await;
    for nobody in [
        "SELECT 1",
        "SET LOCAL agent.user_id = ''",
        "SET LOCAL request.jwt.claims = '{\"role\": \"anon\"}'",
        "SET LOCAL agent.user_id = 'u_4'",
    ] {
        let mut user = acting_as(&database, "agent_user").await;
        execute(&mut user, nobody).await;
        for relation in readable(&database).await {
            assert_eq!(
                seen(&mut user, &relation).await,
                (0, 0),
                "{relation} after {nobody}"
            );
        }
    }
}

#[tokio::test]
async fn a_user_finds_their_own_words_and_nobody_elses() {
    let database = seeded().await;
    let mut user = acting_as(&database, "agent_user").await;
    execute(&mut user, WAYS[1]).await;
    let found = |whose: &str| format!("SELECT count(*) FROM agent.search('{whose}', 'invoice')");
    assert_eq!(count(&mut user, &found("u_42")).await, 3);
    assert_eq!(count(&mut user, &found("u_7")).await, 0);
    let mut superuser = database.pool.acquire().await.unwrap();
    assert_eq!(count(&mut superuser, &found("u_7")).await, 1);
}

#[tokio::test]
async fn a_login_in_agent_user_is_bound_like_it_and_may_not_read_what_has_no_owner() {
    let database = seeded().await;
    let mut login = database.pool.begin().await.unwrap();
    execute(&mut login, "CREATE ROLE rows_web_api LOGIN IN ROLE agent_user").await;
    execute(&mut login, "SET LOCAL ROLE rows_web_api").await;
    assert_eq!(seen(&mut login, "transcript").await, (0, 0));
    execute(&mut login, WAYS[0]).await;
    assert_eq!(seen(&mut login, "transcript").await, (8, 8));
    for sql in [
        "SELECT count(*) FROM agent.chunks",
        "SELECT version FROM agent.nodes",
        "SELECT count(*) FROM agent.migrations",
    ] {
        forbidden(&mut login, sql).await;
    }
}

#[tokio::test]
async fn a_role_without_a_policy_sees_nothing_whatever_it_is_granted() {
    let database = seeded().await;
    let mut stranger = database.pool.begin().await.unwrap();
    execute(
        &mut stranger,
        "CREATE ROLE rows_stranger; GRANT USAGE ON SCHEMA agent TO rows_stranger;
         GRANT SELECT ON ALL TABLES IN SCHEMA agent TO rows_stranger; SET LOCAL ROLE rows_stranger",
    )
    .await;
    execute(&mut stranger, WAYS[0]).await;
    for relation in readable(&database).await {
        assert_eq!(seen(&mut stranger, &relation).await, (0, 0), "{relation}");
    }
}

#[tokio::test]
async fn every_table_with_a_user_id_has_row_level_security_forced() {
    let database = TestDatabase::new().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let tables = format!("{OF_USERS} AND c.relkind IN ('r', 'p')");
    assert!(names(&mut connection, &tables).await.len() >= 10);
    let open = format!("{tables} AND NOT (c.relrowsecurity AND c.relforcerowsecurity)");
    assert_eq!(names(&mut connection, &open).await, Vec::<String>::new());
}

#[tokio::test]
async fn views_show_what_who_asks_may_see() {
    let database = TestDatabase::new().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let views = "SELECT relname::text FROM pg_class
                 WHERE relnamespace = 'agent'::regnamespace AND relkind IN ('v', 'm')";
    assert_eq!(names(&mut connection, views).await.len(), 6);
    let by_owner = format!("{views} AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)");
    assert_eq!(names(&mut connection, &by_owner).await, Vec::<String>::new());
}
