//! What a run asks of the provider: the model, and the prompt read from the log.

use super::Runs;
use crate::ids::Seq;
use crate::llm::Request;
use crate::log::Claimed;
use crate::prompt;
use crate::protocol::text::sha256_hex;
use crate::store::StoreError;
use crate::store::chunks::PromptRecord;

/// A request and its record.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) request: Request,
    pub(super) record: PromptRecord,
}

/// Messages read beside the window, since waiting queries and failed turns take places that the model does not see.
const SLACK: u32 = 64;

/// Reads the log and builds the request. `None` when the session or the query is gone.
pub(super) async fn prepare(runs: &Runs, run: &Claimed) -> Result<Option<Prepared>, StoreError> {
    let (store, policy) = (&runs.context.store, &runs.policy);
    let Some(session) = store.find_session(&run.key).await? else {
        return Ok(None);
    };
    let limit = u32::try_from(policy.window.max_messages)
        .unwrap_or(u32::MAX)
        .saturating_add(SLACK);
    let recent = store
        .messages_before(&run.key, session.last_seq.next(), limit)
        .await?;
    let mut query = recent
        .iter()
        .find(|message| message.seq == run.query_seq)
        .cloned();
    if query.is_none() {
        // It waited, or is answered again, further back than the window reaches.
        let before = Seq(run.query_seq.0 - 1);
        query = store
            .messages_after(&run.key, before, run.query_seq, 1)
            .await?
            .pop();
    }
    let Some(query) = query else {
        return Ok(None);
    };
    let prompt = prompt::build(&recent, &query, session.context_after, &policy.window);
    // What was allowed when it was chosen may not be any more: the operator's word of today counts.
    let model = [run.model.clone(), session.model]
        .into_iter()
        .flatten()
        .find(|model| policy.allowed_models.contains(model))
        .unwrap_or_else(|| policy.model.clone());
    let request = Request {
        model,
        fallbacks: policy.fallbacks.clone(),
        messages: prompt.messages,
        temperature: policy.temperature,
        max_tokens: policy.max_tokens,
        user: sha256_hex(&format!("{}\0{}", policy.user_pepper.expose(), run.key.user_id)),
        session: run.key.session_id.to_string(),
    };
    Ok(Some(Prepared {
        request,
        record: PromptRecord {
            seqs: prompt.seqs,
            tokens: prompt.tokens,
        },
    }))
}
