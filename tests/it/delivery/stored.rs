//! What the table holds at rest, and what of it has to have been delivered.

use sqlx::PgPool;
use time::OffsetDateTime;

/// A row of `agent.notifications`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) content: String,
    pub(super) deliver_after: Option<OffsetDateTime>,
    pub(super) acknowledged: bool,
    /// It does not expire, and nothing newer replaces it: its user must see it.
    pub(super) counts: bool,
    /// It had expired when it was inserted: nobody may see it.
    pub(super) stillborn: bool,
}

/// All rows.
pub(super) async fn rows(pool: &PgPool) -> Vec<Row> {
    sqlx::query_as(
        r#"SELECT n.notification_id::text AS id, n.user_id AS "user", n.content, n.deliver_after,
                  n.acknowledged_at IS NOT NULL AS acknowledged,
                  n.expires_at IS NULL AND NOT EXISTS (
                      SELECT 1 FROM agent.notifications AS newer
                      WHERE newer.user_id = n.user_id AND newer.collapse_key = n.collapse_key
                        AND (newer.created_at, newer.notification_id) > (n.created_at, n.notification_id)) AS counts,
                  coalesce(n.expires_at < n.created_at, false) AS stillborn
           FROM agent.notifications AS n"#,
    )
    .fetch_all(pool)
    .await
    .unwrap()
}
