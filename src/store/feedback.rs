//! What people think of answers.

use std::collections::HashMap;

use serde::Serialize;

use super::{Store, StoreError};
use crate::ids::{MessageId, SessionKey};

/// A person's view of an answer, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoredFeedback {
    /// −1, 0 or 1.
    pub rating: Option<i16>,
    /// A comment.
    pub comment: Option<String>,
    /// What the answer should have been.
    pub correction: Option<String>,
    /// Short labels.
    pub tags: Vec<String>,
}

impl Store {
    /// What people think of a session's answers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn feedback_of(
        &self,
        key: &SessionKey,
    ) -> Result<HashMap<MessageId, StoredFeedback>, StoreError> {
        let rows = sqlx::query!(
            "SELECT message_id, rating, comment, correction, tags FROM agent.feedback WHERE user_id = $1 AND session_id = $2",
            key.user_id.as_str(),
            key.session_id.0,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let feedback = StoredFeedback {
                    rating: row.rating,
                    comment: row.comment,
                    correction: row.correction,
                    tags: row.tags,
                };
                (MessageId(row.message_id), feedback)
            })
            .collect())
    }

    /// Stores feedback about an answer of this session; sent again it replaces. `false` when there is no such answer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_feedback(
        &self,
        key: &SessionKey,
        message: MessageId,
        feedback: &StoredFeedback,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"
            INSERT INTO agent.feedback (user_id, session_id, message_id, rating, comment, correction, tags)
            SELECT m.user_id, m.session_id, m.message_id, $4, $5, $6, $7
            FROM agent.messages AS m
            -- Its lock: a session that is being removed takes this with it, or there is none any more.
            JOIN agent.sessions AS s ON s.user_id = m.user_id AND s.session_id = m.session_id
            WHERE m.user_id = $1 AND m.session_id = $2 AND m.message_id = $3 AND m.role = 'assistant'
            FOR KEY SHARE OF s
            ON CONFLICT (user_id, session_id, message_id) DO UPDATE
            SET rating = excluded.rating, comment = excluded.comment, correction = excluded.correction,
                tags = excluded.tags, updated_at = date_trunc('milliseconds', clock_timestamp())
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            message.0,
            feedback.rating,
            feedback.comment,
            feedback.correction,
            &feedback.tags,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
