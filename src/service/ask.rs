//! Asking, and what may happen to an answer: query, cancel, regenerate, queue.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Service, limit_or_off, unavailable};
use crate::ids::{ClientName, MessageId, RunId, SessionKey};
use crate::notify::notifier::Hint;
use crate::protocol::client::Query;
use crate::protocol::error::{ErrorCode, Refusal};
use crate::protocol::server::{Cancelled, Regenerated};
use crate::protocol::text::Text;
use crate::runs::{Arrival, Stop};
use crate::store::append::{Accepted, NewQuery, QueryOutcome};
use crate::store::in_time;
use crate::store::runs::{CancelOutcome, RegenerateOutcome, Waiting};
use crate::trace::Parent;

/// When to try again where a queue is full: about the time of an answer.
const QUEUE_FULL_WAIT: Duration = Duration::from_secs(5);

/// How often a run to be cancelled is looked for: it may change once while the first look is under way, and again.
const CANCEL_LOOKS: usize = 3;

impl Service {
    /// Stores a query under a message id of the caller's choice and starts its run where it may; `parent` is the trace that its
    /// client tells it in.
    ///
    /// # Errors
    /// What to tell the client: nothing was stored then, and the query's id stays free, unless the database failed.
    pub async fn ask(
        &self,
        key: &SessionKey,
        message_id: MessageId,
        query: Query,
        parent: Option<Parent>,
    ) -> Result<Accepted, Refusal> {
        if let Some(model) = &query.model {
            self.check_model(model.as_str())?;
        }
        let run_id = RunId::new();
        self.admit_query(key, run_id, query.id.as_ref()).await?;
        let arrival = self.runs.announce(run_id, parent);
        let place = self.runs.place();
        let has_place = place.is_some();
        let outcome = self
            .appender
            .query(NewQuery {
                key: key.clone(),
                message_id,
                client_id: query.id,
                content: Arc::from(query.content.into_string()),
                metadata: query.metadata.map(Value::Object),
                run_id,
                answer_id: MessageId::new(),
                model: query.model.map(Text::into_string),
                priority: query.priority,
                on_busy: query.on_busy,
                parent,
                place,
            })
            .await
            .map_err(|error| unavailable(&error))?;
        if !matches!(&outcome, QueryOutcome::Accepted(accepted) if accepted.run_id == run_id) {
            self.release_reservation(key, run_id).await;
        }
        match outcome {
            QueryOutcome::Accepted(accepted) => {
                if accepted.queue_position > 0 && !accepted.duplicate {
                    self.keep_parent(key, run_id, arrival).await;
                    if has_place {
                        self.runs.look_for_work();
                    } else {
                        self.runs.offer_work();
                    }
                }
                Ok(accepted)
            }
            QueryOutcome::Conflict => Err(Refusal::new(
                ErrorCode::IdConflict,
                "This id was used for another message",
            )),
            QueryOutcome::Busy => Err(Refusal::new(ErrorCode::Busy, "An answer is being written")),
            QueryOutcome::QueueFull => Err(self.queue_full()),
            QueryOutcome::Missing => Err(Refusal::not_found("session")),
        }
    }

    /// Writes what a waiting run's query came with into its row, for whoever runs it; until then this process alone knows.
    async fn keep_parent(&self, key: &SessionKey, run: RunId, arrival: Option<Arrival>) {
        let Some(arrival) = arrival else {
            return;
        };
        if let Err(error) = in_time(self.store.keep_parent(key, run, arrival.parent())).await {
            tracing::warn!(error = %error, run = %run, "the trace of a waiting run could not be kept");
        }
    }

    fn queue_full(&self) -> Refusal {
        let most = limit_or_off(self.settings.limits.queue_depth);
        let text =
            format!("{most} queries wait in this session (queue_depth); try again when one is answered");
        self.refused_by(
            "queue_depth",
            Refusal::new(ErrorCode::QueueFull, text).after(QUEUE_FULL_WAIT),
        )
    }

    /// Gives back what was set aside for a run that does not come.
    async fn release_reservation(&self, key: &SessionKey, run: RunId) {
        let budget = &self.settings.budget;
        if budget.tokens_per_day == 0 && budget.cost_per_day_usd <= 0.0 {
            return;
        }
        if let Err(error) = self.store.release_reservation(key, run).await {
            tracing::warn!(error = %error, "what was set aside counts for a minute yet");
        }
    }

    /// Whether a client may choose this model.
    ///
    /// # Errors
    /// `model_unavailable`.
    pub fn check_model(&self, model: &str) -> Result<(), Refusal> {
        if self
            .settings
            .agent
            .allowed_models
            .iter()
            .any(|allowed| allowed == model)
        {
            return Ok(());
        }
        Err(Refusal::new(
            ErrorCode::ModelUnavailable,
            "This model cannot be chosen here",
        ))
    }

