//! One batch of the group commit: which appends are in it, its arrays, its statement, and what each row's answer means.
//!
//! Only `append` calls it. The statement is the function `agent.append_batch`; its migration says how it decides.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::append::{Accepted, AnswerOutcome, AppendLimits, Commit, Item, NewAnswer, NewQuery, QueryOutcome};
use super::chunks::PromptRecord;
use super::{StoreError, column};
use crate::ids::{Fence, MessageId, NodeId, RunId, Seq, SessionKey};
use crate::log::{AnswerState, Claimed, Message, Role, SessionSettings, title_of};
use crate::protocol::client::{OnBusy, Priority};
use crate::protocol::text::Timestamp;
use crate::trace::Origin;

/// The most rows in one statement: from 512 on a batch gained nothing more.
pub(super) const MAX_BATCH: usize = 512;

/// The most text in one statement, in bytes.
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// What the database says of one item.
#[derive(Debug)]
pub(super) struct Row {
    is_answer: bool,
    ord: i64,
    outcome: String,
    seq: Option<i64>,
    message_id: Option<Uuid>,
    run_id: Option<Uuid>,
    queue_position: Option<i32>,
    created_at: time::OffsetDateTime,
    watchers: Option<Vec<i32>>,
    other_node: Option<i32>,
    start_run_id: Option<Uuid>,
    start_query_id: Option<Uuid>,
    start_query_seq: Option<i64>,
    start_answer_id: Option<Uuid>,
    start_model: Option<String>,
    start_fence: Option<i64>,
    start_attempt: Option<i32>,
    context_after: Option<i64>,
    session_model: Option<String>,
}

/// Takes the longest beginning of a batch in which each session stands once; the rest keeps its order.
pub(super) fn take(held: &mut VecDeque<Item>) -> Vec<Item> {
    let mut sessions = HashSet::new();
    let mut batch = Vec::new();
    let mut later = VecDeque::new();
    let mut bytes = 0;
    while let Some(item) = held.pop_front() {
        let fits = batch.is_empty() || (batch.len() < MAX_BATCH && bytes + item.bytes() <= MAX_BATCH_BYTES);
        if fits && sessions.insert(item.key().clone()) {
            bytes += item.bytes();
            batch.push(item);
        } else {
            sessions.insert(item.key().clone());
            later.push_back(item);
        }
    }
    *held = later;
    batch
}

fn split(batch: &[Item]) -> (Vec<&NewQuery>, Vec<&NewAnswer>) {
    let mut queries = Vec::new();
    let mut answers = Vec::new();
    for item in batch {
        match item {
            Item::Query(query, _) => queries.push(query),
            Item::Answer(answer, _) => answers.push(answer),
        }
    }
    (queries, answers)
}

fn priority(priority: Priority) -> i16 {
    match priority {
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    }
}

fn on_busy(on_busy: OnBusy) -> &'static str {
    match on_busy {
        OnBusy::Enqueue => "enqueue",
        OnBusy::Reject => "reject",
        OnBusy::Interrupt => "interrupt",
    }
}

