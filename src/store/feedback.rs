//! What people think of answers.

use super::{Store, StoreError};
use crate::ids::{MessageId, SessionKey};

/// A person's view of an answer, as it is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewFeedback {
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
    /// Stores feedback about an answer of this session; sent again it replaces. `false` when there is no such answer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_feedback(
        &self,
        key: &SessionKey,
        message: MessageId,
        feedback: &NewFeedback,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"
            INSERT INTO agent.feedback (user_id, session_id, message_id, rating, comment, correction, tags)
            SELECT user_id, session_id, message_id, $4, $5, $6, $7
            FROM agent.messages
            WHERE user_id = $1 AND session_id = $2 AND message_id = $3 AND role = 'assistant'
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
