//! The schema as people and services meet it: what docs/sql.md says, and who may do what.
//!
//! Everything here is tried as the role that it is about, in a transaction of the superuser's who says SET LOCAL ROLE.

mod comments;
mod cookbook;
mod deploy;
mod partitions;
mod plans;
mod rights;
mod rows;
mod supabase;

use sqlx::postgres::Postgres;
use sqlx::{AssertSqlSafe, PgConnection, Transaction};

use crate::support::database::TestDatabase;

/// "permission denied", and "must be owner of".
const FORBIDDEN: &str = "42501";

/// A database in which two users have something in every table.
async fn seeded() -> TestDatabase {
    let database = TestDatabase::new().await;
    sqlx::raw_sql(include_str!("sql/seed.sql"))
        .execute(&database.pool)
        .await
        .unwrap();
    database
}

/// A transaction in which one has a role's rights and no others.
async fn acting_as(database: &TestDatabase, role: &str) -> Transaction<'static, Postgres> {
    let mut transaction = database.pool.begin().await.unwrap();
    execute(&mut transaction, &format!("SET LOCAL ROLE {role}")).await;
    transaction
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await {
        panic!("{error}: {sql}");
    }
}

/// One number.
async fn count(connection: &mut PgConnection, sql: &str) -> i64 {
    let counted = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await;
    counted.unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// Names, one a row.
async fn names(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let found = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await;
    found.unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// Checks that a statement is refused for want of rights, and leaves the transaction as it was.
async fn forbidden(connection: &mut PgConnection, sql: &str) {
    execute(connection, "SAVEPOINT before").await;
    let refused = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
    let Err(sqlx::Error::Database(error)) = refused else {
        panic!("{refused:?}: {sql}");
    };
    assert_eq!(error.code().as_deref(), Some(FORBIDDEN), "{error}: {sql}");
    execute(connection, "ROLLBACK TO before").await;
}