/// Stores a batch in one round trip and one commit.
pub(super) async fn execute(
    connection: &mut PgConnection,
    node: NodeId,
    limits: AppendLimits,
    batch: &[Item],
    repeated: bool,
) -> Result<Vec<Row>, StoreError> {
    let (q, a) = split(batch);
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT is_answer AS "is_answer!", ord AS "ord!", outcome AS "outcome!", seq, message_id, run_id, queue_position,
               created_at AS "created_at!", watchers, other_node, start_run_id, start_query_id, start_query_seq,
               start_answer_id, start_model, start_fence, start_attempt, context_after, session_model
        FROM agent.append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                                $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34)
        "#,
        node.0,
        i32::try_from(limits.max_queue).unwrap_or(i32::MAX),
        i32::try_from(limits.max_runs_per_user).unwrap_or(i32::MAX),
        repeated,
        &column(&q, |q| q.key.user_id.as_str().to_owned()),
        &column(&q, |q| q.key.session_id.0),
        &column(&q, |q| q.message_id.0),
        &column(&q, |q| q.client_id.as_ref().map(ToString::to_string)) as &[Option<String>],
        &column(&q, |q| q.content.to_string()),
        &column(&q, |q| q.metadata.clone()) as &[Option<Value>],
        &column(&q, |q| title_of(&q.content)),
        &column(&q, |q| q.run_id.0),
        &column(&q, |q| q.answer_id.0),
        &column(&q, |q| q.model.clone()) as &[Option<String>],
        &column(&q, |q| priority(q.priority)),
        &column(&q, |q| on_busy(q.on_busy).to_owned()),
        &column(&q, |q| q.place.is_some()),
        &column(&a, |a| a.run.key.user_id.as_str().to_owned()),
        &column(&a, |a| a.run.key.session_id.0),
        &column(&a, |a| a.run.run_id.0),
        &column(&a, |a| a.run.fence.0),
        &column(&a, |a| a.content.to_string()),
        &column(&a, |a| a.state.as_str().to_owned()),
        &column(&a, |a| a.model.clone()) as &[Option<String>],
        &column(&a, |a| a.finish_reason.clone()) as &[Option<String>],
        &column(&a, |a| a.error.map(|code| code.as_str().to_owned())) as &[Option<String>],
        &column(&a, |a| a.generation_id.clone()) as &[Option<String>],
        &column(&a, |a| a.usage.and_then(|usage| usage.input_tokens)) as &[Option<i64>],
        &column(&a, |a| a.usage.and_then(|usage| usage.output_tokens)) as &[Option<i64>],
        &column(&a, |a| a.usage.and_then(|usage| usage.cost_usd)) as &[Option<f64>],
        &column(&a, |a| a.prompt.as_ref().map(PromptRecord::seqs_literal)) as &[Option<String>],
        &column(&a, |a| a.prompt.as_ref().map(PromptRecord::tokens_column)) as &[Option<i32>],
        &column(&a, |a| a.first_token_at.map(|at| at.0)) as &[Option<time::OffsetDateTime>],
        &column(&a, |a| a.place.is_some()),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Tells the commits, then answers the callers.
pub(super) fn settle(batch: Vec<Item>, rows: Vec<Row>, committed: &impl Fn(Commit)) {
    let (mut answers, mut queries): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.is_answer);
    queries.sort_by_key(|row| row.ord);
    answers.sort_by_key(|row| row.ord);
    let (mut queries, mut answers) = (queries.into_iter(), answers.into_iter());
    for item in batch {
        match item {
            Item::Query(query, reply) => {
                let outcome = queries
                    .next()
                    .ok_or_else(missing_row)
                    .and_then(|row| settle_query(query, row, committed));
                // A caller that has gone away has been told by the commit all the same.
                drop(reply.send(outcome));
            }
            Item::Answer(answer, reply) => {
                let outcome = answers
                    .next()
                    .ok_or_else(missing_row)
                    .and_then(|row| settle_answer(answer, row, committed));
                drop(reply.send(outcome));
            }
        }
    }
}

fn missing_row() -> StoreError {
    StoreError::Inconsistent {
        table: "append",
        column: "outcome",
    }
}

fn missing(column: &'static str) -> StoreError {
    StoreError::Inconsistent {
        table: "append",
        column,
    }
}

fn nodes(ids: Option<Vec<i32>>) -> Vec<NodeId> {
    ids.unwrap_or_default().into_iter().map(NodeId).collect()
}

