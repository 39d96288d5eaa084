//! What a run asks of the provider: the model, and the prompt made from the log.

use std::sync::Arc;

use super::Runs;
use crate::ids::Seq;
use crate::llm::Request;
use crate::log::{Claimed, Message, SessionSettings};
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
const SLACK: usize = 64;

/// Reads the log and builds the request. `None` when the session or the query is gone.
pub(super) async fn prepare(runs: &Runs, run: &Claimed) -> Result<Option<Prepared>, StoreError> {
    let policy = &runs.policy;
    let Some(session) = settings(runs, run).await? else {
        return Ok(None);
    };
    let recent = recent(runs, run).await?;
    let query = match recent.iter().find(|message| message.seq == run.query_seq) {
        Some(query) => Some(Arc::clone(query)),
        None => far_back(runs, run).await?,
    };
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

/// What of the session decides about the prompt: as the claim found it, else as it is now. `None` when it is gone.
async fn settings(runs: &Runs, run: &Claimed) -> Result<Option<SessionSettings>, StoreError> {
    if let Some(settings) = &run.session {
        return Ok(Some(settings.clone()));
    }
    let session = runs.context.store.find_session(&run.key).await?;
    Ok(session.map(|session| SessionSettings {
        context_after: session.context_after,
        model: session.model,
    }))
}

/// The newest messages that a prompt may be made of: from memory where this process holds them, as it does for a session
/// that somebody here watches, else from the store.
async fn recent(runs: &Runs, run: &Claimed) -> Result<Vec<Arc<Message>>, StoreError> {
    let count = runs.policy.window.max_messages + SLACK;
    let room = runs.context.hub.find_room(&run.key);
    if let Some(messages) = room.as_ref().and_then(|room| room.recent(run.query_seq, count)) {
        return Ok(messages);
    }
    let limit = u32::try_from(count).unwrap_or(u32::MAX);
    let messages = runs
        .context
        .store
        .messages_before(&run.key, Seq(i64::MAX), limit)
        .await?;
    let messages: Vec<Arc<Message>> = messages.into_iter().map(Arc::new).collect();
    if let Some(room) = room {
        room.remember(&messages);
    }
    Ok(messages)
}

/// The query, where it waited, or is answered again, further back than the window reaches.
async fn far_back(runs: &Runs, run: &Claimed) -> Result<Option<Arc<Message>>, StoreError> {
    let before = Seq(run.query_seq.0 - 1);
    let found = runs
        .context
        .store
        .messages_after(&run.key, before, run.query_seq, 1)
        .await?;
    Ok(found.into_iter().next().map(Arc::new))
}
