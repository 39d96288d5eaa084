//! Asks the provider what aborted answers took: their streams ended before saying so. Slow, and beside everything else.

use std::sync::Arc;
use std::time::Duration;

use super::Runs;
use crate::store::StoreError;
use crate::store::usage::{Reconciled, Unreconciled};

/// How often to look for tries to be asked about.
const EVERY: Duration = Duration::from_secs(2);

/// How many are asked about at a time.
const AT_ONCE: u32 = 8;

/// The task that asks.
#[derive(Debug)]
pub struct Reconciler(Arc<Runs>);

impl Reconciler {
    /// A reconciler of these runs' provider.
    pub fn new(runs: Arc<Runs>) -> Self {
        Self(runs)
    }

    /// Asks until the task is dropped.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let due = match self.0.context.store.take_unreconciled(AT_ONCE).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(error = %error, "costs to be asked about could not be looked for");
                    continue;
                }
            };
            for one in due {
                if let Err(error) = self.ask(&one).await {
                    tracing::warn!(error = %error, run = %one.run_id, "a cost could not be recorded");
                }
            }
        }
    }

    async fn ask(&self, one: &Unreconciled) -> Result<(), StoreError> {
        match self.0.context.provider.cost(&one.generation_id).await {
            Ok(Some(usage)) => {
                let answers = &self.0.context.metrics.answers;
                answers.took(usage.input_tokens, usage.output_tokens, usage.cost_usd);
                let took = Reconciled {
                    input_tokens: i64::from(usage.input_tokens),
                    output_tokens: i64::from(usage.output_tokens),
                    cost_usd: usage.cost_usd,
                };
                self.0.context.store.reconcile(one, took).await
            }
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(error = %error, run = %one.run_id, "the provider did not say what an answer took");
                Ok(())
            }
        }
    }
}