    /// Stops the run in progress, or the one named, on whichever process it is; takes a waiting one out of the queue.
    ///
    /// # Errors
    /// `not_found` when a run is named that this session does not have.
    pub async fn cancel(&self, key: &SessionKey, run: Option<RunId>) -> Result<Cancelled, Refusal> {
        // Between a look and the deed a run may begin or end; the look itself may have waited for that on an older
        // snapshot, which shows the run neither in progress nor over. Then look again.
        for _ in 0..CANCEL_LOOKS {
            if let Some(cancelled) = self.try_cancel(key, run).await? {
                return Ok(cancelled);
            }
        }
        match run {
            Some(_) => Err(Refusal::not_found("run")),
            None => Ok(Cancelled {
                run_id: None,
                state: "none".to_owned(),
            }),
        }
    }

    /// One look. `None` when there is no such run, or it just changed.
    async fn try_cancel(&self, key: &SessionKey, run: Option<RunId>) -> Result<Option<Cancelled>, Refusal> {
        let outcome = self
            .store
            .cancel_run(key, run)
            .await
            .map_err(|error| unavailable(&error))?;
        let (run_id, state) = match outcome {
            CancelOutcome::Requested { run_id, node } => {
                if !self.runs.stop(run_id, Stop::Cancelled)
                    && let Some(node) = node
                {
                    self.notifier.send(Hint::Cancel(node, key.session_id));
                }
                (run_id, "cancelling".to_owned())
            }
            CancelOutcome::Queued(run_id) if self.take_out(key, run_id).await? => {
                (run_id, "cancelled".to_owned())
            }
            CancelOutcome::Ended { run_id, state } => (run_id, state),
            CancelOutcome::Queued(_) | CancelOutcome::Nothing => return Ok(None),
        };
        Ok(Some(Cancelled {
            run_id: Some(run_id),
            state,
        }))
    }

    /// Takes a waiting query out of the queue.
    ///
    /// # Errors
    /// `not_found` when it does not wait.
    pub async fn unqueue(&self, key: &SessionKey, query: MessageId) -> Result<RunId, Refusal> {
        let run = self
            .store
            .find_waiting_run(key, query)
            .await
            .map_err(|error| unavailable(&error))?;
        let run = run.ok_or_else(|| Refusal::not_found("waiting query"))?;
        if self.take_out(key, run).await? {
            Ok(run)
        } else {
            Err(Refusal::not_found("waiting query"))
        }
    }

    /// Ends a waiting run. `false` when it does not wait any more.
    async fn take_out(&self, key: &SessionKey, run: RunId) -> Result<bool, Refusal> {
        let watchers = self
            .store
            .unqueue_run(key, run)
            .await
            .map_err(|error| unavailable(&error))?;
        let Some(watchers) = watchers else {
            return Ok(false);
        };
        self.feed.changed(key.session_id, &watchers);
        Ok(true)
    }

    /// What waits in a session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queue(&self, key: &SessionKey) -> Result<Vec<Waiting>, Refusal> {
        self.store
            .list_queue(key)
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Asks for a new answer to a query; `parent` is the trace that its client tells it in.
    ///
    /// # Errors
    /// `not_found`, `id_conflict`, `queue_full`, `rate_limited`.
    pub async fn regenerate(
        &self,
        key: &SessionKey,
        message: Option<MessageId>,
        id: Option<&ClientName>,
        parent: Option<Parent>,
    ) -> Result<Regenerated, Refusal> {
        let new_run = RunId::new();
        self.admit_run(key, new_run).await?;
        let max_queue = limit_or_off(self.settings.limits.queue_depth);
        let arrival = self.runs.announce(new_run, parent);
        let outcome = self
            .store
            .regenerate(key, message, id, new_run, max_queue)
            .await
            .map_err(|error| unavailable(&error))?;
        if !matches!(&outcome, RegenerateOutcome::Queued { run_id, .. } if *run_id == new_run) {
            self.release_reservation(key, new_run).await;
        }
        match outcome {
            RegenerateOutcome::Conflict => Err(Refusal::new(
                ErrorCode::IdConflict,
                "This id was used for another message",
            )),
            RegenerateOutcome::QueueFull => Err(self.queue_full()),
            RegenerateOutcome::Missing => Err(Refusal::not_found("message")),
            RegenerateOutcome::Queued {
                run_id,
                query_id,
                answer_id,
                position,
                duplicate,
            } => {
                if !duplicate {
                    self.keep_parent(key, run_id, arrival).await;
                }
                self.runs.look_for_work();
                Ok(Regenerated {
                    run_id,
                    in_reply_to: query_id,
                    message_id: answer_id,
                    queue_position: position,
                    duplicate,
                })
            }
        }
    }
}
