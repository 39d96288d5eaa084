//! Messages: pages forward and backward, the recent ones for a prompt. Reading only; `append` writes.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::ids::{MessageId, NotificationId, RunId, Seq, SessionId, SessionKey};
use crate::log::{AnswerState, Message, Role};
use crate::protocol::error::ErrorCode;
use crate::protocol::server::Usage;
use crate::protocol::text::Timestamp;

pub(super) struct MessageRow {
    pub(super) session_id: Uuid,
    pub(super) seq: i64,
    pub(super) message_id: Uuid,
    pub(super) client_id: Option<String>,
    pub(super) role: String,
    pub(super) content: String,
    pub(super) state: String,
    pub(super) in_reply_to: Option<Uuid>,
    pub(super) run_id: Option<Uuid>,
    pub(super) notification_id: Option<Uuid>,
    pub(super) model: Option<String>,
    pub(super) finish_reason: Option<String>,
    pub(super) error_code: Option<String>,
    pub(super) input_tokens: Option<i64>,
    pub(super) output_tokens: Option<i64>,
    pub(super) cost_usd: Option<f64>,
    pub(super) metadata: Option<Value>,
    pub(super) created_at: time::OffsetDateTime,
}

/// Reads the word of `messages.role`.
fn role(text: &str) -> Result<Role, StoreError> {
    match text {
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "notification" => Ok(Role::Notification),
        _ => Err(StoreError::Inconsistent {
            table: "messages",
            column: "role",
        }),
    }
}

/// Reads the word of `messages.state`.
pub(super) fn answer_state(text: &str) -> Result<AnswerState, StoreError> {
    match text {
        "complete" => Ok(AnswerState::Complete),
        "cancelled" => Ok(AnswerState::Cancelled),
        "incomplete" => Ok(AnswerState::Incomplete),
        "failed" => Ok(AnswerState::Failed),
        _ => Err(StoreError::Inconsistent {
            table: "messages",
            column: "state",
        }),
    }
}

impl TryFrom<MessageRow> for Message {
    type Error = StoreError;

    fn try_from(row: MessageRow) -> Result<Self, StoreError> {
        let usage = Usage {
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cost_usd: row.cost_usd,
        };
        let counted =
            usage.input_tokens.is_some() || usage.output_tokens.is_some() || usage.cost_usd.is_some();
        Ok(Self {
            session_id: SessionId(row.session_id),
            seq: Seq(row.seq),
            message_id: MessageId(row.message_id),
            client_id: row.client_id,
            role: role(&row.role)?,
            content: Arc::from(row.content),
            state: answer_state(&row.state)?,
            in_reply_to: row.in_reply_to.map(MessageId),
            run_id: row.run_id.map(RunId),
            notification_id: row.notification_id.map(NotificationId),
            model: row.model,
            finish_reason: row.finish_reason,
            error: row.error_code.as_deref().map(ErrorCode::from_stored),
            usage: counted.then_some(usage),
            metadata: row.metadata,
            created_at: Timestamp(row.created_at),
        })
    }
}

pub(super) fn messages(rows: Vec<MessageRow>) -> Result<Vec<Message>, StoreError> {
    rows.into_iter().map(Message::try_from).collect()
}

impl Store {
    /// Messages `after < seq <= upto` in order, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn messages_after(
        &self,
        key: &SessionKey,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let rows = sqlx::query_as!(
            MessageRow,
            r#"
            SELECT session_id, seq, message_id, client_id, role, content, state, in_reply_to, run_id, notification_id, model,
                   finish_reason, error_code, input_tokens, output_tokens, cost_usd::float8 AS cost_usd, metadata, created_at
            FROM agent.messages
            WHERE user_id = $1 AND session_id = $2 AND seq > $3 AND seq <= $4
            ORDER BY seq
            LIMIT $5
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            after.0,
            upto.0,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        messages(rows)
    }

    /// The last `limit` messages before a place, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn messages_before(
        &self,
        key: &SessionKey,
        before: Seq,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let mut rows = sqlx::query_as!(
            MessageRow,
            r#"
            SELECT session_id, seq, message_id, client_id, role, content, state, in_reply_to, run_id, notification_id, model,
                   finish_reason, error_code, input_tokens, output_tokens, cost_usd::float8 AS cost_usd, metadata, created_at
            FROM agent.messages
            WHERE user_id = $1 AND session_id = $2 AND seq < $3
            ORDER BY seq DESC
            LIMIT $4
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            before.0,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.reverse();
        messages(rows)
    }

    /// Where a catch-up up to `head` must begin so that it holds at most `max_messages` and `max_bytes` of text: the
    /// place before its first message, not before `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn catch_up_start(
        &self,
        key: &SessionKey,
        after: Seq,
        head: Seq,
        max_messages: u32,
        max_bytes: i64,
    ) -> Result<Seq, StoreError> {
        let first = sqlx::query_scalar!(
            r#"
            SELECT min(seq)
            FROM (
                SELECT seq, sum(octet_length(content)) OVER (ORDER BY seq DESC) AS bytes
                FROM agent.messages
                WHERE user_id = $1 AND session_id = $2 AND seq > $3 AND seq <= $4
                ORDER BY seq DESC
                LIMIT $5
            ) AS newest
            WHERE bytes <= $6 OR seq = $4
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            after.0,
            head.0,
            i64::from(max_messages),
            max_bytes,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(first.map_or(after, |first| Seq(first - 1)))
    }

    /// One message by its id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_message(&self, key: &SessionKey, id: MessageId) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query_as!(
            MessageRow,
            r#"
            SELECT session_id, seq, message_id, client_id, role, content, state, in_reply_to, run_id, notification_id, model,
                   finish_reason, error_code, input_tokens, output_tokens, cost_usd::float8 AS cost_usd, metadata, created_at
            FROM agent.messages
            WHERE user_id = $1 AND session_id = $2 AND message_id = $3
            "#,
            key.user_id.as_str(),
            key.session_id.0,
            id.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Message::try_from).transpose()
    }
}
