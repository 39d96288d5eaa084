//! Full-text search: asks `agent.search`, and brings its index forward, which is written behind the messages.

use super::messages::{MessageRow, messages};
use super::{Store, StoreError};
use crate::ids::UserId;
use crate::log::Message;

impl Store {
    /// The user's messages that hold these words, newest first. The words are read as a web search box reads them. Finds
    /// what is not in the index yet, too.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn search_messages(
        &self,
        user: &UserId,
        words: &str,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let rows = sqlx::query_as!(
            MessageRow,
            r#"
            SELECT session_id AS "session_id!", seq AS "seq!", message_id AS "message_id!", client_id, role AS "role!",
                   content AS "content!", state AS "state!", in_reply_to, run_id, notification_id, model, finish_reason,
                   error_code, input_tokens, output_tokens, cost_usd::float8 AS cost_usd, metadata,
                   created_at AS "created_at!"
            FROM agent.search($1, $2, $3)
            ORDER BY created_at DESC, session_id DESC, seq DESC
            "#,
            user.as_str(),
            words,
            i32::try_from(limit).unwrap_or(i32::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        messages(rows)
    }

    /// Brings about `limit` messages into the index, none where another process does, and returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn index_messages(&self, limit: u32) -> Result<u64, StoreError> {
        let indexed = sqlx::query_scalar!(
            r#"SELECT agent.index_messages($1) AS "indexed!""#,
            i32::try_from(limit).unwrap_or(i32::MAX),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(indexed).unwrap_or_default())
    }
}