fn count(number: Option<i32>) -> u32 {
    number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn settle_query(query: NewQuery, row: Row, committed: &impl Fn(Commit)) -> Result<QueryOutcome, StoreError> {
    match row.outcome.as_str() {
        "appended" | "duplicate" => {}
        "conflict" => return Ok(QueryOutcome::Conflict),
        "busy" => return Ok(QueryOutcome::Busy),
        "queue_full" => return Ok(QueryOutcome::QueueFull),
        _ => return Ok(QueryOutcome::Missing),
    }
    let accepted = Accepted {
        seq: Seq(row.seq.ok_or_else(|| missing("seq"))?),
        message_id: MessageId(row.message_id.ok_or_else(|| missing("message_id"))?),
        run_id: RunId(row.run_id.ok_or_else(|| missing("run_id"))?),
        queue_position: count(row.queue_position),
        created_at: Timestamp(row.created_at),
        duplicate: row.outcome == "duplicate",
    };
    if accepted.duplicate {
        return Ok(QueryOutcome::Accepted(accepted));
    }
    let start = started(&query.key, &row)?.map(|run| Claimed {
        origin: Origin::Query(query.parent),
        ..run
    });
    committed(Commit {
        message: Arc::new(user_message(&query, &accepted)),
        key: query.key,
        watchers: nodes(row.watchers),
        start: start.zip(query.place),
        interrupted: row.other_node.map(NodeId),
    });
    Ok(QueryOutcome::Accepted(accepted))
}

fn user_message(query: &NewQuery, accepted: &Accepted) -> Message {
    Message {
        session_id: query.key.session_id,
        seq: accepted.seq,
        message_id: accepted.message_id,
        client_id: query.client_id.as_ref().map(ToString::to_string),
        role: Role::User,
        content: Arc::clone(&query.content),
        state: AnswerState::Complete,
        in_reply_to: None,
        run_id: Some(accepted.run_id),
        notification_id: None,
        model: None,
        finish_reason: None,
        error: None,
        usage: None,
        metadata: query.metadata.clone(),
        created_at: accepted.created_at,
    }
}

fn settle_answer(
    answer: NewAnswer,
    row: Row,
    committed: &impl Fn(Commit),
) -> Result<AnswerOutcome, StoreError> {
    match row.outcome.as_str() {
        "appended" => {}
        "missing" => return Ok(AnswerOutcome::Missing),
        _ => return Ok(AnswerOutcome::Fenced),
    }
    let next = started(&answer.run.key, &row)?;
    let run = answer.run;
    let message = Arc::new(Message {
        session_id: run.key.session_id,
        seq: Seq(row.seq.ok_or_else(|| missing("seq"))?),
        message_id: run.answer_id,
        client_id: None,
        role: Role::Assistant,
        content: answer.content,
        state: answer.state,
        in_reply_to: Some(run.query_id),
        run_id: Some(run.run_id),
        notification_id: None,
        model: answer.model,
        finish_reason: answer.finish_reason,
        error: answer.error,
        usage: answer.usage,
        metadata: None,
        created_at: Timestamp(row.created_at),
    });
    committed(Commit {
        key: run.key,
        message: Arc::clone(&message),
        watchers: nodes(row.watchers),
        start: next.zip(answer.place),
        interrupted: None,
    });
    Ok(AnswerOutcome::Stored(message))
}

/// The run that this process begins with a commit: a query's own, or the session's next after an answer.
fn started(key: &SessionKey, row: &Row) -> Result<Option<Claimed>, StoreError> {
    let Some(run_id) = row.start_run_id else {
        return Ok(None);
    };
    Ok(Some(Claimed {
        key: key.clone(),
        run_id: RunId(run_id),
        fence: Fence(row.start_fence.ok_or_else(|| missing("start_fence"))?),
        attempt: count(row.start_attempt),
        query_id: MessageId(row.start_query_id.ok_or_else(|| missing("start_query_id"))?),
        query_seq: Seq(row.start_query_seq.ok_or_else(|| missing("start_query_seq"))?),
        answer_id: MessageId(row.start_answer_id.ok_or_else(|| missing("start_answer_id"))?),
        model: row.start_model.clone(),
        session: row.context_after.map(|after| SessionSettings {
            context_after: Seq(after),
            model: row.session_model.clone(),
        }),
        origin: Origin::Row,
    }))
}
