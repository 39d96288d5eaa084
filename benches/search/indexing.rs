//! Brings the search index up to what is stored, as the server does in the background. Called by `main` and `append`.

use std::time::Instant;

use sqlx::PgConnection;

/// Messages of one call: a transaction of a fraction of a second.
const AT_ONCE: i32 = 5000;

/// One call. Returns how many messages it indexed.
pub(crate) async fn step(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT agent.index_messages($1)")
        .bind(AT_ONCE)
        .fetch_one(connection)
        .await
}

/// Says that the messages from a moment on are not indexed yet: these were stored at times that are past.
pub(crate) async fn forget_the_future(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE agent.search_progress
         SET indexed_until = coalesce((SELECT max(created_at) FROM agent.search_index), '-infinity')",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Indexes all that is stored, and prints how fast.
pub(crate) async fn catch_up(connection: &mut PgConnection) -> anyhow::Result<()> {
    forget_the_future(connection).await?;
    let began = Instant::now();
    let mut indexed = 0;
    loop {
        match step(connection).await? {
            0 => break,
            some => indexed += some,
        }
    }
    let took = began.elapsed().as_secs_f64();
    sqlx::raw_sql("ANALYZE agent.search_index")
        .execute(&mut *connection)
        .await?;
    let bytes: String = sqlx::query_scalar(
        "SELECT format('table %s, its GIN index %s, the messages themselves %s',
                       pg_size_pretty(pg_table_size('agent.search_index')),
                       pg_size_pretty(pg_relation_size('agent.search_index_words')),
                       pg_size_pretty(pg_table_size('agent.messages')))",
    )
    .fetch_one(connection)
    .await?;
    println!(
        "indexed {indexed} messages in {took:.1} s, {:.0}/s: {bytes}",
        indexed as f64 / took
    );
    Ok(())
}
