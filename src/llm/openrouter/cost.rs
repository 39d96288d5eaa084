//! What a generation cost, asked afterwards: an aborted stream never says.
//!
//! OpenRouter answers `GET /generation?id=…` some seconds after the end; until then it has no such generation. Other
//! servers have no such question.

use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{Upstream, of_transport, read_complaint};
use crate::llm::Usage;
use crate::llm::endpoint::ProviderFlavor;
use crate::llm::error::{LlmError, Wait};
use crate::llm::failure;

#[derive(Deserialize)]
struct Envelope {
    data: Generation,
}

#[derive(Deserialize)]
struct Generation {
    #[serde(default)]
    total_cost: Option<f64>,
    #[serde(default)]
    native_tokens_prompt: Option<u32>,
    #[serde(default)]
    native_tokens_completion: Option<u32>,
    #[serde(default)]
    tokens_prompt: Option<u32>,
    #[serde(default)]
    tokens_completion: Option<u32>,
}

/// Asks what a generation took. `None`: not known (yet), or nobody to ask.
pub(super) async fn ask(upstream: &Upstream, generation_id: &str) -> Result<Option<Usage>, LlmError> {
    if upstream.settings.flavor != ProviderFlavor::OpenRouter {
        return Ok(None);
    }
    let deadline = Instant::now() + upstream.settings.timeouts.headers;
    let url = upstream.settings.base_url.generation(generation_id);
    let response = match timeout_at(deadline, upstream.client.get(url).send()).await {
        Err(_) => return Err(LlmError::TimedOut(Wait::Headers)),
        Ok(Err(error)) => return Err(of_transport(error)),
        Ok(Ok(response)) => response,
    };
    let (status, headers) = (response.status(), response.headers().clone());
    let body = read_complaint(response, upstream.settings.limits.error_body_bytes, deadline).await;
    if status.as_u16() == 404 {
        return Ok(None);
    }
    if !status.is_success() {
        return Err(failure::of_response(status.as_u16(), &headers, &body));
    }
    Ok(serde_json::from_slice::<Envelope>(&body).ok().map(|envelope| {
        let generation = envelope.data;
        Usage {
            input_tokens: generation
                .native_tokens_prompt
                .or(generation.tokens_prompt)
                .unwrap_or(0),
            output_tokens: generation
                .native_tokens_completion
                .or(generation.tokens_completion)
                .unwrap_or(0),
            cost_usd: generation.total_cost,
        }
    }))
}
